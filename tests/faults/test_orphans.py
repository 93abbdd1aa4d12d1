"""A program that is killed, or ends without closing its engine, leaves no worker and no directory behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.faults.strikes import ALLOWED_SECONDS

ROOT = Path(__file__).parents[2]

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


def test_a_program_that_ends_without_closing_leaves_no_worker(checkpoint: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(PARENT.format(checkpoint=str(checkpoint)).replace("20_000", "1"), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    ended = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    *pids, directory = ended.stdout.split()
    assert len(pids) == 2 and not any(psutil.pid_exists(int(pid)) for pid in pids)
    assert not Path(directory).exists()
