"""Runs a notebook from beginning to end and leaves its folder telling the truth; knows nothing of what notebooks do.

papermill alone calls a killed or timed-out notebook completed. Here the execution goes on in a thread of its own while the calling
thread watches the clock and takes interrupts, so every end is told apart by what happened, not by what the notebook says.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
from papermill.exceptions import PapermillExecutionError

from seqgpt_lab.errors import OptionError, ParameterError, RunError
from seqgpt_lab.files import sha256_of, write_atomically
from seqgpt_lab.reports.interrupts import Interrupts, interrupts_wait, signals_interrupt
from seqgpt_lab.reports.kernel import RunProgress, Session, notebook_text, place_of
from seqgpt_lab.reports.masked_page import read_personal
from seqgpt_lab.reports.page import render_page
from seqgpt_lab.reports.parameters import RUN_DIR, check_parameters, declared_parameters, read_notebook
from seqgpt_lab.reports.processes import guarded
from seqgpt_lab.reports.reserve import give_room
from seqgpt_lab.reports.runs import MOST_SECONDS, Failure, Run, Status, finish_run, start_run, write_run
from seqgpt_lab.studies.run_files import JOURNALS, KERNEL_LOG, NOTEBOOK, PAGE

_GRACE_SECONDS = 5.0
_LEAVING_SECONDS = 60.0  # for a worker without a kernel: one that writes its progress where nobody reads it does not end
_COLOURS = re.compile("\x1b\\[[0-9;]*[A-Za-z]")


def run_notebook(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    runs_dir: str | Path = "runs",
    *,
    timeout: float | None = None,
    progress: RunProgress | None = None,
    unmasked: bool = False,
    resume: Run | None = None,
    origin: Mapping[str, str] | None = None,
) -> Run:
    """Execute a notebook with these parameters and leave `<runs_dir>/<id>/` with run.json, out.ipynb and report.html,
    and kernel.log where the kernel's process wrote anything past the notebook, such as a crash report.

    A notebook that declares a parameter `run_dir` gets the absolute path of that folder in it; callers cannot set it. timeout:
    seconds for the whole run, None for no limit. unmasked: leave personal data in the page. resume: an earlier run of the notebook
    whose journals are taken over; without any (see `kept_journals`) the notebook begins anew. origin: see `Run`. The kernel starts in
    the current folder; every process the notebook started is ended with it, even if this process is killed. Ctrl-C, SIGTERM and SIGHUP
    end the run, which is then returned as `interrupted`: look at `Run.status`. One that comes in the moment in which the record is written
    is raised after that.

    However the notebook ends, the run is returned with its files written. Raises ParameterError before anything starts when the
    notebook or a parameter does not fit, OptionError for a timeout that is not positive or longer than a year, RunError when the folder
    cannot be written.
    """
    if timeout is not None and not 0 < timeout <= MOST_SECONDS:
        raise OptionError(f"timeout is {timeout}, it must be more than 0 and at most {MOST_SECONDS:,} seconds; leave it out for no limit")
    path, given = Path(notebook), dict(parameters or {})
    source = read_notebook(path)
    declared = declared_parameters(source, path.name)
    if RUN_DIR in given:
        raise ParameterError(f"{RUN_DIR} is {given[RUN_DIR]!r}, but it is the runner that sets it; leave it out and choose the runs folder")
    check_parameters(declared, given)
    effective = {name: one.default for name, one in declared.items() if not one.computed and name != RUN_DIR} | given
    about: Any = {"given": list(given), "timeout": timeout, "unmasked": unmasked, "origin": origin}
    run = start_run(runs_dir, path, sha256_of(path), effective, **about)
    _take_over(resume, run)
    injected = given | ({RUN_DIR: str(run.folder)} if RUN_DIR in declared else {})
    kernel = source.metadata.get("kernelspec", {}).get("name") or "python3"
    started = time.monotonic()
    with signals_interrupt(), interrupts_wait() as interrupts:
        with guarded(run.id) as temporary:
            session = Session(run.id, run.folder / NOTEBOOK, run.folder / KERNEL_LOG, temporary, progress)
            worker = threading.Thread(target=session.execute, args=(path, injected, kernel), daemon=True)
            status, error = _supervise(session, worker, timeout, interrupts)
        run = finish_run(run, status, error, time.monotonic() - started)
        return _write_results(run, session.notebook or source, session.current_cell, interrupts)


def kept_journals(run: Run) -> bool:
    """Whether the run's folder holds journals, from which another run can go on."""
    return any((run.folder / JOURNALS).glob("*"))


def _take_over(earlier: Run | None, run: Run) -> None:
    """Copy the journals of an earlier run, where it kept any: whole or not at all, so that a run that is killed meanwhile passes for one
    without any. Raises RunError when that fails; then no run has begun, and none is left."""
    if earlier is None or not kept_journals(earlier):
        return
    beside = run.folder / f".{JOURNALS}.part"
    try:
        shutil.copytree(earlier.folder / JOURNALS, beside)
        os.replace(beside, run.folder / JOURNALS)
    except OSError as error:
        shutil.rmtree(run.folder, ignore_errors=True)
        raise RunError(f"the journals of {earlier.folder} cannot be copied to {run.folder} ({error}); free space or start anew") from error


