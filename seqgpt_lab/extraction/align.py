"""Finds where in a text a value stands: exactly, or but for width and white space. Knows no labels and no model."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence

from seqgpt_lab.extraction.extraction import Span


class Aligner:
    """Places values in one text; linear in the text for each value, whatever its length."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._plain: tuple[str, list[int]] | None = None

    def place(self, values: Sequence[tuple[str, float | None]]) -> tuple[Span, ...]:
        """Spans for one label's values with their confidences. A value that is repeated takes successive places in the text.

        Places where the value stands as a whole word come before those inside a longer run of letters or digits. A value
        with no place left is `unaligned`.
        """
        used: set[tuple[int, int]] = set()
        spans = []
        for value, confidence in values:
            span = self._next(value, confidence, used)
            if span.start is not None and span.end is not None:
                used.add((span.start, span.end))
            spans.append(span)
        return tuple(spans)

    def _next(self, value: str, confidence: float | None, used: set[tuple[int, int]]) -> Span:
        for start, end in _whole_words_first(self.text, _occurrences(self.text, value)):
            if (start, end) not in used:
                return Span(value, start, end, confidence, "exact")
        plain, origin = self._normalised()
        wanted = _normalise(value)[0]
        for start, end in _occurrences(plain, wanted):
            place = (origin[start], origin[end - 1] + 1)
            if place not in used and self.text[place[0] : place[1]] != value:
                return Span(value, *place, confidence, "approximate")
        return Span(value, None, None, confidence, "unaligned")

    def _normalised(self) -> tuple[str, list[int]]:
        if self._plain is None:
            self._plain = _normalise(self.text)
        return self._plain


def _normalise(text: str) -> tuple[str, list[int]]:
    """Half-width, lower-case text without white space, and each of its characters' index in the original."""
    characters: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text):
        for plain in unicodedata.normalize("NFKC", character).casefold():
            if not plain.isspace():
                characters.append(plain)
                origin.append(index)
    return "".join(characters), origin


def _occurrences(text: str, value: str) -> Iterator[tuple[int, int]]:
    """Places [start, end) of a value that do not overlap one another, from left to right."""
    at = text.find(value) if value else -1
    while at >= 0:
        yield at, at + len(value)
        at = text.find(value, at + len(value))


def _whole_words_first(text: str, places: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """`3` in `13800` is hardly what was meant where a lone `3` follows."""
    inside = []
    for start, end in places:
        if _joined(text, start) or _joined(text, end):
            inside.append((start, end))
        else:
            yield start, end
    yield from inside


def _joined(text: str, boundary: int) -> bool:
    """Whether an ASCII letter or digit stands on both sides of a boundary."""
    around = text[max(0, boundary - 1) : boundary + 1]
    return 0 < boundary < len(text) and around.isascii() and around.isalnum()
