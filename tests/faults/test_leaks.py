"""Engines that are closed, dropped or do not start leave no process, open file, shared memory or temporary directory."""

from __future__ import annotations

import gc
import os
import tempfile
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.engine.decode import Request
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import SeqGPTLabError, WorkerError


def load(checkpoint: Path, tensor_parallel: int = 1, replicas: int = 1) -> Engine:
    return Engine.load(checkpoint, dtype="fp32", device="cpu", tensor_parallel=tensor_parallel, replicas=replicas)


def traces() -> tuple[set[int], int, set[str], set[str]]:
    """What a leak would add to: worker processes, open files, shared memory, temporary directories."""
    here = psutil.Process()
    children = {child.pid for child in here.children(recursive=True) if "resource_tracker" not in " ".join(child.cmdline())}
    folders = {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("seqgpt-lab-workers-")}
    return children, here.num_fds(), set(os.listdir("/dev/shm")), folders


def test_a_rank_that_cannot_start_is_named_and_nothing_stays(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:-100])
    before = traces()
    with pytest.raises(WorkerError, match=r"replica 0 rank \d .*CheckpointError: .*not a whole safetensors file"):
        load(tmp_path, tensor_parallel=2)
    assert traces() == before


@pytest.mark.parametrize("cycles", (3, pytest.param(50, marks=pytest.mark.full)))
def test_engines_that_are_closed_leave_nothing_and_say_so(checkpoint: Path, cycles: int) -> None:
    load(checkpoint, tensor_parallel=2).close()  # the first spawn of a program opens multiprocessing's resource tracker, for good
    before = traces()
    for _ in range(cycles):
        with load(checkpoint, tensor_parallel=2) as engine:
            assert len(engine.generate([Request((5, 6), 2)])) == 1
        engine.close()
        engine.wake()
        assert engine.workers == ()
    with pytest.raises(SeqGPTLabError, match="this engine is closed"):
        engine.generate([Request((5,), 1)])
    assert traces() == before


def test_an_engine_that_is_let_go_takes_its_workers_along(checkpoint: Path) -> None:
    before = traces()
    engine = load(checkpoint, replicas=2)
    assert traces() != before
    del engine
    gc.collect()
    assert traces() == before
