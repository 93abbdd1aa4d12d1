"""Engines that are closed, dropped or do not start leave no process, open file, shared memory or temporary directory."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import CheckpointError, SeqGPTLabError
from tests import shared_memory


def load(checkpoint: Path, tensor_parallel: int = 1, replicas: int = 1) -> Engine:
    return Engine.load(checkpoint, dtype="fp32", device="cpu", tensor_parallel=tensor_parallel, replicas=replicas)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of the test's own, for its workers too."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    resource_tracker.ensure_running()  # else the first spawn of a program opens it, for good
    return folder


@dataclass(frozen=True, slots=True)
class Traces:
    """What a leak would add to: worker processes, open files, shared memory, temporary directories; none of them another program's."""

    children: set[int]
    descriptors: int
    memory: set[str]
    folders: set[str]


def traces() -> Traces:
    here = psutil.Process()
    children = {child.pid for child in here.children(recursive=True) if "resource_tracker" not in " ".join(child.cmdline())}
    return Traces(children, here.num_fds(), shared_memory.names(), set(os.listdir(tempfile.gettempdir())))


def check_that_nothing_stays(before: Traces) -> None:
    now = traces()
    assert now == replace(before, memory=now.memory) and now.memory <= before.memory


def test_weights_that_ranks_cannot_read_are_the_same_error_as_without_ranks_and_nothing_stays(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="is not a whole safetensors file") as alone:
        load(tmp_path)
    before = traces()
    with pytest.raises(CheckpointError) as raised:
        load(tmp_path, tensor_parallel=2)
    assert str(raised.value) == str(alone.value)
    check_that_nothing_stays(before)


@pytest.mark.parametrize("cycles", (3, pytest.param(50, marks=pytest.mark.full)))
def test_engines_that_are_closed_leave_nothing_and_say_so(checkpoint: Path, cycles: int) -> None:
    before = traces()
    for _ in range(cycles):
        with load(checkpoint, tensor_parallel=2) as engine:
            assert len(engine.generate([Request((5, 6), 2)])) == 1
        engine.close()
        engine.wake()
        assert engine.workers == ()
    with pytest.raises(SeqGPTLabError, match="this engine is closed"):
        engine.generate([Request((5,), 1)])
    check_that_nothing_stays(before)


def test_an_engine_that_is_let_go_takes_its_workers_along(checkpoint: Path) -> None:
    before = traces()
    engine = load(checkpoint, replicas=2)
    assert traces().children != before.children
    del engine
    gc.collect()
    check_that_nothing_stays(before)


def test_what_another_program_does_meanwhile_is_no_leak() -> None:
    """One that is no child of this process: the shell that starts it leaves it alone."""
    code = (
        "import os, sys; path = f'/dev/shm/seqgpt-lab-test-{os.getpid()}'; kept = open(path, 'w'); print(path, flush=True); "
        "sys.stdin.read(); os.unlink(path)"
    )
    command = ["sh", "-c", 'exec 3<&0; "$0" -I -S -c "$1" <&3 3<&- & exec 3<&-', sys.executable, code]
    before = traces()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdin and other.stdout
        path = Path(other.stdout.readline().strip())
        other.wait(30)
        assert path.exists() and traces().memory <= before.memory
        other.stdin.close()
        assert other.stdout.read() == "" and not path.exists()
    check_that_nothing_stays(before)
