"""Sentences that name places in a text, kept so that the places can be counted anew in another version of it. Knows no document."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Offset:
    """Code points before a place in a text; ends: whether something ends there, so that it goes with the character before it."""

    at: int
    ends: bool

    def __str__(self) -> str:
        return str(self.at)

    def recounted(self, count: Callable[[Offset], int]) -> Offset:
        """The same place in another version of the text."""
        return Offset(count(self), self.ends)


@dataclass(frozen=True, slots=True)
class Shortest:
    """Code points of the shortest of some stretches of a text, each from where it begins to where it ends; which one that is may differ
    from version to version."""

    stretches: tuple[tuple[Offset, Offset], ...]

    def __str__(self) -> str:
        # What is empty in one version may begin, in another, behind what was dropped between the two.
        return str(min(max(0, end.at - start.at) for start, end in self.stretches))

    def recounted(self, count: Callable[[Offset], int]) -> Shortest:
        """The same stretches in another version of the text."""
        return Shortest(tuple((start.recounted(count), end.recounted(count)) for start, end in self.stretches))


@dataclass(frozen=True, slots=True)
class Told:
    """A sentence in pieces, with what is counted in the text among them."""

    pieces: tuple[str | Offset | Shortest, ...]

    def __str__(self) -> str:
        return "".join(map(str, self.pieces))

    def recounted(self, count: Callable[[Offset], int]) -> Told:
        """The same sentence with other offsets. count: what takes an offset's place."""
        return Told(tuple(piece if isinstance(piece, str) else piece.recounted(count) for piece in self.pieces))
