"""Prompt lookup: guesses that what followed the newest ids once follows them again. The simplest drafter, to measure others against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seqgpt_lab.errors import OptionError


@dataclass(frozen=True, slots=True)
class PromptLookup:
    """A DraftSource and its drafter, for it has no state. longest: ids at the end of the answer to look up, fewer when they are not found.

    The answer so far is looked through too, behind the prompt; of several places the last one counts.
    """

    prompt_ids: tuple[int, ...]
    longest: int = 3

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise OptionError(f"longest is {self.longest}; at least 1 id has to be looked up")

    def start(self) -> PromptLookup:
        return self

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        """As Drafter.propose."""
        known = [*self.prompt_ids, *written]
        for count in range(min(self.longest, len(known) - 1), 0, -1):
            newest = known[-count:]
            for start in range(len(known) - count - 1, -1, -1):
                if known[start : start + count] == newest:
                    return known[start + count : start + count + most]
        return ()
