"""Runs a list of notebooks with grids of parameters, one after the other, once each; knows no schedule and no notebook.

A suite is a YAML file. A session is one passage through it, kept in `<runs>/.suites/<name>.json`; which of its parts are done is read
off the runs themselves, which carry session and part in their records, so nothing is done twice whatever was killed when.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from seqgpt_lab.errors import OptionError, RunError
from seqgpt_lab.files import sha256_of, write_json
from seqgpt_lab.reports.kernel import Progress
from seqgpt_lab.reports.parameters import check_parameters, declared_parameters, read_notebook
from seqgpt_lab.reports.runner import RUN_DIR, run_notebook
from seqgpt_lab.reports.runs import Run, list_runs
from seqgpt_lab.reports.schedule import Schedule, is_over
from seqgpt_lab.resources import bundled_notebook

SUITES = ".suites"
_LOCK = ".suite.lock"
_KEYS = {"name", "parts", "timeout", "schedule"}
_PART_KEYS = {"notebook", "parameters", "grid"}


@dataclass(frozen=True, slots=True)
class Part:
    """A notebook with parameters. key: the same for the same notebook text and parameters only."""

    key: str
    notebook: str
    parameters: Mapping[str, Any]

    def __str__(self) -> str:
        given = ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.parameters.items())
        return f"{Path(self.notebook).name} {given}".strip()


@dataclass(frozen=True, slots=True)
class Suite:
    """name: its sessions' record is called so. timeout: seconds a part, None for no limit. schedule: when it is due, for `Schedule`."""

    name: str
    parts: tuple[Part, ...]
    timeout: float | None = None
    schedule: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """One passage through a suite: its id, the keys of its parts, and when it began and ended (UTC), None while it has not."""

    id: str
    parts: tuple[str, ...]
    started: str
    finished: str | None = None


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


def load_suite(path: str | Path) -> Suite:
    """Read a suite: `name`, `timeout`, `schedule`, `parts: [{notebook, parameters, grid}]`; a grid is a mapping from parameters to lists.

    A notebook is looked for beside the file, from the current folder, then among those that come with the lab. Raises OptionError for
    what is not such a file, ParameterError for a notebook or parameters that do not fit: nothing is found out in the middle of a night.
    """
    where = Path(path)
    try:
        found = yaml.safe_load(where.read_text(encoding="utf-8"))
    except OSError as error:
        raise OptionError(f"the suite {path} cannot be read: {error.strerror}; give the path of a YAML file") from error
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(f"the suite {path} is not YAML in UTF-8: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("parts"), list) or not found["parts"]:
        raise OptionError(f"{path}: a suite is a mapping with a list `parts` that holds at least one")
    _check_keys(found, _KEYS, str(path))
    name, timeout = found.get("name", where.stem), found.get("timeout")
    if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
        raise OptionError(f"{path}: name is {name!r}; it becomes a file name: text without slashes that does not begin with a dot")
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise OptionError(f"{path}: timeout is {timeout!r}; write a positive number of seconds, or leave it out")
    schedule = str(found.get("schedule") or "")
    if schedule:
        Schedule.parse(schedule)
    parts = tuple(part for number, entry in enumerate(found["parts"], 1) for part in _parts(entry, where.parent, f"{path}, part {number}"))
    keys = [part.key for part in parts]
    twice = [str(part) for part in parts if keys.count(part.key) > 1]
    if twice:
        raise OptionError(f"{path}: {twice[0]} is listed more than once; list each combination once")
    return Suite(name, parts, timeout, schedule)


def run_suite(
    suite: Suite,
    runs_dir: str | Path,
    *,
    anew: bool = False,
    progress: Progress | None = None,
    part_started: Callable[[int, int, Part], None] | None = None,
) -> Outcome:
    """Run all parts that the unfinished session has not run; without one, or anew, begin a session.

    A part that ended by itself, well or badly, is done; one that was interrupted, or whose runner was killed, is run again and goes on
    from the journals it kept, if any. A changed suite begins a new session, and so does a call of a later time (see `is_over`): tonight
    is not done by what was read last night. part_started: called with number, count and part.
    Raises RunError at once while another suite runs on this folder, and when an interrupt ends a part.
    """
    with locked(runs_dir, suite.name):
        earlier = list_runs(runs_dir)
        session = (None if anew else _unfinished(runs_dir, suite, earlier)) or _begin(runs_dir, suite)
        known = {run.origin["part"]: run for run in runs_of(session, earlier) if run.origin}
        done = {key: run for key, run in known.items() if _is_done(run)}
        runs = []
        for number, part in enumerate(suite.parts, 1):
            if part.key not in done:
                if part_started is not None:
                    part_started(number, len(suite.parts), part)
                done[part.key] = _run(suite, session, part, runs_dir, known.get(part.key), progress)
            runs.append(done[part.key])
        session = replace(session, finished=_now())
        _write(runs_dir, suite, session)
        return Outcome(session, tuple(runs), sum(_is_done(run) for run in known.values()))


def last_session(runs_dir: str | Path, name: str) -> Session | None:
    """The latest session of the suite of that name. Raises RunError for a broken record."""
    path = Path(runs_dir) / SUITES / f"{name}.json"
    if not path.exists():
        return None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Session(**{**values, "parts": tuple(values["parts"])})
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f"{path} is not the record of a session ({error!r}); delete it to begin anew") from error


