"""What a suite is and what is known of its sessions: a list of notebooks with grids of parameters, run once each. Runs nothing.

A suite is a YAML file. A session is one passage through it, kept in `<runs>/.suites/<name>.json`; which of its parts are done is read
off the runs themselves, which carry session and part in their records.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seqgpt_lab.documents.settings import read_yaml
from seqgpt_lab.errors import OptionError, RunError
from seqgpt_lab.files import sha256_of
from seqgpt_lab.reports.parameters import RUN_DIR, check_parameters, declared_parameters, read_notebook
from seqgpt_lab.reports.runs import MOST_SECONDS, RUNNER_GONE, Run
from seqgpt_lab.reports.schedule import Schedule
from seqgpt_lab.resources import bundled_notebook

SUITES = ".suites"
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


def load_suite(path: str | Path) -> Suite:
    """Read a suite: `name`, `timeout`, `schedule`, `parts: [{notebook, parameters, grid}]`; a grid is a mapping from parameters to lists.

    A notebook is looked for beside the file, from the current folder, then among those that come with the lab. Raises OptionError for
    what is not such a file, ParameterError for a notebook or parameters that do not fit: nothing is found out in the middle of a night.
    """
    where = Path(path)
    try:
        found = read_yaml(where)
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
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout is not True and 0 < timeout <= MOST_SECONDS):
        raise OptionError(f"{path}: timeout is {timeout!r}; write a number of seconds above 0 and up to {MOST_SECONDS:,}, or leave it out")
    schedule = str(found.get("schedule") or "")
    if schedule:
        Schedule.parse(schedule)
    parts = tuple(part for number, entry in enumerate(found["parts"], 1) for part in _parts(entry, where.parent, f"{path}, part {number}"))
    keys = [part.key for part in parts]
    twice = [str(part) for part in parts if keys.count(part.key) > 1]
    if twice:
        raise OptionError(f"{path}: {twice[0]} is listed more than once; list each combination once")
    return Suite(name, parts, timeout, schedule)


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


def is_done(run: Run) -> bool:
    """Whether a part's run came to an end of its own: a notebook that fails would fail again."""
    return run.status in ("completed", "failed", "timed out") or (
        run.status == "killed" and run.error is not None and run.error.kind != RUNNER_GONE
    )


def runs_that_count(runs: Sequence[Run]) -> dict[str, Run]:
    """Of each part of a session that has begun, by its key, the run that is done, else the newest. runs: those of the session."""
    # Once a clock was set back, the newest by its name may be one that was cut long before the part was done.
    ordered = sorted(runs, key=is_done)
    return {run.origin["part"]: run for run in ordered if run.origin}


def _parts(entry: Any, folder: Path, where: str) -> Iterator[Part]:
    """One part a combination of the grid, in the order of its lists, the last parameter changing first."""
    if not isinstance(entry, dict) or not isinstance(entry.get("notebook"), str):
        raise OptionError(f"{where}: {entry!r} is not a mapping with a `notebook`")
    _check_keys(entry, _PART_KEYS, where)
    given, grid = entry.get("parameters") or {}, entry.get("grid") or {}
    if not isinstance(given, dict) or not isinstance(grid, dict) or not all(isinstance(one, list) and one for one in grid.values()):
        raise OptionError(f"{where}: `parameters` maps names to values, `grid` maps names to lists of values that are not empty")
    if both := sorted(map(str, given.keys() & grid.keys())):
        raise OptionError(f"{where}: {', '.join(both)} stands both in `parameters` and in `grid`; keep one of the two")
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
