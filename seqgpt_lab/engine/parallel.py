"""Which slice of the model a rank holds, and how ranks add up their parts; knows no model, only sizes and tensors."""

from __future__ import annotations

import math
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

    def argmax(self, logits: Tensor, vocabulary: int, ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Greedy choice over vocabulary shards: (token ids [N] int64, probabilities [N] float32).

        logits: this rank's block [N, block(vocabulary)], any float dtype. Each rank contributes its best logit, that logit's
        id and its log-sum-exp, so 3 numbers a row travel instead of the vocabulary. Ties go to the smallest id, as in torch.argmax.
        ids: the sorted ids [K] of the columns where logits are [N, K] of a part of the block; a rank may have none of them (K = 0).
        """
        if not logits.shape[-1]:  # nothing of ours is allowed: a column that cannot win
            logits, ids = logits.new_full((len(logits), 1), -math.inf), torch.full((1,), vocabulary, device=logits.device)
        best, token, total = _best(logits)
        token = token + self.block(vocabulary).start if ids is None else ids.index_select(0, token)
        if self.world_size > 1:
            best, token, total = self._argmax_over_ranks(best, token, total)
        return token, (best - total).exp()

    def _argmax_over_ranks(self, best: Tensor, token: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Every rank ends with the same winner: gathered in rank order, the first maximum is the smallest id."""
        mine = torch.stack([best.double(), token.double(), total.double()])  # [3, N]; doubles hold every id exactly
        stacked = self.gather(mine)  # [W, 3, N]
        winner = stacked[:, 0].argmax(dim=0, keepdim=True)  # [1, N]
        best, token = stacked[:, 0].gather(0, winner)[0], stacked[:, 1].gather(0, winner)[0]
        return best.float(), token.long(), stacked[:, 2].logsumexp(dim=0).float()


def _best(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Best logit, its column and the log-sum-exp [N] float32 each, a few rows at a time, so that no float copy of all is made.

    By way of softmax, which on a CPU takes a thirtieth of the time of torch.logsumexp.
    """
    parts = []
    for some in torch.split(logits, max(1, _FLOATS_AT_ONCE[logits.device.type] // logits.shape[-1])):
        floats = some.float()
        column = _argmax(floats)
        place = column.unsqueeze(-1)
        best = floats.gather(-1, place).squeeze(-1)
        total = best - floats.softmax(dim=-1).gather(-1, place).squeeze(-1).log()
        parts.append((best, column, torch.where(best.isneginf(), best, total)))
    bests, columns, totals = zip(*parts, strict=True)
    return torch.cat(bests), torch.cat(columns), torch.cat(totals)


def _argmax(floats: Tensor) -> Tensor:
    """The first largest column [N] int64 of each row; on a CPU by numpy, which takes a tenth of torch's time."""
    return torch.from_numpy(floats.numpy().argmax(-1)) if floats.device.type == "cpu" else floats.argmax(dim=-1)
