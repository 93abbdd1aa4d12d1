"""Reads the model's answer: lines of `label: value<TAB>value`, `None` when absent. Knows no text and no offsets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.extraction.extraction import PARSE_PROBLEM

ABSENT = "None"


@dataclass(frozen=True, slots=True)
class Value:
    """A value at characters [start, end) of the raw answer."""

    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Answer:
    """values[i] are those of the i-th phrase asked; problems are sentences that begin with `parse:`."""

    values: tuple[tuple[Value, ...], ...]
    problems: tuple[str, ...]


def parse_answer(raw: str, phrases: Sequence[str]) -> Answer:
    """Read an answer to `phrases`. One phrase may be answered bare, without its name in front.

    What cannot be read is reported, never dropped: lines that name no phrase asked, phrases without a line, a phrase answered twice.
    """
    found: dict[str, list[Value]] = {}
    problems: list[str] = []
    lines = raw.split("\n")
    bare = len(phrases) == 1 and not any(_phrase_of(line, phrases)[0] for line in lines)
    at = 0
    for line in lines:
        phrase, skip = (phrases[0], 0) if bare and not found and line.strip() else _phrase_of(line, phrases)
        if phrase is not None:
            problems += _read_line(phrase, line[skip:], at + skip, found)
        elif line.strip():
            problems.append(f"{PARSE_PROBLEM} the line {quoted(line)} names none of the labels asked")
        at += len(line) + 1
    problems += [f"{PARSE_PROBLEM} there is no answer for {phrase!r}" for phrase in phrases if phrase not in found]
    return Answer(tuple(tuple(found.get(phrase, ())) for phrase in phrases), tuple(problems))


def _read_line(phrase: str, rest: str, at: int, found: dict[str, list[Value]]) -> list[str]:
    """Add the values of a phrase's line, which begin at character `at` of the answer; gives back what is wrong with it."""
    values = _values(rest, at)
    problems = []
    if phrase in found:
        problems.append(f"{PARSE_PROBLEM} {phrase!r} was answered more than once; all its values are kept")
    if values is None:
        problems.append(f"{PARSE_PROBLEM} {phrase!r} was answered with nothing, neither a value nor {ABSENT}")
    found.setdefault(phrase, []).extend(values or ())
    return problems


def _phrase_of(line: str, phrases: Sequence[str]) -> tuple[str | None, int]:
    """The longest phrase a line begins with, and where its values start."""
    for phrase in sorted(phrases, key=len, reverse=True):
        rest = line[len(phrase) :]
        if line.startswith(phrase) and rest[:1] in (":", "："):
            return phrase, len(phrase) + 1
    return None, 0


def _values(text: str, at: int) -> list[Value] | None:
    """The tab-separated values of a line's rest; [] when it says None, None when it says nothing."""
    values = []
    for piece in text.split("\t"):
        stripped = piece.strip()
        if stripped:
            start = at + piece.index(stripped)
            values.append(Value(stripped, start, start + len(stripped)))
        at += len(piece) + 1
    if not values:
        return None
    return [] if [value.text for value in values] == [ABSENT] else values
