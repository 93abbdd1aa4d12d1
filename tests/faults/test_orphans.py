"""A program that is killed, or ends without closing its engine, leaves no worker and no directory behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.faults.strikes import ALLOWED_SECONDS

ROOT = Path(__file__).parents[2]

PARENT = """
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.engine import Engine

engine = Engine.load({checkpoint!r}, dtype="fp32", device="cpu", batch_size=1, tensor_parallel=2)
print(*[worker.pid for worker in engine.workers], engine.workers[0].log.parent, flush=True)
engine.generate([Request((5, 6, 7), 20_000)])
"""


@pytest.mark.parametrize(
    ("strike", "blow"),
    ((os.kill, signal.SIGKILL), (os.kill, signal.SIGTERM), (os.killpg, signal.SIGTERM)),
    ids=("SIGKILL", "SIGTERM", "SIGTERM to all"),
)
def test_a_killed_parent_leaves_no_worker(
    checkpoint: Path, tmp_path: Path, strike: Callable[[int, int], None], blow: signal.Signals
) -> None:
    """The parent is a plain script without a `__main__` guard, in the middle of a batch."""
    script = tmp_path / "script.py"
    script.write_text(PARENT.format(checkpoint=str(checkpoint)), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path, start_new_session=True) as parent:
        assert parent.stdout is not None
        *pids, directory = parent.stdout.readline().split()
        offspring = psutil.Process(parent.pid).children(recursive=True)
        assert {int(pid) for pid in pids} <= {child.pid for child in offspring}
        strike(parent.pid, blow)
        assert parent.wait(timeout=ALLOWED_SECONDS) == -blow
    assert psutil.wait_procs(offspring, timeout=ALLOWED_SECONDS)[1] == []
    assert not Path(directory).exists()


def test_a_killed_parent_leaves_nothing_where_the_thread_that_watches_gets_no_turn(checkpoint: Path, tmp_path: Path) -> None:
    unwatched = "import seqgpt_lab.engine.worker\nfrom tests.faults.unwatched import work\nseqgpt_lab.engine.worker.work = work\n"
    script = tmp_path / "script.py"
    script.write_text(unwatched + PARENT.format(checkpoint=str(checkpoint)), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=environment, cwd=tmp_path) as parent:
        assert parent.stdout is not None
        *_pids, directory = parent.stdout.readline().split()
        offspring = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert psutil.wait_procs(offspring, timeout=ALLOWED_SECONDS)[1] == []
    assert not Path(directory).exists()


EARLIER = "import weakref\n\nearlier = {1}\nweakref.finalize(earlier, int)\n"  # else all such calls come before multiprocessing's end
FORGOTTEN = "\nengine._runner._discard.detach()\n"


@pytest.mark.parametrize(("before", "after"), (("", ""), (EARLIER, ""), (EARLIER, FORGOTTEN)), ids=("plain", "earlier", "forgotten"))
def test_a_program_that_ends_without_closing_leaves_no_worker(checkpoint: Path, tmp_path: Path, before: str, after: str) -> None:
    """Whatever else the program has to do at its end; and where the engine's own end does not come about, multiprocessing's."""
    script = tmp_path / "script.py"
    script.write_text(before + PARENT.format(checkpoint=str(checkpoint)).replace("20_000", "1") + after, encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    *pids, directory = ended.stdout.split()
    assert len(pids) == 2 and not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert after or not Path(directory).exists()
