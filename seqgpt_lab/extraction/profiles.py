"""What a label's values looked like in earlier answers: what stood around them, how long and how shaped they were. Knows no model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

_AROUND = 6  # characters before a value that may tell it
_ANSWERS, _LABELS = 32, 512  # remembered
_RUNS = re.compile(r"[0-9]+|[A-Za-z]+")

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Example:
    """A value, and up to six characters before and two after it: fewer at the text's edges."""

    left: str
    value: str
    right: str

    @classmethod
    def at(cls, text: str, start: int, end: int) -> Example:
        """The value at code points [start, end) of a text without line breaks and tabs."""
        return cls(text[max(0, start - _AROUND) : start], text[start:end], text[end : end + 2])


@dataclass(frozen=True, slots=True)
class Profile:
    """A label's earlier values. present: the share of answers that named one. The others: of the values that were named, the share

    with these 1 to 6 characters before (`lefts`; nothing: at the text's beginning) or these 1 or 2 after them (`rights`; fewer at the
    text's end), of these kinds of first (`kinds`) and with these last characters (`lasts`), of these `lengths`, and of these `shapes`.
    """

    present: float
    lefts: dict[str, float]
    rights: dict[str, float]
    kinds: dict[str, float]
    lasts: dict[str, float]
    lengths: dict[int, float]
    shapes: dict[str, float]

    @classmethod
    def of(cls, answers: Sequence[Sequence[Example]]) -> Profile:
        """The profile of what some answers named, at least one answer."""
        examples = [example for answer in answers for example in answer]
        return cls(
            sum(map(bool, answers)) / len(answers),
            _shares([set(_lefts(example.left)) for example in examples]),
            _shares([{example.right[:1], example.right} for example in examples]),
            _shares([{kind(example.value[0])} for example in examples]),
            _shares([{example.value[-1]} for example in examples]),
            _shares([{len(example.value)} for example in examples]),
            _shares([{shape(example.value)} for example in examples]),
        )


class Experience:
    """The latest answers about each label, at most 32, of at most 512 labels. What it hands out never changes afterwards."""

    def __init__(self) -> None:
        self._answers: dict[str, tuple[Sequence[Example], ...]] = {}
        self._profiles: dict[str, Profile] = {}

    def add(self, phrase: str, answer: Sequence[Example]) -> None:
        """Remember what an answer named, or that it named nothing."""
        self._answers[phrase] = (*self._answers.pop(phrase, ()), tuple(answer))[-_ANSWERS:]
        self._profiles.pop(phrase, None)
        if len(self._answers) > _LABELS:
            oldest = next(iter(self._answers))
            del self._answers[oldest]
            self._profiles.pop(oldest, None)

    def profile(self, phrase: str) -> Profile | None:
        """What is known about a label; None before its first answer, and where it is no longer remembered."""
        if phrase not in self._profiles and phrase in self._answers:
            self._profiles[phrase] = Profile.of(self._answers[phrase])
        return self._profiles.get(phrase)


def kind(character: str) -> str:
    """Whether a character is a digit, an ASCII letter, another letter or a mark: `9`, `a`, `字` or `.`."""
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "a" if character.isascii() else "字"
    return "."


def shape(text: str) -> str:
    """A text with each run of digits as `9` and of ASCII letters as `a`: `2024年5月9日` becomes `9年9月9日`."""
    return _RUNS.sub(lambda run: kind(run[0][0]), text)


def shape_origin(text: str) -> list[int]:
    """Where in a text each character of its shape begins, and the text's length."""
    origin: list[int] = []
    at = 0
    for run in _RUNS.finditer(text):
        origin += range(at, run.start() + 1)
        at = run.end()
    return [*origin, *range(at, len(text) + 1)]


def _lefts(left: str) -> Iterator[str]:
    yield from (left[at:] for at in range(len(left)))
    if len(left) < _AROUND:
        yield ""


def _shares(of_each: Sequence[set[Key]]) -> dict[Key, float]:
    counted = Counter(key for keys in of_each for key in keys)
    return {key: count / len(of_each) for key, count in counted.items()}
