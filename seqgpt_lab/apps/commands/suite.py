"""`seqgpt-lab suite` and `seqgpt-lab schedule`: a list of notebooks run now, or put where the machine runs it by itself."""

from __future__ import annotations

import shutil
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from seqgpt_lab.apps.console import emit, note, pad, visible
from seqgpt_lab.apps.exit_codes import INTERRUPTED
from seqgpt_lab.apps.options import Json
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    from seqgpt_lab.reports.schedule import Job, Schedule
    from seqgpt_lab.reports.suite import Part
    from seqgpt_lab.reports.suite_runner import Outcome

File = Annotated[Path, typer.Argument(metavar="SUITE.yaml", help="A suite, such as evaluations/nightly.yaml.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="The folder that gets a folder for each run.")]


def suite(
    file: File,
    runs_dir: RunsDir = Path("runs"),
    anew: Annotated[bool, typer.Option("--new", help="Begin a new session even if the last one is unfinished.")] = False,
    if_due: Annotated[
        str | None, typer.Option("--if-due", metavar="WHEN", help="Only if a time such as 'daily 02:30' has passed since the last session.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="While another suite runs on the same folder, wait for its end.")] = False,
    as_json: Json = False,
) -> None:
    """Run all notebooks of a suite and list how each ended.

    A session that was killed goes on where it was: what has ended is not run again. It does so until the suite's next scheduled time,
    without a schedule for 12 hours after it last wrote anything; then all parts are run anew. While another suite runs on the same
    folder, this one refuses with exit code 2, unless it is told to --wait. Exit code 1 when a part did not complete, 130 when an
    interrupt ended the suite.
    """
    from seqgpt_lab.reports.schedule import Schedule
    from seqgpt_lab.reports.scheduling import is_due
    from seqgpt_lab.reports.suite import load_suite
    from seqgpt_lab.reports.suite_runner import SuiteInterruptedError, run_suite
    from seqgpt_lab.reports.text_progress import TextProgress

    watch = TextProgress(sys.stderr)

    def started(number: int, count: int, part: Part) -> None:
        watch.end_line()
        note(f"part {number} of {count}: {part}")

    found = load_suite(file)
    if if_due is not None and not is_due(Schedule.parse(if_due), found.name, runs_dir, datetime.now()):
        return
    waiting = (lambda other: note(f"{other}; waiting for its end")) if wait else None
    try:
        with watch:
            outcome = run_suite(found, runs_dir, anew=anew, wait=waiting, progress=watch, part_started=started)
    except SuiteInterruptedError as interrupt:
        note(str(interrupt))
        raise typer.Exit(INTERRUPTED) from None
    if outcome.taken_over:
        note(f"{outcome.taken_over} of {len(outcome.runs)} parts had been done before")
    _show(outcome, as_json)
    if not outcome.ok:
        raise typer.Exit(1)


def schedule(
    file: File,
    when: Annotated[str, typer.Option("--when", help="Such as 'daily 02:30' or 'mon-fri 02:30'; none: the suite's own.")] = "",
    manager: Annotated[Literal["auto", "systemd", "cron"], typer.Option("--manager", help="What is to run it.")] = "auto",
    install_it: Annotated[bool, typer.Option("--install", help="Put it into place.")] = False,
    remove_it: Annotated[bool, typer.Option("--remove", help="Take it out again.")] = False,
    output: Annotated[Path | None, typer.Option("--output", metavar="DIR", help="Write timer, service and crontab line here only.")] = None,
    runs_dir: RunsDir = Path("runs"),
) -> None:
    """Check that this machine can run a suite by itself; show its last and its next time; with --install, have it do so.

    A time that was missed, because the machine was off, is caught up once. Exit code 1 when something is missing.
    """
    from seqgpt_lab.errors import OptionError
    from seqgpt_lab.reports.schedule import Job, Schedule
    from seqgpt_lab.reports.scheduling import check_machine, choose_manager, install, remove, write_units
    from seqgpt_lab.reports.suite import SUITES, load_suite

    found = load_suite(file)
    wanted = [name for name, given in (("--install", install_it), ("--remove", remove_it), ("--output", output is not None)) if given]
    if len(wanted) > 1:
        raise OptionError(f"{' and '.join(wanted)} are given together; give one of them")
    if not (when or found.schedule):
        raise OptionError(f"{file} names no `schedule` and --when is not given; write --when 'daily 02:30'")
    chosen = choose_manager() if manager == "auto" else manager
    root = runs_dir.absolute()
    command = (_program(), "suite", str(file.absolute()), "--runs-dir", str(root))
    job = Job(found.name, command, Path.cwd(), root / SUITES / f"{found.name}.log", Schedule.parse(when or found.schedule))
    checks = check_machine(job, runs_dir, chosen)
    _show_schedule(job, root)
    for check in checks:
        emit(f"{'ok     ' if check.ok else 'MISSING'} {pad(check.name, 12)} {visible(check.told)}")
    if output is not None:
        (output / "crontab").parent.mkdir(parents=True, exist_ok=True)
        (output / "crontab").write_text(job.crontab_line() + "\n", encoding="utf-8")
        for path in [*write_units(job, output), output / "crontab"]:
            emit(f"wrote {path}")
    elif remove_it:
        emit("\n".join(remove(job, chosen)))
    elif install_it and all(check.ok for check in checks):
        emit("\n".join(install(job, root, chosen)))
    if not remove_it and not all(check.ok for check in checks):
        raise typer.Exit(1)


def _show(outcome: Outcome, as_json: bool) -> None:
    if as_json:
        emit(json_line({"session": outcome.session.id, "ok": outcome.ok, "runs": [run.to_dict() for run in outcome.runs]}))
        return
    for run in outcome.runs:
        emit(f"{pad(run.status, 11)} {run.folder}" + (f"  {visible(run.error.message)}" if run.error else ""))


def _show_schedule(job: Job, runs_dir: Path) -> None:
    """When it ran last and how that ended, and when it runs next."""
    from seqgpt_lab.reports.runs import list_runs
    from seqgpt_lab.reports.suite import last_session, runs_of, runs_that_count

    session = last_session(runs_dir, job.name)
    emit(f"schedule {job.schedule}, next {_in_words(job.schedule)}")
    if session is None:
        emit("last     never")
        return
    began = datetime.fromisoformat(session.started).astimezone().strftime("%Y-%m-%d %H:%M")
    # Of a part that was begun again after a kill one run counts, so that there are no more endings than parts.
    states = [run.status for run in runs_that_count(runs_of(session, list_runs(runs_dir))).values()]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states)) or "no part has begun"
    emit(f"last     {began}, {len(session.parts)} parts: {counts}" + ("" if session.finished else "; unfinished"))


def _in_words(schedule: Schedule) -> str:
    return schedule.next(datetime.now()).strftime("%Y-%m-%d %H:%M")


def _program() -> str:
    """The script this is, else the one on the path."""
    beside = Path(sys.executable).parent / "seqgpt-lab"
    return str(beside) if beside.exists() else shutil.which("seqgpt-lab") or "seqgpt-lab"
