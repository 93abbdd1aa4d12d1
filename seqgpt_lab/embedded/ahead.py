"""Makes pools of batches ahead of their use, in worker processes; knows processes and how a batch travels, not what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from seqgpt_lab.embedded.packing import Batch

SLOWEST_POOL = 300  # seconds; a worker that takes longer is taken for dead
_AHEAD = 2  # pools a worker

Arrays = tuple[NDArray[np.int32], ...]


class MakesPools(Protocol):
    def __getitem__(self, pool: int) -> list[Batch]: ...


class _Sent(Dataset[list[Arrays]]):
    """Pools as plain arrays: tensors would each take an open file on their way between processes."""

    def __init__(self, pools: MakesPools) -> None:
        self.pools = pools

    def __getitem__(self, pool: int) -> list[Arrays]:
        return [tuple(part.numpy().astype(np.int32) for part in batch.parts()) for batch in self.pools[pool]]


def made_ahead(pools: MakesPools, first: int, workers: int) -> Iterator[list[Batch]]:
    """The pools from number `first` on, without end, made by `workers` processes, in order.

    The processes end with the iterator, or within seconds of this process. Raises what making a pool raised, RuntimeError when a
    worker is dead or takes longer than SLOWEST_POOL.
    """
    # Forked, so that the kinds' functions need not be pickled; a worker never touches the device.
    loader = DataLoader(
        _Sent(pools),
        batch_size=None,
        sampler=count(first),
        collate_fn=_as_sent,
        num_workers=workers,
        prefetch_factor=_AHEAD,
        timeout=SLOWEST_POOL,
        multiprocessing_context="fork",
    )
    for pool in loader:
        yield [Batch(*(torch.from_numpy(part.astype(np.int64)) for part in parts)) for parts in pool]


def _as_sent(pool: list[Arrays]) -> list[Arrays]:
    return pool
