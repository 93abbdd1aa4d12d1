"""Which slice of the model a rank holds, and how ranks add up their parts; knows no model, only sizes and tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from seqgpt_lab.errors import OptionError

_FLOATS_AT_ONCE = {"cpu": 1 << 18, "cuda": 1 << 24}  # on a CPU what its caches hold, and what malloc keeps at hand


@dataclass(frozen=True, slots=True)
class Shard:
    """The part of a tensor-parallel model that one rank holds: rank in [0, world_size)."""

    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise OptionError(f"rank {self.rank} is outside [0, {self.world_size}), the ranks of a world of {self.world_size}")

    def heads(self, total: int) -> range:
        """This rank's attention heads; the world size must divide them, else the ranks would do unequal work."""
        if total % self.world_size:
            works = [size for size in range(1, total + 1) if total % size == 0]
            raise OptionError(f"{total} attention heads cannot be shared by {self.world_size} ranks; world sizes that work: {works}")
        return self.block(total)

    def block(self, total: int) -> range:
        """This rank's block of `total` rows in equal steps, rounded up; the last blocks may be shorter, or empty."""
        step = -(-total // self.world_size)
        return range(min(total, self.rank * step), min(total, (self.rank + 1) * step))

    def sum(self, partial: Tensor) -> Tensor:
        """The sum of every rank's `partial`, in place; with one rank, `partial` itself."""
        if self.world_size > 1:
            self.add_up(partial)
        return partial

    def add_up(self, tensor: Tensor) -> None:
        """Every rank's `tensor` becomes the sum of all. For worlds of several ranks."""
        torch.distributed.all_reduce(tensor)

    def gather(self, tensor: Tensor) -> Tensor:
        """Every rank's `tensor`, stacked in rank order [W, ...]. For worlds of several ranks."""
        everyone = [torch.empty_like(tensor) for _ in range(self.world_size)]
        torch.distributed.all_gather(everyone, tensor)
        return torch.stack(everyone)

    def argmax(self, blocks: Iterable[Tensor], vocabulary: int, ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Greedy choice over vocabulary shards: (token ids [N] int64, probabilities [N] float32).

        blocks: this rank's logits, columns [N, K] side by side in order, any float dtype, each looked at before the next is computed;
        together they are block(vocabulary) wide, or as long as `ids`. Each rank contributes its best logit, that logit's id and its
        log-sum-exp, so 3 numbers a row travel instead of the vocabulary. Ties go to the smallest id, as in torch.argmax.
        ids: the sorted ids of the columns where only some of the block are scored; a rank may have none of them.
        """
        best, token, total = _best(blocks)
        if ids is None:
            token = token + self.block(vocabulary).start
        else:  # behind them an id that does not exist: of the column that cannot win, where there are none
            token = torch.cat([ids, ids.new_full((1,), vocabulary)]).index_select(0, token)
        if self.world_size > 1:
            # [W, 3, N]; doubles hold every id exactly. Every rank ends with the same winner: ranks are in the order of their ids.
            best, token, total = self.gather(torch.stack([best.double(), token.double(), total.double()])).unbind(1)
            best, token, total = _best_of(best, token, total)
        return token.long(), (best - total).exp().float()


def _best(blocks: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Best logit float32, its column, counted through, and the log-sum-exp float32, [N] each, of logits [N, K] side by side.

    Where there is no column the best is -inf, and its column 0.
    """
    found, first = [], 0
    for block in blocks:
        if not block.shape[-1]:  # nothing of ours is allowed: a column that cannot win
            block = block.new_full((len(block), 1), -math.inf)
        best, column, total = _best_of_block(block)
        found.append((best, column + first, total))
        first += block.shape[-1]
        del block  # before the next is computed
    if len(found) == 1:
        return found[0]
    bests, columns, totals = (torch.stack(parts) for parts in zip(*found, strict=True))
    return _best_of(bests, columns, totals)


def _best_of(bests: Tensor, columns: Tensor, totals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of what several parts [P, N] each found, in order: the first largest, its column, and the log-sum-exp of all, [N] each."""
    winner = bests.argmax(dim=0, keepdim=True)  # [1, N]
    return bests.gather(0, winner).squeeze(0), columns.gather(0, winner).squeeze(0), totals.logsumexp(dim=0)


def _best_of_block(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `_best`, of logits [N, K], a few rows at a time: what a core's cache holds of floats is gone through four times."""
    parts = []
    for some in torch.split(logits, max(1, _FLOATS_AT_ONCE[logits.device.type] // logits.shape[-1])):
        floats = some.to(torch.float32, copy=True)
        column = _argmax(floats)
        best = floats.gather(-1, column.unsqueeze(-1)).squeeze(-1)
        total = best + floats.sub_(best.unsqueeze(-1)).exp_().sum(-1).log()
        parts.append((best, column, torch.where(best.isneginf(), best, total)))
    bests, columns, totals = zip(*parts, strict=True)
    return torch.cat(bests), torch.cat(columns), torch.cat(totals)


def _argmax(floats: Tensor) -> Tensor:
    """The first largest column [N] int64 of each row; on a CPU by numpy, which takes a tenth of torch's time."""
    return torch.from_numpy(floats.numpy().argmax(-1)) if floats.device.type == "cpu" else floats.argmax(dim=-1)
