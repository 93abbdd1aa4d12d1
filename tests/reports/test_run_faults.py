"""What may befall a run beside its notebook: a killed runner, a full disk, another run at the same time. With real kernels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from seqgpt_lab.errors import RunError
from seqgpt_lab.reports.interrupts import Interrupts
from seqgpt_lab.reports.processes import RUN_VARIABLE
from seqgpt_lab.reports.runner import _write_results, run_notebook
from seqgpt_lab.reports.runs import Failure, finish_run, list_runs, read_run, start_run

MakeNotebook = Callable[..., Path]
WAIT = "import threading; threading.Event().wait()"
CHILD = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {WAIT!r}], start_new_session=True)"
PROGRAM = "import sys; from seqgpt_lab.reports.runner import run_notebook; run_notebook(sys.argv[1], runs_dir=sys.argv[2])"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def marked(run_id: str) -> list[psutil.Process]:
    """Processes of the run that live."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(RUN_VARIABLE) == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def start(notebook: Path, runs: Path, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, notebook, runs], env=ENVIRONMENT | environment)


def test_a_killed_runner_leaves_no_process_not_even_a_detached_child_and_no_temporary_files(
    make_notebook: MakeNotebook, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    there = f"import os, signal\nassert os.listdir({str(temporary)!r})"  # else it would prove nothing
    path = make_notebook(CHILD, f"{there}\nos.kill(os.getppid(), signal.SIGKILL)\n{WAIT}")
    with start(path, tmp_path / "runs", TMPDIR=str(temporary)) as runner:
        assert runner.wait(60) == -signal.SIGKILL
    (folder,) = (tmp_path / "runs").iterdir()
    deadline = time.monotonic() + 30
    while (marked(folder.name) or os.listdir(temporary)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (marked(folder.name), os.listdir(temporary)) == ([], [])
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    run = read_run(folder)
    assert run.status == "killed" and run.error is not None and run.error.kind == "runner gone"


def test_runs_at_the_same_time_do_not_collide(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    path = make_notebook("import pathlib; pathlib.Path(run_dir, 'mine').write_text(run_dir)")
    running = [start(path, tmp_path / "runs") for _ in range(2)]
    assert [runner.wait(120) for runner in running] == [0, 0]
    runs = list_runs(tmp_path / "runs")
    assert [run.status for run in runs] == ["completed", "completed"]
    assert [(run.folder / "mine").read_text() for run in runs] == [str(run.folder) for run in runs]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 KB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", place], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


WRITE = "open(run_dir + '/big', 'wb', buffering=0).write(bytes(4_000_000))"
FULL_IN_THE_NOTEBOOK = f"while True: {WRITE} or 1 / 0".replace("'/big', 'wb'", "'/big', 'ab'")
FULL_BETWEEN_CELLS = f"try:\n    {FULL_IN_THE_NOTEBOOK}\nexcept OSError: pass"


@pytest.mark.parametrize("cell", [FULL_IN_THE_NOTEBOOK, FULL_BETWEEN_CELLS], ids=["in the notebook", "between cells"])
def test_a_full_disk_fails_the_run_and_its_record_says_so(make_notebook: MakeNotebook, small_disk: Path, cell: str) -> None:
    run = run_notebook(make_notebook(cell, "print('after')"), runs_dir=small_disk / "runs")
    assert run.status == "failed" and run.error is not None and "No space left on device" in run.error.message
    assert read_run(run.folder) == run
    assert not [entry.name for entry in run.folder.iterdir() if entry.name.startswith(".")]


@pytest.mark.parametrize("size", [40_000, 58_000, 62_000])
def test_a_notebook_that_takes_the_room_kept_free_leaves_some_for_the_record(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """The disk fills up in the cell that also put out most."""
    monkeypatch.setattr("seqgpt_lab.reports.runs.code_version", lambda: None)
    run = start_run(small_disk / "runs", Path("toy.ipynb"), "0" * 64, {})
    with pytest.raises(OSError, match="No space left"), open(run.folder / "big", "wb", buffering=0) as big:
        while big.write(bytes(4096)):
            pass
    error = Failure("OSError", "[Errno 28] No space left on device", 1, "a traceback\n" * 700)
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="x" * size)])
    ended = _write_results(finish_run(run, "failed", error, 1.0), nbformat.v4.new_notebook(cells=[cell]), 0, Interrupts())
    assert read_run(run.folder) == ended and ended.error == error


def test_a_folder_that_cannot_be_written_is_refused(make_notebook: MakeNotebook, small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(RunError, match=r"no run folder can be made in .*Read-only file system"):
        run_notebook(make_notebook("1"), runs_dir=small_disk / "runs")
