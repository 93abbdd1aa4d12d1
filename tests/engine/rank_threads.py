"""Ranks as threads of one process that meet at a barrier: torch.distributed's two collectives, and nothing of the model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from unittest.mock import patch

import torch
from torch import Tensor

Result = TypeVar("Result")


class RankThreads:
    """`world_size` ranks that run the same function and can add up and gather tensors over each other."""

    def __init__(self, world_size: int) -> None:
        self.world_size = world_size
        self.sums = 0
        self._rank = threading.local()
        self._barrier = threading.Barrier(world_size, timeout=60)
        self._given: list[Tensor] = [torch.empty(0)] * world_size

    def run(self, work: Callable[[int], Result]) -> list[Result]:
        """`work(rank)` of every rank at once, in rank order; an error in one ends the others and is raised."""
        with (
            patch.object(torch.distributed, "all_reduce", self._all_reduce, create=True),
            patch.object(torch.distributed, "all_gather", self._all_gather, create=True),
            ThreadPoolExecutor(self.world_size) as pool,
        ):
            futures = [pool.submit(self._run_rank, work, rank) for rank in range(self.world_size)]
        errors = [error for error in (future.exception() for future in futures) if error]
        for error in errors:
            if not isinstance(error, threading.BrokenBarrierError):
                raise error
        return [future.result() for future in futures]

    def _run_rank(self, work: Callable[[int], Result], rank: int) -> Result:
        self._rank.value = rank
        try:
            with torch.inference_mode():
                return work(rank)
        except BaseException:
            self._barrier.abort()
            raise

    def _exchange(self, mine: Tensor) -> list[Tensor]:
        self._given[self._rank.value] = mine.clone()
        self._barrier.wait()
        everyone = list(self._given)
        self._barrier.wait()
        return everyone

    def _all_reduce(self, tensor: Tensor) -> None:
        everyone = self._exchange(tensor)
        if self._rank.value == 0:
            self.sums += 1
        tensor.copy_(torch.stack(everyone).sum(0))

    def _all_gather(self, outputs: list[Tensor], mine: Tensor) -> None:
        for output, given in zip(outputs, self._exchange(mine), strict=True):
            output.copy_(given)
