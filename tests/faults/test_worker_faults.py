"""Workers that die, stop, deadlock or are interrupted: named errors in time, then right answers."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.engine.decode import Request
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.messages import Work
from seqgpt_lab.engine.worker import Worker
from seqgpt_lab.errors import EngineWarning, WorkerError
from tests.engine.oracles import random_requests

VOCABULARY = 1001
REQUESTS = random_requests(6, vocabulary=VOCABULARY, longest=10, most=5)
LONG = [Request((5, 6, 7), 1), *[Request((8, 9, 10 + index), 20_000) for index in range(2)]]  # a first batch, then one without end


@pytest.fixture(scope="module", params=((2, 1), (1, 2)), ids=("ranks", "replicas"))
def engine(checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    ranks, replicas = request.param
    with Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=1, tensor_parallel=ranks, replicas=replicas) as engine:
        yield engine


@pytest.fixture(scope="module")
def wanted(checkpoint: Path) -> list[tuple[int, ...]]:
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as engine:
        return [completion.token_ids for completion in engine.generate(REQUESTS)]


def answers(engine: Engine) -> list[tuple[int, ...]]:
    return [completion.token_ids for completion in engine.generate(REQUESTS)]


def seconds_to_fail(engine: Engine, strike: Callable[[], None], error: type[BaseException], message: str | None) -> float:
    """Strike while the endless requests run; the seconds from then until the call raised `error`."""
    struck: list[float] = []

    def hit() -> None:
        struck.append(time.monotonic())
        strike()

    def progress(done: int, total: int) -> None:
        threading.Timer(0.3, hit).start()

    with pytest.raises(error, match=message):
        engine.generate(LONG, progress)
    return time.monotonic() - struck[0]


def answers_after_restart(engine: Engine) -> list[tuple[int, ...]]:
    with pytest.warns(EngineWarning, match="were started again"):
        return answers(engine)


def last(engine: Engine) -> int:
    """The last worker's process: rank 1, or replica 1."""
    return engine.workers[-1].pid


def test_a_killed_worker_is_named_in_time_and_started_again(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    pid = last(engine)
    message = rf"(?s)replica \d rank \d \(process {pid}, cpu\) ended with SIGKILL .*its log"
    assert seconds_to_fail(engine, lambda: os.kill(pid, signal.SIGKILL), WorkerError, message) < 5
    assert answers_after_restart(engine) == wanted
    assert last(engine) != pid


def test_a_stopped_worker_is_named_in_time_and_replaced(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    pid = last(engine)
    message = rf"\(process {pid}, cpu\) has not answered for \d(\.5)? s"
    assert seconds_to_fail(engine, lambda: os.kill(pid, signal.SIGSTOP), WorkerError, message) < 5
    assert not psutil.pid_exists(pid)
    assert answers_after_restart(engine) == wanted


def test_a_worker_that_died_between_calls_is_replaced_and_told(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    process = psutil.Process(last(engine))
    process.kill()
    psutil.wait_procs([process], timeout=5)
    assert answers_after_restart(engine) == wanted


def test_an_interrupted_call_leaves_the_engine_usable(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    """The stop button's signal goes to the workers too, which ignore it; the late batch is called off and never returned."""
    before = engine.workers

    def stop_button() -> None:
        for worker in before:
            os.kill(worker.pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(3):
        assert seconds_to_fail(engine, stop_button, KeyboardInterrupt, None) < 1
        assert answers(engine) == wanted
    assert engine.workers == before  # no restart was needed


def test_an_error_in_the_progress_callback_leaves_the_engine_usable(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.generate(LONG, progress)
    assert answers(engine) == wanted


def test_a_stopped_worker_that_takes_no_batch_in_is_named(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    """A batch larger than the pipe's buffer: sending it must not block for good."""
    os.kill(last(engine), signal.SIGSTOP)
    started = time.monotonic()
    with pytest.raises(WorkerError, match="takes no messages"):
        engine.generate([Request((5,) * 400_000, 1)] * 2)
    assert time.monotonic() - started < 5
    assert answers_after_restart(engine) == wanted


def test_ranks_that_wait_for_each_other_are_noticed(
    checkpoint: Path, wanted: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch that never reaches rank 1: rank 0 waits for it in a reduction; both still answer pings."""
    send = Worker.send

    def lossy(worker: Worker, message: object) -> None:
        if worker.spec.rank == 0 or not isinstance(message, Work):
            send(worker, message)

    with Engine.load(checkpoint, dtype="fp32", device="cpu", tensor_parallel=2) as engine:
        with monkeypatch.context() as patch:
            patch.setattr(Worker, "send", lossy)
            started = time.monotonic()
            with pytest.raises(WorkerError, match=r"rank \d .* is alive but stuck: its replica has done no work for \d\.5 s"):
                engine.generate(REQUESTS)
            assert time.monotonic() - started < 6
        assert answers_after_restart(engine) == wanted