def runs_of(session: Session, runs: Iterable[Run]) -> list[Run]:
    """Those of some runs that are of a session, in their order."""
    return [run for run in runs if run.origin and run.origin.get("session") == session.id]


@contextmanager
def locked(runs_dir: str | Path, name: str) -> Iterator[None]:
    """Hold the lock of a runs folder; the system releases it however this process ends. Raises RunError while another one has it."""
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
            raise RunError(
                f"another suite runs on {runs_dir}: {stream.read().strip() or 'it has just begun'}; wait until it has ended"
            ) from None
        stream.truncate(0)
        stream.write(f"{name}, process {os.getpid()}, since {_now()}")
        stream.flush()
        yield


def _parts(entry: Any, folder: Path, where: str) -> Iterator[Part]:
    """One part a combination of the grid, in the order of its lists, the last parameter changing first."""
    if not isinstance(entry, dict) or not isinstance(entry.get("notebook"), str):
        raise OptionError(f"{where}: {entry!r} is not a mapping with a `notebook`")
    _check_keys(entry, _PART_KEYS, where)
    given, grid = entry.get("parameters") or {}, entry.get("grid") or {}
    if not isinstance(given, dict) or not isinstance(grid, dict) or not all(isinstance(one, list) and one for one in grid.values()):
        raise OptionError(f"{where}: `parameters` maps names to values, `grid` maps names to lists of values that are not empty")
    path = _notebook(entry["notebook"], folder)
    declared = declared_parameters(read_notebook(path), path.name)
    for values in itertools.product(*grid.values()):
        parameters = given | dict(zip(grid, values, strict=True))
        check_parameters({name: one for name, one in declared.items() if name != RUN_DIR}, parameters)
        text = json.dumps([sha256_of(path), parameters], sort_keys=True)
        yield Part(hashlib.sha256(text.encode()).hexdigest()[:16], str(path), parameters)


def _notebook(name: str, folder: Path) -> Path:
    here = [path for path in (folder / name, Path(name)) if path.is_file()]
    return here[0].resolve() if here else bundled_notebook(Path(name).name)


def _check_keys(found: Mapping[Any, Any], known: set[str], where: str) -> None:
    unknown = sorted(map(str, found.keys() - known))
    if unknown:
        raise OptionError(f"{where}: unknown keys {unknown}; known are {sorted(known)}")


def _unfinished(runs_dir: str | Path, suite: Suite, runs: Sequence[Run]) -> Session | None:
    session = last_session(runs_dir, suite.name)
    if session is None or session.finished is not None or sorted(session.parts) != sorted(part.key for part in suite.parts):
        return None
    began = datetime.fromisoformat(session.started)
    touched = max([began, *(_touched(run) for run in runs_of(session, runs))])
    return None if is_over(suite.schedule, began, touched, datetime.now(UTC)) else session


def _touched(run: Run) -> datetime:
    """When something was last written into a run's folder, which a long one does as it goes on."""
    return datetime.fromtimestamp(max(path.stat().st_mtime for path in (run.folder, *run.folder.rglob("*"))), UTC)


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


def _is_done(run: Run) -> bool:
    """Whether a part's run came to an end of its own: a notebook that fails would fail again."""
    return run.status in ("completed", "failed", "timed out") or (
        run.status == "killed" and run.error is not None and run.error.kind != "runner gone"
    )


def _run(suite: Suite, session: Session, part: Part, runs_dir: str | Path, earlier: Run | None, progress: Progress | None) -> Run:
    origin = {"suite": suite.name, "session": session.id, "part": part.key}
    run = run_notebook(part.notebook, part.parameters, runs_dir, timeout=suite.timeout, progress=progress, resume=earlier, origin=origin)
    if run.status == "interrupted":
        raise RunError(f"the suite {suite.name} was interrupted at {part}; call it again to go on from there")
    return run


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
