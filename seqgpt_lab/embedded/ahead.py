"""Makes pools of batches ahead of their use, in worker processes; knows processes and how a batch travels, not what is in it."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from itertools import count
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from seqgpt_lab.embedded.packing import Batch
from seqgpt_lab.engine.parent import wait_until_parent_is_gone
from seqgpt_lab.errors import WorkerError

_SLOWEST_POOL = 300  # seconds; a worker that takes longer hangs
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


def made_ahead(pools: MakesPools, first: int, workers: int) -> Generator[list[Batch]]:
    """The pools from number `first` on, without end, made by `workers` processes, in order.

    The processes end with the iterator (close it), or soon after this process, however that ends. Raises WorkerError with what a worker
    raised, or when one is dead or hangs.
    """
    # Forked, so that the kinds' functions need not be pickled; a worker never touches the device.
    loader = DataLoader(
        _Sent(pools),
        batch_size=None,
        sampler=count(first),
        collate_fn=_as_sent,
        num_workers=workers,
        prefetch_factor=_AHEAD,
        timeout=_SLOWEST_POOL,
        worker_init_fn=_end_with_parent,
        multiprocessing_context="fork",
    )
    try:
        for pool in loader:
            yield [Batch(*(torch.from_numpy(part.astype(np.int64)) for part in parts)) for parts in pool]
    except Exception as error:
        raise WorkerError(f"a process that writes training documents failed: {error}; workers=0 writes them in this process") from error


def _as_sent(pool: list[Arrays]) -> list[Arrays]:
    return pool


def _end_with_parent(worker: int) -> None:
    """Have this worker end with its parent. torch's own watch would wait for ever on a pool half sent: others hold the pipe open."""

    def watch() -> None:
        wait_until_parent_is_gone()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
