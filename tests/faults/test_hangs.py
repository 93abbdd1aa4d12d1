"""Workers that are stopped or wait for each other: named errors in time, then right answers."""

from __future__ import annotations

import os
import pickle
import signal
import time
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.messages import Work
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.worker import Worker
from seqgpt_lab.errors import WorkerError
from tests.faults.strikes import ALLOWED_SECONDS, REQUESTS, answers_after_restart, last, seconds_to_fail


def test_a_stopped_worker_is_named_in_time_and_replaced(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    pid = last(engine)
    message = rf"\(process {pid}, cpu\) has not answered for \d(\.5)? s"
    assert seconds_to_fail(engine, lambda: os.kill(pid, signal.SIGSTOP), WorkerError, message) < ALLOWED_SECONDS
    assert not psutil.pid_exists(pid)
    assert answers_after_restart(engine) == wanted


def test_a_stopped_worker_that_takes_no_batch_in_is_named(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    """A batch larger than the pipe's buffer: sending it must not block for good."""
    os.kill(last(engine), signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(WorkerError, match="takes no messages"):
        engine.generate([Request((5,) * 400_000, 1)] * 2)
    assert time.monotonic() - started < ALLOWED_SECONDS
    assert answers_after_restart(engine) == wanted


def test_ranks_that_wait_for_each_other_are_noticed(
    checkpoint: Path, wanted: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that never reaches rank 1: rank 0 waits for it in a reduction; both still answer pings."""
    send = Worker.send_pickled

    def lossy(worker: Worker, message: bytes) -> None:
        if worker.spec.rank == 0 or not isinstance(pickle.loads(message), Work):
            send(worker, message)

    with Engine.load(checkpoint, dtype="fp32", device="cpu", tensor_parallel=2) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "send_pickled", lossy)
            started = time.monotonic()
            with pytest.raises(WorkerError, match=r"rank \d .* is alive but stuck: its replica has done no work for \d\.5 s"):
                engine.generate(REQUESTS)
            assert time.monotonic() - started < ALLOWED_SECONDS
        assert answers_after_restart(engine) == wanted
