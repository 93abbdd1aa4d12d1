"""Calibration: every figure is measured, plausible beside a second way of measuring it, and makes a rig."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

import pytest
import torch
import torch.distributed
from torch._subclasses.fake_tensor import FakeTensorMode

from seqgpt_lab.errors import OptionError, WorkerError
from seqgpt_lab.studies import calibrate as module
from seqgpt_lab.studies.calibrate import calibrate
from seqgpt_lab.studies.speeds import best_of
from seqgpt_lab.studies.worker_speeds import _answers, worker_speeds

CPU = torch.device("cpu")


def test_fp32_figures_of_this_machine_make_a_rig_without_estimates() -> None:
    done: list[tuple[int, int]] = []
    rig = calibrate("here", dtypes=("fp32",), device="cpu", progress=lambda *steps: done.append(steps))
    assert done[-1] == (4, 4) and not rig.uncertain and all(basis.startswith("measured: ") for basis in rig.basis.values())
    assert rig.flops["fp16"] == rig.flops["fp32"]  # not asked for
    # A copy of memory by the C library reads and writes: not more than a few times quicker or slower than what was found.
    source, target = torch.zeros(2, 1 << 24)
    copied = 2 * source.nbytes / best_of(lambda: target.copy_(source), CPU, 3)
    assert 0.1 < rig.bandwidth / copied < 10
    left, right = torch.randn(2, 512, 512)
    product = 2 * 512**3 / best_of(lambda: left @ right, CPU, 3)
    assert 0.1 < rig.flops["fp32"] / product < 10
    assert 1e-7 < rig.op_seconds < 1e-3 and 1e-6 < rig.reduce_seconds < 1e-1


def test_the_quickest_round_counts_and_the_first_does_not() -> None:
    waits = iter([0.0, 1.0, 0.1, 0.5])
    assert 0.1 <= best_of(lambda: time.sleep(next(waits)), CPU, 3, elapsed=True) < 0.4


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(OptionError, match="device 'cuda:64' asked for"):
        calibrate(device="cuda:64")


def test_a_processors_memory_is_what_a_container_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.machine.memory_limit", lambda *_places: 3_000_000_000)
    found = {figure: {"fp32": 1.0} for figure in ("flops", "attention_flops", "single_query_bandwidth", "map_rate")}
    assert module._record("here", CPU, found)["memory_bytes"] == 3e9


class InThisProcess:
    """In place of multiprocessing's `spawn`: a process runs where it is started, to its end."""

    Pipe = staticmethod(multiprocessing.Pipe)

    class Process:
        def __init__(self, target: Callable[..., None], args: tuple[object, ...], daemon: bool) -> None:
            self.start = partial(target, *args)

        def join(self, seconds: float) -> None:
            """It has ended."""

        def kill(self) -> None:
            """Nor is there any to kill."""


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two GeForce cards without data, whose driver announces peer-to-peer: what is asked of them and of the ranks, in order, once each.

    Other processes hold 3 GB of the first and 5 of the second; the ranks add 0.6 and 0.7.
    """
    told: list[str] = []
    in_use = {0: iter((3 * 10**9, 36 * 10**8)), 1: iter((5 * 10**9, 57 * 10**8))}

    def note(what: str) -> None:
        if what not in told:
            told.append(what)

    monkeypatch.setenv("NCCL_P2P_DISABLE", "")  # so that what the ranks set is undone
    monkeypatch.delenv("NCCL_P2P_DISABLE")
    monkeypatch.setattr(multiprocessing, "get_context", lambda name: InThisProcess)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(torch.nn.Linear, "reset_parameters", lambda linear: None)  # draws numbers, for which fake cards have no kernel
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda card: "NVIDIA GeForce RTX 4090")
    monkeypatch.setattr(torch.cuda, "can_device_access_peer", lambda one, other: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda where: (24 * 10**9 - next(in_use[where.index]), 24 * 10**9))
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: note(f"chose {device}"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: note(f"waited for {device}"))
    ranks = torch.distributed
    monkeypatch.setattr(
        ranks, "init_process_group", lambda how, rank, **_: note(f"rank {rank} started {how}, off: {os.environ.get('NCCL_P2P_DISABLE')}")
    )
    monkeypatch.setattr(ranks, "all_reduce", lambda numbers: note(f"summed on {numbers.device}"))
    monkeypatch.setattr(ranks, "barrier", lambda: None)
    monkeypatch.setattr(ranks, "destroy_process_group", lambda: None)
    return told


def test_ranks_on_two_cards_start_nccl_as_the_engine_does_and_wait_for_their_own_card(told: list[str]) -> None:
    with FakeTensorMode():
        found = worker_speeds(torch.device("cuda"))
    for rank in (0, 1):
        here = f"cuda:{rank}"
        wanted = [f"chose {here}", f"rank {rank} started nccl, off: 1", f"summed on {here}", f"waited for {here}"]
        assert told[4 * rank : 4 * rank + 4] == wanted
    assert len(told) == 8 and found["share_of_speed"] == 1.0


def test_what_a_rank_holds_beside_its_weights_is_counted_on_its_card_without_other_processes(told: list[str]) -> None:
    with FakeTensorMode():
        found = worker_speeds(torch.device("cuda"))
    assert found["runtime_bytes"] == 7 * 10**8 - 12 * 4 * 1024 * 1024 * 2


class Dies:
    """In place of a process: one that ends without an answer, or one that never gives any. Notes whether it was ended."""

    ended: ClassVar[list[int]] = []
    Pipe = staticmethod(multiprocessing.Pipe)
    hanging: ClassVar[list[Any]] = []

    class Process:
        def __init__(self, target: Callable[..., None], args: tuple[Any, ...], daemon: bool) -> None:
            self.rank, self.pipe = args[0], args[-1]

        def start(self) -> None:
            """Rank 0 hangs: its end of the pipe stays open. Rank 1 dies: nobody holds its end but who started it."""
            if self.rank == 0:
                Dies.hanging.append(os.dup(self.pipe.fileno()))

        def join(self, seconds: float) -> None:
            raise AssertionError("one of two that hangs is not waited for")

        def kill(self) -> None:
            Dies.ended.append(self.rank)


def test_a_process_that_dies_is_told_at_once_and_the_other_one_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprocessing, "get_context", lambda name: Dies)
    try:
        with pytest.raises(WorkerError, match=r"has died; .*NCCL_P2P_DISABLE=1"):
            worker_speeds(CPU)
    finally:
        for descriptor in Dies.hanging:
            os.close(descriptor)
    assert Dies.ended == [0, 1]


def test_processes_that_hang_are_told_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = multiprocessing.Pipe(duplex=False)
    monkeypatch.setattr("seqgpt_lab.studies.worker_speeds._PATIENCE", 0.01)
    with theirs, ours, pytest.raises(WorkerError, match=r"has not answered for 0\.01 s"):
        _answers([ours])
