"""Finds where a value stands in a text, as a word of its own or inside a longer word or number. Knows no document."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

_LETTER_OR_DIGIT = re.compile("[0-9A-Za-z０-９Ａ-Ｚａ-ｚ]")
_DATE = r"(?:19|20)[0-9]{2}(?: ?年|([-/])[0-9]{1,2}\1[0-9])"
# Thousands and decimals. No dates, versions and addresses (2024.5.9), whose parts are values too, no lists (1,2,3), and no dates after
# the number of a list's item (1.2024年5月9日).
_NUMBER = re.compile(rf"(?<![0-9.])(?:[0-9]{{1,3}}(?:,[0-9]{{3}})+(?:\.[0-9]+)?|[0-9]+\.(?!{_DATE})[0-9]+)(?![0-9]|\.[0-9])")
_NEAR = 32  # characters on each side of a boundary that may belong to the same number

Place = tuple[int, int]
"""Code points [start, end) of a text."""


def occurrences(text: str, value: str) -> Iterator[Place]:
    """Places of a value that do not overlap one another, from left to right; none of an empty one."""
    at = text.find(value) if value else -1
    while at >= 0:
        yield at, at + len(value)
        at = text.find(value, at + len(value))


def whole_words_first(text: str, places: Iterable[Place]) -> Iterator[Place]:
    """`3` in `13800`, or in `3.5`, is hardly what was meant where a lone `3` follows."""
    inside = []
    for place in places:
        if stands_alone(text, place):
            yield place
        else:
            inside.append(place)
    yield from inside


def continues_letter(character: str) -> bool:
    """Whether a character belongs to the letter before it: an accent, a half-width voicing mark, or a later part of a Hangul syllable."""
    return unicodedata.combining(character) > 0 or character in "ﾞﾟ" or "\u1161" <= character <= "\u11ff"


def stands_alone(text: str, place: Place) -> bool:
    """Whether neither boundary of a place cuts a letter from its accent, a run of letters and digits (ASCII, or full-width), or a number
    such as 1,280 or 3.5."""
    return not any(_joined(text, boundary) for boundary in place)


def _joined(text: str, boundary: int) -> bool:
    """Whether what stands on both sides of a boundary is one word or number."""
    before, after = text[max(0, boundary - _NEAR) : boundary], text[boundary : boundary + _NEAR]
    if not before or not after:
        return False
    if continues_letter(after[0]):
        return True
    if _LETTER_OR_DIGIT.match(before[-1]) and _LETTER_OR_DIGIT.match(after[0]):
        return True
    return any(number.start() < len(before) < number.end() for number in _NUMBER.finditer(before + after))
