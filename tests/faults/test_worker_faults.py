"""Workers that die, stop or are interrupted, and a parent that is killed: named errors in time, then right answers, no orphans."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import random_requests

from seqgpt_lab.engine.decode import Request
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import EngineWarning, WorkerError

VOCABULARY = 1001
REQUESTS = random_requests(6, vocabulary=VOCABULARY, longest=10, most=5)
LONG = [Request((5, 6, 7), 1), *[Request((8, 9, 10 + index), 20_000) for index in range(2)]]  # a first batch, then one without end
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), heads=12, hidden=48, vocabulary=VOCABULARY)


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


def seconds_to_fail(engine: Engine, strike: Callable[[], None], error: type[BaseException], message: str) -> float:
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
        assert seconds_to_fail(engine, stop_button, KeyboardInterrupt, "") < 1
        assert answers(engine) == wanted
    assert engine.workers == before  # no restart was needed


def test_an_error_in_the_progress_callback_leaves_the_engine_usable(engine: Engine, wanted: list[tuple[int, ...]]) -> None:
    def progress(done: int, total: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.generate(LONG, progress)
    assert answers(engine) == wanted


PARENT = """
from seqgpt_lab.engine.decode import Request
from seqgpt_lab.engine.engine import Engine

engine = Engine.load({checkpoint!r}, dtype="fp32", device="cpu", batch_size=1, tensor_parallel=2)
print(*[worker.pid for worker in engine.workers], engine.workers[0].log.parent, flush=True)
engine.generate([Request((5, 6, 7), 20_000)])
"""


@pytest.mark.parametrize("blow", (signal.SIGKILL, signal.SIGTERM), ids=lambda blow: blow.name)
def test_a_killed_parent_leaves_no_worker(checkpoint: Path, tmp_path: Path, blow: signal.Signals) -> None:
    """The parent is a plain script without a `__main__` guard, in the middle of a batch."""
    script = tmp_path / "script.py"
    script.write_text(PARENT.format(checkpoint=str(checkpoint)), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        *pids, directory = parent.stdout.readline().split()
        offspring = psutil.Process(parent.pid).children(recursive=True)
        assert {int(pid) for pid in pids} <= {child.pid for child in offspring}
        parent.send_signal(blow)
        assert parent.wait(timeout=5) == -blow
    assert psutil.wait_procs(offspring, timeout=5)[1] == []
    assert not Path(directory).exists()


def test_a_program_that_ends_without_closing_leaves_no_worker(checkpoint: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PARENT.format(checkpoint=str(checkpoint)).replace("20_000", "1"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    *pids, directory = ended.stdout.split()
    assert len(pids) == 2 and not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert not Path(directory).exists()
