"""A constraint that travels to workers; imports next to nothing, for they are silent as long as they import it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Among:
    """Constraint and its source, for it has no state: always one of these sorted ids."""

    ids: tuple[int, ...]

    def start(self) -> Among:
        return self

    def forced(self) -> Sequence[int]:
        return ()

    def allowed(self) -> Tensor | None:
        return torch.tensor(self.ids)

    def advance(self, token_ids: Sequence[int]) -> None:
        pass

    def rollback(self, count: int) -> None:
        pass
