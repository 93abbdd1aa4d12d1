"""Adds up and gathers tensors over ranks of one machine through memory they share; knows no model, no pipes and no libraries.

A rank lays its part into a slot of its own, raises its count and waits until all counts are as high; then every rank adds up all
slots in the same order, so that all end with the same bits. Two banks of slots take turns: whoever is already at the next exchange
writes into the other bank, and nobody can be two ahead. The memory has no name, so nothing is left when processes are killed.
"""

from __future__ import annotations

import mmap
import os
import platform
import time

import torch
from torch import Tensor

_SLOT_BYTES = 1 << 20  # larger tensors go in pieces; two banks of a few slots stay in the processor's cache
_LINE = 64  # bytes between counts: ranks that write them do not fight over a cache line
_SPINS = 300  # about 20 microseconds: ranks do equal work and are seldom further apart
_YIELD_SECONDS = 0.002  # from then on a rank that waits gives its core to others
_LONGEST_SLEEP_SECONDS = 0.05


def is_supported() -> bool:
    """Whether plain stores of one process are seen by another in the order they were made, and memory can be shared without a name."""
    return platform.machine() in ("x86_64", "AMD64") and hasattr(os, "memfd_create")


def create_memory(world_size: int) -> int:
    """A file descriptor of zeroed memory for so many ranks; others open it as `/proc/<process>/fd/<descriptor>`. Raises OSError."""
    descriptor = os.memfd_create("seqgpt-lab-ranks")
    os.ftruncate(descriptor, _bytes(world_size))
    return descriptor


def _bytes(world_size: int) -> int:
    return world_size * _LINE + 2 * world_size * _SLOT_BYTES


class MemoryExchange:
    """One rank's end of the shared memory. Every rank has to make the same calls in the same order."""

    def __init__(self, descriptor: int, rank: int, world_size: int) -> None:
        """descriptor: as `create_memory` gives it, mapped here; the caller may close it then."""
        self._rank, self._world_size, self._number = rank, world_size, 0
        memory = mmap.mmap(descriptor, _bytes(world_size))
        self._counts = memoryview(memory)[: world_size * _LINE].cast("q")
        slots = torch.frombuffer(memory, dtype=torch.uint8, offset=world_size * _LINE)
        self._slots = slots.view(2, world_size, _SLOT_BYTES)

    def sum(self, tensor: Tensor) -> None:
        """The sum of every rank's `tensor`, in place, added up in rank order in the tensor's dtype. A CPU tensor."""
        flat = tensor.view(-1) if tensor.is_contiguous() else tensor.reshape(-1)
        step = _SLOT_BYTES // tensor.itemsize
        for start in range(0, flat.numel(), step):
            piece = flat[start : start + step]
            parts = self._share(piece)
            torch.add(parts[0], parts[1], out=piece)
            for part in parts[2:]:
                piece += part
        if not tensor.is_contiguous():
            tensor.copy_(flat.view(tensor.shape))

    def gather(self, tensor: Tensor) -> Tensor:
        """Every rank's `tensor`, stacked in rank order. A CPU tensor of at most a megabyte."""
        return self._share(tensor.reshape(-1)).clone().view(self._world_size, *tensor.shape)

    def _share(self, piece: Tensor) -> Tensor:
        """Lay out this rank's piece [N] and wait for the others': a view of all [W, N], good until the next call but one."""
        self._number += 1
        bank = self._slots[self._number % 2, :, : piece.nbytes].view(piece.dtype)  # [W, N]
        bank[self._rank] = piece
        self._counts[self._rank * _LINE // 8] = self._number
        for rank in range(self._world_size):
            self._await(rank * _LINE // 8)
        return bank

    def _await(self, place: int) -> None:
        """Until the count at `place` is as high as ours: hot at first, then giving way, then asleep a sixteenth longer than so far.

        So a rank that waits for good uses next to no processor time, by which the engine's process knows a deadlock. A rank that is
        gone is not noticed here but by the engine's process, which ends this one.
        """
        counts, number = self._counts, self._number
        for _ in range(_SPINS):
            if counts[place] >= number:
                return
        started = time.monotonic()
        while counts[place] < number:
            waited = time.monotonic() - started
            if waited < _YIELD_SECONDS:
                os.sched_yield()
                time.sleep(0)  # lets this process's listening thread run, which the call before does not
            else:
                time.sleep(min(waited / 16, _LONGEST_SLEEP_SECONDS))
