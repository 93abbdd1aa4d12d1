"""Guesses which part of a text is a label's value, and how it goes on; knows no tokens. A wrong guess costs time, never an answer.

A value is looked for after the label's own words, after what stood before earlier values, and where the text is shaped as they were.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from seqgpt_lab.extraction.answer import ABSENT
from seqgpt_lab.extraction.copyable import flatten, starts_of
from seqgpt_lab.extraction.profiles import Profile, kind, shape, shape_origin

_AFTER_KEY = re.compile(r"[\s:：是为】」』）)_\-—=|｜]*")
_BETWEEN_VALUES = re.compile(r"[、，,;；\s和与跟及]*")
_STOPS = frozenset("，。；;！!？?、｜|）)】]》〕")
_STOPS_BETWEEN_WORDS = frozenset(",. ")
_LONGEST = 48  # characters of a guess
_PLACES = 48  # looked at
_LIKELY = 2.0  # least score of a place for a value
_SURE = 4.0  # from here on a place is worth a guess before any of the value is written (counted: docs/decoding.md)


@dataclass(frozen=True, slots=True)
class Hints:
    """What tells a label's values. keys: words that may stand before them, the phrase first. profile: of earlier ones, if any."""

    keys: tuple[str, ...]
    profile: Profile | None = None


