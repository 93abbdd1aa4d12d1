"""Engines that are closed while another thread is at work: that thread is told so, soon, and nothing hangs or stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.engine.decode import Numbered
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.replica import Replica
from seqgpt_lab.engine.workers import WorkerPool
from seqgpt_lab.errors import EngineClosedError
from tests.faults.strikes import ALLOWED_SECONDS, LONG, REQUESTS


@pytest.fixture(params=((1, 1), (2, 1), (1, 2)), ids=("in process", "ranks", "replicas"))
def engine(checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    ranks, replicas = request.param
    with Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=1, tensor_parallel=ranks, replicas=replicas) as engine:
        yield engine


def generate(engine: Engine, tell: Callable[[], object]) -> None:
    engine.generate(LONG, lambda _done, _total: tell())


def serve(engine: Engine, tell: Callable[[], object]) -> None:
    left = list(enumerate(LONG))

    def more(places: int) -> list[Numbered]:
        found, left[:] = left[:places], left[places:]
        return found

    engine.serve(more, lambda _numbers, _completions: tell())


@pytest.mark.parametrize("way", (generate, serve))
def test_a_call_at_work_and_one_that_waits_end_when_the_engine_is_closed(engine: Engine, way: Callable[..., None]) -> None:
    """The requests are endless: only the closing ends them."""
    workers = [worker.pid for worker in engine.workers]
    at_work = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(way, engine, at_work.set)]
        assert at_work.wait(ALLOWED_SECONDS)
        calls.append(pool.submit(engine.generate, REQUESTS))
        time.sleep(0.1)
        engine.close()
        for call in calls:
            assert isinstance(call.exception(ALLOWED_SECONDS), EngineClosedError), call
    assert not [pid for pid in workers if psutil.pid_exists(pid)]


def test_a_call_that_closes_its_own_engine_is_told_so(engine: Engine) -> None:
    with pytest.raises(EngineClosedError):
        generate(engine, engine.close)


def test_a_call_that_is_held_up_does_not_hold_up_the_closing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.engine.engine._LEAVING_SECONDS", 0.3)
    at_work, closed = threading.Event(), threading.Event()

    def held_up() -> None:
        at_work.set()
        assert closed.wait(ALLOWED_SECONDS)

    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(generate, engine, held_up)
        assert at_work.wait(ALLOWED_SECONDS)
        engine.close()
        closed.set()
        assert isinstance(call.exception(ALLOWED_SECONDS), EngineClosedError), call


def test_a_start_that_is_waited_for_ends_too(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that died is started again by the next call, which may take minutes with a large model."""
    starting, leaving = threading.Event(), threading.Event()
    await_ready, leave = Replica.await_ready, WorkerPool.leave

    def await_ready_later(replica: Replica, deadline: float, check: Callable[[], None]) -> None:
        starting.set()
        assert leaving.wait(ALLOWED_SECONDS)
        await_ready(replica, deadline, check)

    def leave_and_tell(pool: WorkerPool) -> None:
        leave(pool)
        leaving.set()

    with Engine.load(checkpoint, dtype="fp32", device="cpu", replicas=2) as engine:
        dead = psutil.Process(engine.workers[0].pid)
        dead.kill()
        psutil.wait_procs([dead], timeout=ALLOWED_SECONDS)
        monkeypatch.setattr(Replica, "await_ready", await_ready_later)
        monkeypatch.setattr(WorkerPool, "leave", leave_and_tell)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(engine.generate, REQUESTS)
            assert starting.wait(ALLOWED_SECONDS)
            engine.close()
            assert isinstance(call.exception(ALLOWED_SECONDS), EngineClosedError), call
