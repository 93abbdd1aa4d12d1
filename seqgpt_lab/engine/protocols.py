"""What a request may bring along to steer its answer, token ids only: a constraint on what may be written, and guesses at what will be.

A source travels inside the request, to every worker, so it has to be picklable; each rank starts a state of its own from it, and all
ranks agree because a state depends on nothing but the ids that were written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor


class Constraint(Protocol):
    """The state of one answer: what may follow the ids written so far."""

    def forced(self) -> Sequence[int]:
        """Ids that must come next, one after the other, maybe none: they are written without asking the model."""
        ...

    def allowed(self) -> Tensor | None:
        """Sorted int64 ids [K], K >= 1, of which one comes next, the end token among them where the answer may end; None: any id."""
        ...

    def advance(self, token_ids: Sequence[int]) -> None:
        """These ids were written; the end token is told too."""
        ...

    def rollback(self, count: int) -> None:
        """Take the last `count` advanced ids back: drafts are tried ahead of the model's choice."""
        ...


class Drafter(Protocol):
    """Guesses at one answer. A wrong guess costs time, never a different answer."""

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        """The ids that may come next, at most `most`, maybe none; one that the model has not is let go. written: the answer so far."""
        ...


class ConstraintSource(Protocol):
    """Starts constraints; picklable."""

    def start(self) -> Constraint: ...


class DraftSource(Protocol):
    """Starts drafters; picklable."""

    def start(self) -> Drafter: ...