class Guesser:
    """The values of one text; keeps what it has found out about it."""

    def __init__(self, text: str, hints: Sequence[Hints]) -> None:
        self.text, self.hints = flatten(text), hints
        self._breaks = set(_breaks(text))
        self._shape = shape(self.text)
        self._origin: list[int] | None = None
        self._starts: dict[int, dict[int, float]] = {}

    def rest(self, label: int, before: Sequence[str], begun: str, half: bytes) -> str:
        """How a value of a label goes on. before: values before it. begun: what is written of it, and `half` of one more character."""
        if begun or half:
            if not before and ABSENT.startswith(begun) and not half:
                return ABSENT[len(begun) :]
            starts = self.starts(label)
            places = self._continuations(begun, half)
            best = max(places, key=lambda at: self._likely_start(at - len(begun), starts), default=None)
            return "" if best is None else self._until(label, best - len(begun), best)
        start = self._next_after(label, before[-1]) if before else self._first(label)
        return ABSENT if start is None else self._until(label, start, start)

    def is_sure(self, label: int) -> bool:
        """Whether the text says so plainly where the label's first value begins that guessing it pays."""
        start = self._first(label)
        return start is not None and self.starts(label)[start] >= _SURE

    def starts(self, label: int) -> dict[int, float]:
        """Where a value of the label may begin, with scores; the likeliest first, of equals the first in the text."""
        if label not in self._starts:
            scores: dict[int, float] = {}
            for start, score in (*self._after_keys(label), *self._as_before(label)):
                if start < len(self.text) and self.text[start] not in _STOPS and self.text[start] != ",":
                    scores[start] = max(score, scores.get(start, 0.0))
            for start, score in self._shaped(label):
                scores[start] = scores.get(start, 1.0) + score
            likely = sorted((-score, start) for start, score in scores.items() if score >= _LIKELY)
            self._starts[label] = {start: -score for score, start in likely}
        return self._starts[label]

    def _first(self, label: int) -> int | None:
        start = next(iter(self.starts(label)), None)
        profile = self.hints[label].profile
        rare = profile is not None and profile.present < 1 / 3
        return None if start is None or (rare and self.starts(label)[start] < 3) else start

    def _next_after(self, label: int, value: str) -> int | None:
        """Where the value after another one begins: after a mark that separates them, else at the next likely place."""
        at = self.text.rfind(value)
        end = at + len(value) if at >= 0 else 0
        start = end + len(_BETWEEN_VALUES.match(self.text, end)[0])  # type: ignore[index]  # it matches nothing at least
        later = [place for place in self.starts(label) if place >= end]
        return later[0] if later and start == end else start

    def _after_keys(self, label: int) -> Iterator[tuple[int, float]]:
        """Places after a word for the label; better after its own phrase, and where something separates them."""
        for rank, key in enumerate(self.hints[label].keys):
            for at in starts_of(self.text, key):
                end = at + len(key)
                start = _AFTER_KEY.match(self.text, end).end()  # type: ignore[union-attr]
                yield start, 2.0 + (start > end or end in self._breaks) + (rank == 0)

    def _as_before(self, label: int) -> Iterator[tuple[int, float]]:
        """Places after what stood before earlier values; the longer that is, the better."""
        profile = self.hints[label].profile
        for left, share in profile.lefts.items() if profile else ():
            for at in starts_of(self.text, left) if left else (0,):
                start = at + len(left)
                if profile and start < len(self.text):
                    odd = kind(self.text[start]) not in profile.kinds
                    yield start, (len(left) + share if left else 3 * share) - 3 * odd

    def _shaped(self, label: int) -> Iterator[tuple[int, float]]:
        """Places where the text has the shape of an earlier value with digits or ASCII letters in it."""
        profile = self.hints[label].profile
        best: dict[int, float] = {}
        for form, share in profile.shapes.items() if profile else ():
            for at in starts_of(self._shape, form) if "9" in form or "a" in form else ():
                if at == 0 or not (form[0] in "9a" and self._shape[at - 1] in "9a"):
                    self._origin = self._origin or shape_origin(self.text)
                    start = self._origin[at]
                    best[start] = max(best.get(start, 0.0), len(form) / 2 + share)
        yield from best.items()

    def _continuations(self, begun: str, half: bytes) -> list[int]:
        """Where in the text what is begun goes on: the longest end of it that stands there, two characters at least, counts."""
        for drop in range(max(1, len(begun) - 1)):
            tail = begun[drop:]
            ends = [at + len(tail) for at in starts_of(self.text, tail)] if tail else list(range(len(self.text)))
            found = [end for end in ends if self.text[end : end + 1].encode().startswith(half)]
            if found:
                return found[:_PLACES]
        return []

    def _likely_start(self, start: int, starts: dict[int, float]) -> tuple[float, int]:
        within_word = start > 0 and self.text[start - 1].isascii() and self.text[start - 1].isalnum()
        return starts.get(start, 0.0) - within_word, -start

    def _until(self, label: int, start: int, at: int) -> str:
        """The text from `at` to the likely end of the value that begins at `start`."""
        profile, stop = self.hints[label].profile, self._stop(at)
        if profile is None or not profile.lengths or start >= len(self.text):
            return self.text[at:stop].rstrip()
        ends = range(max(at, start + 1), max(at, min(len(self.text), start + _LONGEST)) + 1)
        end = max(ends, key=lambda end: self._end_score(profile, start, end) + (0.8 if end == stop else -0.3 if end > stop else 0.0))
        return self.text[at:end].rstrip()

    def _end_score(self, profile: Profile, start: int, end: int) -> float:
        """How much a value at [start, end) would be like earlier ones."""
        after, value = self.text[end : end + 2], self.text[start:end]
        around = profile.rights.get(after[:1], 0.0) + (1.5 * profile.rights.get(after, 0.0))
        form = profile.shapes.get(shape(value), 0.0)
        return around + profile.lasts.get(value[-1:], 0.0) + profile.lengths.get(len(value), 0.0) + form

    def _stop(self, start: int) -> int:
        """The next boundary in the text: a mark, a line break, or a blank, comma or point that does not stand within an ASCII word."""
        for at in range(start, min(len(self.text), start + _LONGEST)):
            character = self.text[at]
            if character in _STOPS or (at in self._breaks and at > start):
                return at
            if character in _STOPS_BETWEEN_WORDS:
                around = self.text[at - 1 : at] + self.text[at + 1 : at + 2]
                if not (around.isascii() and self.text[at + 1 : at + 2].isalnum()):
                    return at
        return min(len(self.text), start + _LONGEST)


def _breaks(text: str) -> Iterator[int]:
    """Where in the flattened text a line break or tab was taken out."""
    at = 0
    for character in text:
        if character in "\r\n\t":
            yield at
        else:
            at += 1
