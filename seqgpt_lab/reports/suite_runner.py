"""Runs a suite's parts one after the other, once each, whatever is killed when; knows no schedule and no notebook.

Which parts of a session are done is read off the runs, so nothing is done twice.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from seqgpt_lab.errors import RunError
from seqgpt_lab.files import write_json
from seqgpt_lab.reports.kernel import RunProgress
from seqgpt_lab.reports.runner import kept_journals, run_notebook
from seqgpt_lab.reports.runs import Run, list_runs
from seqgpt_lab.reports.schedule import is_over
from seqgpt_lab.reports.suite import SUITES, Part, Session, Suite, is_done, last_session, runs_of, runs_that_count

_LOCK = ".suite.lock"


class SuiteInterruptedError(RunError):
    """A suite that an interrupt ended in the middle of a part; the next call goes on from there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A session, and the run of each part in the suite's order; taken_over: how many of them had been done before this call."""

    session: Session
    runs: tuple[Run, ...]
    taken_over: int

    @property
    def ok(self) -> bool:
        """Whether every part completed."""
        return all(run.ok for run in self.runs)


def run_suite(
    suite: Suite,
    runs_dir: str | Path,
    *,
    anew: bool = False,
    wait: Callable[[str], None] | None = None,
    progress: RunProgress | None = None,
    part_started: Callable[[int, int, Part], None] | None = None,
) -> Outcome:
    """Run all parts that the unfinished session has not run; without one, or anew, begin a session.

    A part that ended by itself, well or badly, is done; one that was interrupted, or whose runner was killed, is run again and goes on
    from the journals it kept, if any. A changed suite begins a new session, and so does a call of a later time (see `is_over`): tonight
    is not done by what was read last night. wait: see `locked`. part_started: called with number, count and part.
    Raises RunError at once while another suite runs on this folder, unless it is to wait, SuiteInterruptedError when an interrupt ends
    a part.
    """
    with locked(runs_dir, suite.name, wait):
        earlier = list_runs(runs_dir)
        session = (None if anew else _unfinished(runs_dir, suite, earlier)) or _begin(runs_dir, suite)
        own = runs_of(session, earlier)
        known = runs_that_count(own)
        done = {key: run for key, run in known.items() if is_done(run)}
        runs = []
        for number, part in enumerate(suite.parts, 1):
            if part.key not in done:
                if part_started is not None:
                    part_started(number, len(suite.parts), part)
                done[part.key] = _run(suite, session, part, runs_dir, _to_resume(part, own), progress)
            runs.append(done[part.key])
        session = replace(session, finished=_now())
        _write(runs_dir, suite, session)
        return Outcome(session, tuple(runs), sum(is_done(run) for run in known.values()))


@contextmanager
def locked(runs_dir: str | Path, name: str, wait: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold the lock of a runs folder; the system releases it however this process ends.

    wait: called with who has the lock, in words, before its end is waited for. Raises RunError while another one has it, without `wait`.
    """
    root = Path(runs_dir)
    try:
        root.mkdir(parents=True, exist_ok=True)
        stream = open(root / _LOCK, "a+", encoding="utf-8")  # noqa: SIM115  # held as long as the lock
    except OSError as error:
        raise RunError(f"no suite can run in {runs_dir} ({error}); give a folder you may write to") from error
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            other = f"another suite runs on {runs_dir}: {stream.read().strip() or 'it has just begun'}"
            if wait is None:
                raise RunError(f"{other}; wait until it has ended, or add --wait") from None
            wait(other)
            fcntl.flock(stream, fcntl.LOCK_EX)
        stream.truncate(0)
        stream.write(f"{name}, process {os.getpid()}, since {_now()}")
        stream.flush()
        yield


def _unfinished(runs_dir: str | Path, suite: Suite, runs: Sequence[Run]) -> Session | None:
    session = last_session(runs_dir, suite.name)
    if session is None or session.finished is not None or sorted(session.parts) != sorted(part.key for part in suite.parts):
        return None
    began = datetime.fromisoformat(session.started)
    touched = max([began, *(_touched(run) for run in runs_of(session, runs))])
    return None if is_over(suite.schedule, began, touched, datetime.now(UTC)) else session


def _touched(run: Run) -> datetime:
    """When something was last written into a run's folder, which a long one does as it goes on."""
    times = [run.folder.stat().st_mtime]
    for path in run.folder.rglob("*"):
        with suppress(OSError):  # gone by now
            times.append(path.lstat().st_mtime)  # a link's own: what it leads to may not be there
    return datetime.fromtimestamp(max(times), UTC)


def _begin(runs_dir: str | Path, suite: Suite) -> Session:
    now = _now()
    session = Session(f"{suite.name}-{now}", tuple(part.key for part in suite.parts), now)
    _write(runs_dir, suite, session)
    return session


def _write(runs_dir: str | Path, suite: Suite, session: Session) -> None:
    folder = Path(runs_dir) / SUITES
    try:
        folder.mkdir(exist_ok=True)
        write_json(folder / f"{suite.name}.json", asdict(session))
    except OSError as error:
        raise RunError(f"the session cannot be written to {folder} ({error}); free space or choose another runs folder") from error


def _to_resume(part: Part, runs: Sequence[Run]) -> Run | None:
    """The newest run of a part that kept journals. A newer one without any was ended before it had taken over those."""
    return next((run for run in reversed(runs) if run.origin and run.origin["part"] == part.key and kept_journals(run)), None)


def _run(suite: Suite, session: Session, part: Part, runs_dir: str | Path, earlier: Run | None, progress: RunProgress | None) -> Run:
    origin = {"suite": suite.name, "session": session.id, "part": part.key}
    run = run_notebook(part.notebook, part.parameters, runs_dir, timeout=suite.timeout, progress=progress, resume=earlier, origin=origin)
    if run.status == "interrupted":
        raise SuiteInterruptedError(f"the suite {suite.name} was interrupted at {part}; call it again to go on from there")
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
