"""Finds and ends every process of a run, by the mark in its environment and by whose child it is; imports nothing of the lab, since it
is a program of its own too.

As a program (`python processes.py RUN FOLDER`) it is a run's guardian: it waits until its standard input closes, which happens however
the runner ends, SIGKILL included, and then ends what the run has left behind, its folder for temporary files included.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

# Every process of a run inherits this, so that grandchildren are found too, orphaned ones included.
RUN_VARIABLE = "SEQGPT_LAB_RUN"
_TERMINATION_SECONDS = 3.0


def end_processes(run_id: str, known: Iterable[psutil.Process] = ()) -> None:
    """End every process of the run, and those of it that were known before with what came of them: politely, then, after three seconds,
    for certain."""
    processes = list({*processes_of(run_id), *family(known)})
    for process in processes:
        _signal(process, signal.SIGTERM)
    for process in psutil.wait_procs(processes, timeout=_TERMINATION_SECONDS)[1]:
        _signal(process, signal.SIGKILL)
    # What was forked meanwhile is not on the first list.
    for process in processes_of(run_id):
        _signal(process, signal.SIGKILL)


@contextmanager
def guarded(run_id: str) -> Iterator[Path]:
    """A folder for temporary files, which goes with the block, as the run's processes do should this one be killed within it: a guardian
    sees to both."""
    nowhere = subprocess.DEVNULL
    with tempfile.TemporaryDirectory(prefix="seqgpt-lab-", ignore_cleanup_errors=True) as temporary:
        command = [sys.executable, "-P", __file__, run_id, temporary]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True) as guardian:
            try:
                yield Path(temporary)
            finally:
                guardian.kill()


def processes_of(run_id: str) -> list[psutil.Process]:
    """Every process of ours that carries the run's mark, and its descendants, which may have another environment; this one never."""
    found = set[psutil.Process]()
    for process in psutil.process_iter():
        try:
            # One that is found already is there with its descendants, and to look for these goes over all processes of the machine.
            if process not in found and process.pid != os.getpid() and process.environ().get(RUN_VARIABLE) == run_id:
                found |= {process, *process.children(recursive=True)}
        except psutil.Error:  # ended meanwhile, or another user's
            continue
    return [process for process in found if process.pid != os.getpid()]


def family(roots: Iterable[psutil.Process], proc: Path = Path("/proc")) -> list[psutil.Process]:
    """Those of the roots that live, in their order, and all that descends from them, whatever its environment. Looks at these alone where
    the kernel keeps a list of each process's children, as Linux mostly does; else whose child is whose is asked of the whole machine.

    proc: where such lists are.
    """
    found: dict[psutil.Process, None] = {}
    waiting = list(roots)[::-1]
    while waiting:
        process = waiting.pop()
        if process in found or not process.is_running():
            continue
        found[process] = None
        try:
            listed = _listed_children(process, proc)
            found |= dict.fromkeys(process.children(recursive=True) if listed is None else ())
            waiting += listed or ()
        except psutil.Error:  # ended meanwhile
            continue
    return list(found)


def _listed_children(process: psutil.Process, proc: Path) -> list[psutil.Process] | None:
    """The children that the kernel lists; None where it lists none of anybody. One may be left out while a sibling of it ends (proc(5))."""
    lists = list((proc / str(process.pid) / "task").glob("*/children"))
    listed: list[int] = []
    for path in lists:
        with suppress(OSError):  # the thread ended meanwhile
            listed += map(int, path.read_text(encoding="ascii").split())
    return list(_still_children(listed, process)) if lists else None


def _still_children(pids: Iterable[int], process: psutil.Process) -> Iterator[psutil.Process]:
    for pid in pids:
        with suppress(psutil.Error):  # ended meanwhile, and its id may be another's now
            child = psutil.Process(pid)
            if child.ppid() == process.pid:
                yield child


def _signal(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:  # ended meanwhile
        return


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_processes(sys.argv[1])
    shutil.rmtree(sys.argv[2], ignore_errors=True)
