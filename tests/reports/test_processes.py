"""Finding the processes of a run by whose child they are: also those with an environment of their own, and those whose parent is gone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.reports.processes import end_processes, family

WAIT = "import sys; sys.stdin.read()"
# A parent that says whose parent it is, and leaves when its standard input closes; the child has no environment, and waits for it too.
PARENT = f"""
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', {WAIT!r}], env={{}})
print(child.pid, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def pair() -> Iterator[tuple[subprocess.Popen[str], psutil.Process]]:
    """A process and its child, which outlives it for as long as the parent's standard input is open."""
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None and parent.stdin is not None
        child = psutil.Process(int(parent.stdout.readline()))
        yield parent, child
        parent.stdin.close()
        psutil.wait_procs([child], timeout=60)


def test_a_child_without_an_environment_is_found_and_kept_when_its_parent_is_gone(
    pair: tuple[subprocess.Popen[str], psutil.Process],
) -> None:
    parent, child = pair
    known = family([psutil.Process(parent.pid)])
    assert known == [psutil.Process(parent.pid), child]
    assert parent.stdin is not None
    parent.stdin.write("\n")
    parent.stdin.flush()
    assert parent.wait(60) == 0
    assert family(known) == [child]


def test_where_the_kernel_lists_children_no_other_process_of_the_machine_is_looked_at(
    pair: tuple[subprocess.Popen[str], psutil.Process], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent, child = pair
    for pid, children in ((parent.pid, f"{child.pid} {psutil.Process().pid} 999999999 "), (child.pid, "")):
        folder = tmp_path / str(pid) / "task" / str(pid)
        folder.mkdir(parents=True)
        (folder / "children").write_text(children)

    def refuse(*_arguments: object, **_named: object) -> object:
        raise AssertionError("all processes were looked at")

    for name in ("process_iter", "pids", "Process.children"):
        monkeypatch.setattr(f"psutil.{name}", refuse)
    # This process is no child of theirs, whatever a list says: its id may have been given anew.
    assert family([psutil.Process(parent.pid)], tmp_path) == [psutil.Process(parent.pid), child]


def test_what_came_of_a_known_process_since_the_last_cell_ends_with_the_run(
    pair: tuple[subprocess.Popen[str], psutil.Process],
) -> None:
    """Neither carries the run's mark, and the first may have left the kernel."""
    parent, child = pair
    end_processes("no run", [psutil.Process(parent.pid)])
    assert not psutil.wait_procs([child], timeout=60)[1]
