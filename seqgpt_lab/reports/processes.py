"""Finds and ends every process of a run, by the mark in its environment and by whose child it is; imports nothing of the lab, since it
is a program of its own too.

As a program (`python processes.py RUN`) it is a run's guardian: it waits until its standard input closes, which happens however the
runner ends, SIGKILL included, and then ends what the run has left behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import psutil

# Every process of a run inherits this, so that grandchildren are found too, orphaned ones included.
RUN_VARIABLE = "SEQGPT_LAB_RUN"
_TERMINATION_SECONDS = 3.0


def end_processes(run_id: str, known: Iterable[psutil.Process] = ()) -> None:
    """End every process of the run, and those of it that were known before: politely, then, after three seconds, for certain."""
    processes = list({*processes_of(run_id), *known})
    for process in processes:
        _signal(process, signal.SIGTERM)
    for process in psutil.wait_procs(processes, timeout=_TERMINATION_SECONDS)[1]:
        _signal(process, signal.SIGKILL)
    # What was forked meanwhile is not on the first list.
    for process in processes_of(run_id):
        _signal(process, signal.SIGKILL)


@contextmanager
def guarded(run_id: str) -> Iterator[None]:
    """Have a guardian end the run's processes should this one be killed within the block."""
    command = [sys.executable, "-P", __file__, run_id]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=nowhere, stderr=nowhere, start_new_session=True) as guardian:
        try:
            yield
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