def _supervise(session: Session, worker: threading.Thread, timeout: float | None, interrupts: Interrupts) -> tuple[Status, Failure | None]:
    """Watch the worker to its end, and tell how it ended; no process of the run is left afterwards, however often it is interrupted."""
    stopped: Failure | None = None
    worker.start()
    try:
        with interrupts.let_in():
            if not session.wait(timeout):
                stopped = Failure("timeout", f"the run was stopped after its limit of {timeout:g} s")
    except KeyboardInterrupt as interrupt:
        stopped = _interrupted(interrupt)
    if stopped is not None:
        session.interrupt()
        with suppress(KeyboardInterrupt), interrupts.let_in():  # a second one cuts the moment short that the notebook has to stop by itself
            session.wait(_GRACE_SECONDS)
    session.end_processes()
    try:
        with interrupts.let_in():
            pass  # one that came meanwhile
    except KeyboardInterrupt as interrupt:
        stopped = stopped or _interrupted(interrupt)
    with suppress(KeyboardInterrupt), interrupts.let_in():
        session.wait(_LEAVING_SECONDS)
    return _ending(session, stopped)


def _interrupted(interrupt: KeyboardInterrupt, when: str = "") -> Failure:
    return Failure("interrupt", f"the run was interrupted{when} ({str(interrupt) or 'SIGINT'})")


def _ending(session: Session, stopped: Failure | None) -> tuple[Status, Failure | None]:
    """Status and failure, from what was done to the run, what became of the kernel and what papermill raised, in this order."""
    error = session.error
    cell = _cell_number(session)
    trace = _traceback(error)
    if stopped is not None:
        # Also where no error came of it: a last cell that takes an interrupt and goes on with what it has has not done its work.
        return ("timed out" if stopped.kind == "timeout" else "interrupted"), Failure(stopped.kind, stopped.message, cell, trace)
    if error is None:
        if not _exit_in(session.notebook):
            return "completed", None
        return "failed", Failure("SystemExit", "the notebook left early; the cells below did not run", cell)
    if isinstance(error, RuntimeError) and "Kernel died" in str(error):  # nbclient's while a cell runs, jupyter_client's at the start
        return "killed", Failure("DeadKernelError", f"the kernel {session.exit_status()}", cell)
    if isinstance(error, PapermillExecutionError):
        interrupted = error.ename == "KeyboardInterrupt"
        return ("interrupted" if interrupted else "failed"), Failure(error.ename, error.evalue, cell, trace)
    return "failed", Failure(type(error).__name__, str(error), cell, trace)


def _cell_number(session: Session) -> int | None:
    """The code cell it stopped in, counted from 1 with the injected one left out."""
    if session.notebook is None or session.current_cell is None:
        return None
    return place_of(session.notebook, session.current_cell)[0]


def _traceback(error: BaseException | None) -> str:
    """The notebook's own traceback, without terminal colours."""
    return _COLOURS.sub("", "\n".join(error.traceback)) if isinstance(error, PapermillExecutionError) else ""


def _exit_in(notebook: nbformat.NotebookNode | None) -> bool:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])] if notebook else []
    return any(output.output_type == "error" and output.ename == "SystemExit" for output in outputs)


def _write_results(run: Run, notebook: nbformat.NotebookNode, stopped_in: int | None, interrupts: Interrupts) -> Run:
    """Write notebook, page and, last of all, the record; a page that cannot be written fails the run, one that is not waited for
    interrupts it."""
    _settle(notebook, run, stopped_in)
    give_room(run.folder, all_of_it=False)
    try:
        with interrupts.let_in():
            write_atomically(run.folder / NOTEBOOK, notebook_text(notebook))
            write_atomically(run.folder / PAGE, render_page(notebook, run, None if run.unmasked else read_personal(run.folder)))
    except KeyboardInterrupt as interrupt:
        problem = _interrupted(interrupt, f" when the notebook had {run.status} and its page was being written")
        run = replace(run, status="interrupted", error=problem) if run.ok else run
    except Exception as error:  # whatever it is, the record must still be written and name it
        problem = Failure(type(error).__name__, f"the notebook {run.status}, but its page could not be written: {error}")
        run = replace(run, status="failed", error=problem) if run.ok else run
    give_room(run.folder)
    return write_run(run)


def _settle(notebook: nbformat.NotebookNode, run: Run, stopped_in: int | None) -> None:
    """Correct what papermill left in the notebook: it calls cells completed that never ran or that the kernel died in."""
    for index, cell in enumerate(notebook.cells):
        marks = cell.metadata.setdefault("papermill", {})
        if index == stopped_in and not run.ok:
            marks.update(status="failed", exception=True)
        elif not marks.get("start_time"):
            marks.update(status="pending")
    notebook.metadata.setdefault("papermill", {})["exception"] = not run.ok
    notebook.metadata["seqgpt_lab"] = {"run": run.id, "status": run.status, "error": run.error.message if run.error else None}
