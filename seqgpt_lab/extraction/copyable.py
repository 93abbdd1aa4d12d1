"""The bytes that values may be copied from, and where a value may begin and end in them. Knows no tokens and no labels."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import AnyStr

from seqgpt_lab.extraction.vocabulary import first_separator

_BREAKS = re.compile(r"[\r\n\t]+")

Places = tuple[int, ...] | None
"""Offsets into `Copyable.data` at which a value so far may end; None before its first byte: wherever a value may begin."""


def flatten(text: str) -> str:
    """A text as values are copied from it: without line breaks and tabs, which an answer cannot hold inside a value."""
    return _BREAKS.sub("", text)


class Copyable:
    """UTF-8 bytes in which every value is a run from one of `starts` to an end; a line break among them is never copied.

    choices: all values, where they are those of a list.
    """

    def __init__(self, data: bytes, starts: Sequence[int], ends: Sequence[int], choices: Sequence[bytes] = ()) -> None:
        self.data, self.starts, self._choices = data, tuple(starts), tuple(choices)
        self._ends, self._is_end, self._is_start = tuple(ends), frozenset(ends), frozenset(starts)
        self._first = frozenset(data[start] for start in starts)

    @classmethod
    def text(cls, text: str) -> Copyable:
        """Any part of a flattened text that neither begins nor ends with white space. text: without lone surrogates."""
        flat = flatten(text).strip()
        starts, ends, at = [], [], 0
        for character in flat:
            width = len(character.encode())
            if not character.isspace():
                starts.append(at)
                ends.append(at + width)
            at += width
        return cls(flat.encode(), starts, ends)

    @classmethod
    def choices(cls, values: Iterable[str]) -> Copyable:
        """Whole values of a list, which hold neither line breaks nor tabs."""
        choices = [value.encode() for value in values]
        ends = list(accumulate((len(choice) + 1 for choice in choices), initial=-1))
        return cls(b"".join(choice + b"\n" for choice in choices), [end + 1 for end in ends[:-1]], ends[1:], choices)

    def follow(self, places: Places, piece: bytes) -> tuple[int, ...]:
        """Where the value so far may end after one more piece, of at least one byte; nowhere when it is not copied from here."""
        if places is None:
            places = tuple(at for at in starts_of(self.data, piece) if at in self._is_start)
        return tuple(at + len(piece) for at in places if self.data.startswith(piece, at))

    def complete(self, places: Places) -> bool:
        """Whether a value may end at one of the places."""
        return places is not None and any(at in self._is_end for at in places)

    def next_bytes(self, places: Places) -> set[int] | frozenset[int]:
        """Bytes that go on from the places."""
        if places is None:
            return self._first
        return {self.data[at] for at in places if at < len(self.data)} - {ord("\n")}

    def endings(self, places: Places) -> Iterator[bytes]:
        """What may still be copied until the value is complete, from each place, shortest first; nothing where it is already."""
        for at in self.starts if places is None else places:
            for number in range(bisect_left(self._ends, at), len(self._ends)):
                ending = self.data[at : self._ends[number]]
                if first_separator(ending) < len(ending):
                    break
                if ending or places is not None:
                    yield ending

    def times(self, value: bytes) -> int:
        """How often the value stands here without overlapping itself; of a list, how often as one of its values, not as part of one."""
        return self._choices.count(value) if self._choices else self.data.count(value)


def starts_of(whole: AnyStr, piece: AnyStr) -> Iterator[int]:
    """Where a piece of at least one character or byte stands, overlapping itself too."""
    at = whole.find(piece)
    while at >= 0:
        yield at
        at = whole.find(piece, at + 1)
