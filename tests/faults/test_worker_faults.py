"""Workers that die or are interrupted: named errors in time, then right answers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import psutil
import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError, WorkerError
from tests.faults.strikes import ALLOWED_SECONDS, LONG, answers, answers_after_restart, last, seconds_to_fail


def test_a_killed_worker_is_named_in_time_and_started_again(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    pid = last(engine)
    message = rf"(?s)replica \d rank \d \(process {pid}, cpu\) ended with SIGKILL .*its log"
    assert seconds_to_fail(engine, lambda: os.kill(pid, signal.SIGKILL), WorkerError, message) < ALLOWED_SECONDS
    assert answers_after_restart(engine) == wanted
    assert last(engine) != pid


def test_a_worker_that_died_between_calls_is_replaced_and_told(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    process = psutil.Process(last(engine))
    process.kill()
    psutil.wait_procs([process], timeout=ALLOWED_SECONDS)
    assert answers_after_restart(engine) == wanted


def test_an_interrupted_call_leaves_the_engine_usable(
    engine: Engine, wanted: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stop button's signal goes to the workers too, which ignore it; the late batch is called off and never returned."""
    monkeypatch.setattr("seqgpt_lab.engine.workers._SETTLE_SECONDS", ALLOWED_SECONDS)  # for a token, on a busy machine
    before = engine.workers

    def stop_button() -> None:
        for worker in before:
            os.kill(worker.pid, signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    for _ in range(3):
        assert seconds_to_fail(engine, stop_button, KeyboardInterrupt, None) < ALLOWED_SECONDS
        assert answers(engine) == wanted
    assert engine.workers == before  # no restart was needed


def test_a_sigterm_that_is_not_the_parents_leaves_the_workers_at_work(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    """As one to a whole service is: the parent decides what its workers still have to do."""
    before = engine.workers
    subprocess.run(["kill", "-TERM", *[str(worker.pid) for worker in before]], check=True)
    assert answers(engine) == wanted
    assert engine.workers == before


def test_an_error_in_the_progress_callback_leaves_the_engine_usable(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.generate(LONG, progress)
    assert answers(engine) == wanted


class Silent:
    """A drafter that never guesses."""

    def start(self) -> Silent:
        return self

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        return ()


def test_a_class_that_workers_cannot_import_is_named_and_its_remedy_told(
    engine: Engine, wanted: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of a notebook's, whose module workers do not run."""
    monkeypatch.setattr(sys.modules["__main__"], "Silent", Silent, raising=False)
    monkeypatch.setattr(Silent, "__module__", "__main__")
    with pytest.raises(WorkerError, match=r"(?s)replica \d rank \d .*cannot be read in a worker \(Attr.*in a module that can be"):
        engine.generate([replace(LONG[0], drafts=Silent())])
    assert answers_after_restart(engine) == wanted


def test_what_cannot_be_pickled_is_named_and_costs_no_worker(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    class Local(Silent):
        pass

    before = engine.workers
    with pytest.raises(OptionError, match=r"cannot be sent to workers \(.*Local.*have to be picklable"):
        engine.generate([replace(LONG[0], drafts=Local())])
    assert answers(engine) == wanted
    assert engine.workers == before
