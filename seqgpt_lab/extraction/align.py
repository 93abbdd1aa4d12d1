"""Finds where in a text a value stands: exactly, or but for how its letters are encoded, width, case, white space and signs that nobody
sees. Knows no labels and no model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

from seqgpt_lab.documents.invisible import INVISIBLE
from seqgpt_lab.documents.places import Place, continues_letter, occurrences, whole_words_first
from seqgpt_lab.extraction.spans import Match, Span

# Pages hold signs that nobody sees, and models leave them out.
_UNREAD = re.compile(rf"[\s{INVISIBLE}]+")
_ACCENTS = 30
"""Of a letter, more than any language writes (Unicode's Stream-Safe Text Format): the time to order them grows with their square."""


class Aligner:
    """Places values in one text; linear in the text for each distinct value of a label, however often it is repeated."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._plain: tuple[str, list[Place]] | None = None

    def place(self, values: Sequence[tuple[str, float | None]]) -> tuple[Span, ...]:
        """Spans for one label's values with their confidences. A value that is repeated takes successive places in the text.

        Exact places come before approximate ones, and those where the value stands as a whole word before those inside a longer
        word or number. A value with no place left is `unaligned`.
        """
        used: set[Place] = set()
        candidates: dict[str, Iterator[tuple[Place, Match]]] = {}
        spans = []
        for value, confidence in values:
            left = candidates.setdefault(value, self._candidates(value))
            found = next((candidate for candidate in left if candidate[0] not in used), None)
            if found is None:
                spans.append(Span(value, None, None, confidence, "unaligned"))
            else:
                used.add(found[0])
                spans.append(Span(value, *found[0], confidence, found[1]))
        return tuple(spans)

    def _candidates(self, value: str) -> Iterator[tuple[Place, Match]]:
        for place in whole_words_first(self.text, occurrences(self.text, value)):
            yield place, "exact"
        for place in whole_words_first(self.text, self._lookalikes(value)):
            yield place, "approximate"

    def _lookalikes(self, value: str) -> Iterator[Place]:
        """Places where the text reads like the value but not the same, from left to right."""
        plain, origin = self._normalised()
        wanted = _normalise(value)[0]
        at = plain.find(wanted) if wanted else -1
        while at >= 0:
            end = at + len(wanted)
            # One letter can become several (`㎏` is `kg`); a place holds all of them or none.
            whole = origin[at - 1 : at] != [origin[at]] and origin[end : end + 1] != [origin[end - 1]]
            place = origin[at][0], origin[end - 1][1]
            if whole and self.text[slice(*place)] != value:
                yield place
            at = plain.find(wanted, end if whole else at + 1)

    def _normalised(self) -> tuple[str, list[Place]]:
        if self._plain is None:
            self._plain = _normalise(self.text)
        return self._plain


def _normalise(text: str) -> tuple[str, list[Place]]:
    """Half-width, lower-case text in decomposed letters, without white space and signs that nobody sees; and the place of the letter
    that each of its characters comes from."""
    characters: list[str] = []
    origin: list[Place] = []
    for start, end in _letters(text):
        plain = _plain(text[start:end])
        characters.append(plain)
        origin += [(start, end)] * len(plain)
    return "".join(characters), origin


@lru_cache(maxsize=1 << 13)  # more letters than a text has, few of them with accents
def _plain(letter: str) -> str:
    # Decomposed, as é can be written as one character or as e and its accent; and the whole letter, which orders its accents.
    return _UNREAD.sub("", unicodedata.normalize("NFKD", letter).casefold())


def _letters(text: str) -> Iterator[Place]:
    """Places of the characters of a text, each with the accents that follow it; of more than `_ACCENTS` the others are letters too."""
    start = 0
    for at, character in enumerate(text):
        if at > start and (at - start > _ACCENTS or not continues_letter(character)):
            yield start, at
            start = at
    if text:
        yield start, len(text)
