"""Sentences that name places in a text, kept so that the places can be counted anew in another version of it. Knows no document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offset:
    """Code points before a place in a text; ends: whether something ends there, so that it goes with the character before it."""

    at: int
    ends: bool


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence in pieces, with its offsets among them."""

    pieces: tuple[str | Offset, ...]

    def __str__(self) -> str:
        return "".join(str(piece.at) if isinstance(piece, Offset) else piece for piece in self.pieces)

    def recounted(self, count: Callable[[Offset], int]) -> Told:
        """The same sentence with other offsets. count: what takes an offset's place."""
        return Told(tuple(Offset(count(piece), piece.ends) if isinstance(piece, Offset) else piece for piece in self.pieces))
