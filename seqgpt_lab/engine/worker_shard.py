"""A shard whose collectives can be called off, by all ranks at the same token; knows no pipes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seqgpt_lab.engine.exchange import MemoryExchange
from seqgpt_lab.engine.memory import is_out_of_memory
from seqgpt_lab.engine.parallel import Shard


class PeerError(Exception):
    """A collective failed here, most likely because another rank is gone."""


@dataclass(slots=True)
class Control:
    """The batch that runs, and the newest one called off; written by two threads, one field each."""

    current: int = 0
    cancelled: int = -1


@dataclass(slots=True)
class Meeting:
    """Through what the ranks exchange tensors, once they have met; None: through torch.distributed."""

    exchange: MemoryExchange | None = None


@dataclass(frozen=True, slots=True)
class WorkerShard(Shard):
    """As Shard. A rank that was told to stop turns its logits to NaN: the reduction carries that to every rank, so that all of
    them leave the loop at the same token, by the LogitsError of `choose`, without a message more."""

    control: Control = field(default_factory=Control, compare=False)
    meeting: Meeting = field(default_factory=Meeting, compare=False)

    def add_up(self, tensor: Tensor) -> None:
        """Shard.add_up. Raises PeerError when a collective fails."""
        if self.meeting.exchange is not None:
            self.meeting.exchange.sum(tensor)
            return
        try:
            Shard.add_up(self, tensor)
        except RuntimeError as error:
            raise self._explained(error) from error

    def gather(self, tensor: Tensor) -> Tensor:
        """Shard.gather. Raises PeerError when a collective fails."""
        if self.meeting.exchange is not None:
            return self.meeting.exchange.gather(tensor)
        try:
            return Shard.gather(self, tensor)
        except RuntimeError as error:
            raise self._explained(error) from error

    def argmax(self, blocks: Iterable[Tensor], vocabulary: int, ids: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Shard.argmax; once a rank was told to stop, every rank has NaN for probabilities. Raises PeerError when a collective fails."""
        if self.control.cancelled >= self.control.current:
            first = next(iter(blocks))
            blocks, ids = [first.new_full((len(first), 1), torch.nan)], None  # a column of NaN also where none of ours was allowed
        return Shard.argmax(self, blocks, vocabulary, ids)

    def _explained(self, error: RuntimeError) -> Exception:
        return error if is_out_of_memory(error) else PeerError(str(error))
