"""Finds where a value stands in a text, as a word of its own or inside a longer run of letters or digits. Knows no document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

Place = tuple[int, int]
"""Code points [start, end) of a text."""


def occurrences(text: str, value: str) -> Iterator[Place]:
    """Places of a value that do not overlap one another, from left to right; none of an empty one."""
    at = text.find(value) if value else -1
    while at >= 0:
        yield at, at + len(value)
        at = text.find(value, at + len(value))


def whole_words_first(text: str, places: Iterable[Place]) -> Iterator[Place]:
    """`3` in `13800` is hardly what was meant where a lone `3` follows."""
    inside = []
    for place in places:
        if stands_alone(text, place):
            yield place
        else:
            inside.append(place)
    yield from inside


def stands_alone(text: str, place: Place) -> bool:
    """Whether neither boundary of a place cuts a run of ASCII letters and digits."""
    return not any(_joined(text, boundary) for boundary in place)


def _joined(text: str, boundary: int) -> bool:
    """Whether an ASCII letter or digit stands on both sides of a boundary."""
    around = text[max(0, boundary - 1) : boundary + 1]
    return 0 < boundary < len(text) and around.isascii() and around.isalnum()
