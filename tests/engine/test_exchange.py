"""Ranks that exchange tensors through shared memory, here as threads: the sums and stacks are those of the parts, however large."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqgpt_lab.engine import exchange as module
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.exchange import MemoryExchange, create_memory
from seqgpt_lab.engine.rendezvous import REDUCTION, choose_reduction
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import OptionError, WorkerError
from tests import shared_memory
from tests.checkpoints import write_random_checkpoint

pytestmark = pytest.mark.skipif(not module.is_supported(), reason="needs Linux on x86-64")


@contextmanager
def exchanges(world: int) -> Iterator[list[MemoryExchange]]:
    descriptor = create_memory(world)
    try:
        yield [MemoryExchange(descriptor, rank, world) for rank in range(world)]
    finally:
        os.close(descriptor)


def on_every_rank(ends: list[MemoryExchange], work: Callable[[MemoryExchange, int], list[Tensor]]) -> list[list[Tensor]]:
    with ThreadPoolExecutor(len(ends)) as pool:
        return [future.result(timeout=60) for future in [pool.submit(work, end, rank) for rank, end in enumerate(ends)]]


@given(
    st.integers(2, 4),
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 70)), min_size=1, max_size=12),
    st.sampled_from((torch.float32, torch.bfloat16, torch.float16, torch.float64)),
)
@settings(max_examples=25, deadline=None)
def test_many_exchanges_in_a_row_are_right_on_every_rank(world: int, shapes: list[tuple[int, int]], dtype: torch.dtype) -> None:
    """Small whole numbers, so that the sums are exact in every dtype."""
    generator = torch.Generator().manual_seed(len(shapes))
    parts = [torch.randint(-9, 10, (world, *shape), generator=generator).to(dtype) for shape in shapes]

    def work(end: MemoryExchange, rank: int) -> list[Tensor]:
        found = []
        for number, part in enumerate(parts):
            mine = part[rank].clone()
            if number % 2:
                found.append(end.gather(mine))
            else:
                end.sum(mine)
                found.append(mine)
        return found

    with exchanges(world) as ends:
        for found in on_every_rank(ends, work):
            for number, (got, part) in enumerate(zip(found, parts, strict=True)):
                assert torch.equal(got, part if number % 2 else part.sum(0))


def test_every_rank_ends_with_the_same_bits() -> None:
    """Whose part is added first shows in the last of them."""
    parts = torch.randn(4, 1000, generator=torch.Generator().manual_seed(0))

    def work(end: MemoryExchange, rank: int) -> list[Tensor]:
        mine = parts[rank].clone()
        end.sum(mine)
        return [mine]

    with exchanges(4) as ends:
        first, *others = (found[0] for found in on_every_rank(ends, work))
    assert all(torch.equal(other, first) for other in others)
    assert not torch.equal(parts.flip(0).sum(0), first), "any order would do"


def test_a_tensor_larger_than_a_slot_and_one_that_is_not_contiguous_are_summed() -> None:
    whole = torch.arange(1_000_003, dtype=torch.float32)  # four slots, the last one nearly empty
    square = torch.arange(12.0).view(3, 4)

    def work(end: MemoryExchange, rank: int) -> list[Tensor]:
        large, turned = whole * (rank + 1), (square * (rank + 1)).t()
        end.sum(large)
        end.sum(turned)
        return [large, turned]

    with exchanges(2) as ends:
        for large, turned in on_every_rank(ends, work):
            assert torch.equal(large, whole * 3) and torch.equal(turned, square.t() * 3)


def test_a_rank_that_waits_for_long_sleeps() -> None:
    """Else the engine's process could not tell a deadlock from work."""
    with exchanges(2) as ends:
        late = threading.Timer(1.5, lambda: ends[1].sum(torch.ones(1)))
        mine, before, started = torch.ones(1), time.thread_time(), time.monotonic()
        late.start()
        ends[0].sum(mine)
        assert mine.item() == 2 and time.monotonic() - started > 1
        assert time.thread_time() - before < 0.1  # a busy wait would take all of 1.5 s
        late.join()


def test_the_memory_has_no_name_and_goes_with_its_holders() -> None:
    before = shared_memory.names(), psutil.Process().num_fds()
    with exchanges(2) as ends:
        on_every_rank(ends, lambda end, rank: [end.gather(torch.ones(1))])
        assert shared_memory.names() <= before[0]
    del ends
    assert psutil.Process().num_fds() == before[1]


@pytest.mark.parametrize("how", ("memory", "gloo"))
def test_both_ways_of_adding_up_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    checkpoint = write_random_checkpoint(tmp_path, heads=12, hidden=48, vocabulary=1001)
    requests = [Request((5, 6, 7), 8), Request(tuple(range(40)), 8)]
    monkeypatch.setenv(REDUCTION, how)
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as alone, Engine.load(checkpoint, dtype="fp32", tensor_parallel=2) as ranks:
        assert [one.token_ids for one in ranks.generate(requests)] == [one.token_ids for one in alone.generate(requests)]
        maps = Path(f"/proc/{ranks.workers[1].pid}/maps").read_text(encoding="utf-8")
        assert ("seqgpt-lab-ranks" in maps) == (how == "memory")


def test_a_way_of_adding_up_that_does_not_exist_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REDUCTION, "mpi")
    with pytest.raises(OptionError, match=r"SEQGPT_LAB_REDUCTION='mpi' is no way .* use memory or gloo"):
        choose_reduction(torch.device("cpu"))
    with pytest.raises(WorkerError, match=r"replica 0 rank \d .*OptionError: .*use memory or gloo"):
        Engine.load(write_random_checkpoint(tmp_path, heads=4, hidden=64, vocabulary=100), dtype="fp32", tensor_parallel=2)
