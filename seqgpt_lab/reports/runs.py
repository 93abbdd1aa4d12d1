"""The record of a notebook run and the folder it is kept in; knows nothing of papermill, pages or what the notebook does.

A run is a folder `<runs>/<id>/` with `run.json` (this record), `out.ipynb`, `report.html`, and whatever the notebook itself
writes, among it `metrics.json` and `inputs.json` (which model and data it read, see `studies.sources`).
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from seqgpt_lab.errors import RunError
from seqgpt_lab.files import write_json
from seqgpt_lab.reports.owner import Owner
from seqgpt_lab.reports.provenance import code_version, describe_machine, package_versions
from seqgpt_lab.reports.reserve import keep_room
from seqgpt_lab.studies.run_files import INPUTS, RECORD

Status = Literal["running", "completed", "failed", "timed out", "killed", "interrupted"]
STATUSES: tuple[Status, ...] = get_args(Status)
RUNNER_GONE = "runner gone"
MOST_SECONDS = 366 * 24 * 3600
"""The longest limit of a run: the system cannot wait for ever, and JSON has no infinity."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run did not complete: kind (an exception's class or what happened), message, the code cell counted from 1, traceback."""

    kind: str
    message: str
    cell: int | None = None
    traceback: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of one run; `run.json` holds every field but `folder`.

    parameters: the values the notebook ran with, defaults included; given: the names among them that the caller set. started and
    finished: ISO 8601 times in UTC; seconds: wall time, None while running. timeout: the limit in seconds, None without one. code:
    git commit and dirtiness, None outside git. model and data: what the notebook says it read, sha256 included; None and empty
    where it says nothing. artifacts: file names in the folder, sorted, `run.json` not among them. unmasked: the page shows personal
    data. origin: the suite, its session and the part that the run is of; None outside one. repeats: the run that was to be repeated
    and what differs; None where none was.
    """

    id: str
    status: Status
    notebook: str
    notebook_sha256: str
    parameters: Mapping[str, Any]
    given: tuple[str, ...]
    started: str
    owner: Owner
    timeout: float | None = None
    finished: str | None = None
    seconds: float | None = None
    code: Mapping[str, Any] | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    model: Mapping[str, Any] | None = None
    data: tuple[Mapping[str, Any], ...] = ()
    error: Failure | None = None
    artifacts: tuple[str, ...] = ()
    unmasked: bool = False
    origin: Mapping[str, str] | None = None
    repeats: Mapping[str, Any] | None = None
    folder: Path = Path()

    @property
    def ok(self) -> bool:
        """Whether every cell ran and none failed."""
        return self.status == "completed"

    def to_dict(self) -> dict[str, Any]:
        """The record as `run.json` holds it."""
        record = {name: value for name, value in asdict(self).items() if name != "folder"}
        return {"format": _FORMAT, **record}


def start_run(
    runs_dir: str | Path,
    notebook: Path,
    notebook_sha256: str,
    parameters: Mapping[str, Any],
    *,
    given: Sequence[str] = (),
    timeout: float | None = None,
    unmasked: bool = False,
    origin: Mapping[str, str] | None = None,
) -> Run:
    """Make a new run folder under `runs_dir` and put the record of a run that is `running` in this process there.

    parameters: all values the notebook will run with; given: the names among them that the caller set. For the rest see `Run`.
    Raises RunError when the folder cannot be made or written.
    """
    now = datetime.now(UTC)
    folder = _new_folder(Path(runs_dir), now)
    run = Run(
        id=folder.name,
        status="running",
        notebook=str(notebook),
        notebook_sha256=notebook_sha256,
        parameters=dict(parameters),
        given=tuple(sorted(given)),
        started=now.isoformat(timespec="milliseconds"),
        owner=Owner.this_process(),
        timeout=timeout,
        unmasked=unmasked,
        origin=origin,
        code=code_version(),
        versions=package_versions(),
        machine=describe_machine(),
        folder=folder,
    )
    write_run(run)
    keep_room(folder)
    return run


def finish_run(run: Run, status: Status, error: Failure | None, seconds: float) -> Run:
    """The run as it ended after `seconds`, with what the notebook said it read; nothing is written.

    An unreadable `inputs.json` turns a completed run into a failed one, since its provenance would be untrue.
    """
    finished = datetime.now(UTC).isoformat(timespec="milliseconds")
    ended = replace(run, status=status, error=error, finished=finished, seconds=round(seconds, 3))
    try:
        model, data = _read_inputs(run.folder)
    except RunError as problem:
        return ended if error else replace(ended, status="failed", error=Failure("RunError", str(problem)))
    return replace(ended, model=model, data=data)


def write_run(run: Run) -> Run:
    """Write the record into its folder, artifacts brought up to date; returns it. Raises RunError when that fails."""
    try:
        names = sorted(entry.name for entry in run.folder.iterdir() if not entry.name.startswith("."))
        run = replace(run, artifacts=tuple(name for name in names if name != RECORD))
        write_json(run.folder / RECORD, run.to_dict())
    except OSError as error:
        raise RunError(f"the record {run.folder / RECORD} cannot be written ({error}); free space or choose another runs folder") from error
    return run


def read_run(folder: str | Path) -> Run:
    """The record in a run folder. A run that says `running` though its process is gone is read as `killed`, with the model and data that
    its notebook had noted by then; the file is not touched.

    Raises RunError when there is no record or it does not fit the format, naming what is wrong with it.
    """
    path = Path(folder) / RECORD
    try:
        run = _from_dict(json.loads(path.read_text(encoding="utf-8")), Path(folder))
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error}); give a folder that a run wrote") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RunError(f"{path} is not the record of a run ({error}); delete the folder or restore the file") from error
    if run.status == "running" and run.owner.is_gone():
        message = f"the process {run.owner.pid} that ran the notebook ended without writing how; it was killed or the machine went down"
        killed = replace(run, status="killed", error=Failure(RUNNER_GONE, message))
        with suppress(RunError):  # the kill may have left half of it
            model, data = _read_inputs(run.folder)
            return replace(killed, model=model, data=data)
        return killed
    return run


def list_runs(runs_dir: str | Path) -> list[Run]:
    """Every run under `runs_dir`, oldest first; folders without a record are not runs.

    Raises RunError for a broken record, and where there is no folder `runs_dir`.
    """
    return [read_run(folder) for folder in _folders(runs_dir)]


def find_run(runs_dir: str | Path, name: str) -> Run:
    """The run of that id, of an id that begins or ends so, or in that folder.

    Raises RunError unless there is exactly one, and where there is no folder `runs_dir` to look in.
    """
    if (Path(name) / RECORD).is_file():
        return read_run(name)
    ids = [folder.name for folder in _folders(runs_dir)]
    found = [one for one in ids if one == name] or [one for one in ids if name and (one.startswith(name) or one.endswith(name))]
    if len(found) != 1:
        told = f"{len(found)} runs there are called so: {', '.join(found[:5])}" if found else f"{len(ids)} other runs are there"
        raise RunError(f"there is no one run {name!r} in {runs_dir}, {told}; give its whole id or its folder")
    return read_run(Path(runs_dir) / found[0])


def _folders(runs_dir: str | Path) -> list[Path]:
    root = Path(runs_dir)
    if not root.is_dir():
        raise RunError(f"there is no folder of runs {runs_dir}; name the one that `seqgpt-lab run` made, with --runs-dir")
    return sorted(folder for folder in root.iterdir() if (folder / RECORD).is_file())


def _new_folder(runs_dir: Path, now: datetime) -> Path:
    """A folder that did not exist before: UTC time to the millisecond, so that names sort by start, and a random part."""
    stamp = now.strftime("%Y%m%d-%H%M%S-") + f"{now.microsecond // 1000:03d}"
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        while True:
            folder = Path(os.path.abspath(runs_dir)) / f"{stamp}-{secrets.token_hex(3)}"
            try:
                folder.mkdir()
            except FileExistsError:
                continue
            return folder
    except OSError as error:
        raise RunError(f"no run folder can be made in {runs_dir} ({error}); give a folder you may write to") from error


def _read_inputs(folder: Path) -> tuple[Mapping[str, Any] | None, tuple[Mapping[str, Any], ...]]:
    """What the notebook said it read: (model, data files); (None, ()) when it said nothing."""
    path = folder / INPUTS
    if not path.exists():
        return None, ()
    try:
        inputs = json.loads(path.read_text(encoding="utf-8"))
        return inputs["model"], tuple(inputs["data"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RunError(f'{path} is not {{"model": …, "data": […]}} ({error!r}); have the notebook write it with record_inputs') from error


def _from_dict(record: Mapping[str, Any], folder: Path) -> Run:
    values = dict(record)
    if values.pop("format", None) != _FORMAT:
        raise ValueError(f"format is {record.get('format')!r}, this version reads {_FORMAT}")
    unknown = values.keys() - {one.name for one in fields(Run)}
    if unknown or values["status"] not in STATUSES:
        raise ValueError(f"unknown {sorted(unknown)}" if unknown else f"status {values['status']!r} is none of {STATUSES}")
    values |= {name: tuple(values[name]) for name in ("given", "data", "artifacts")}
    values["owner"] = Owner(**values["owner"])
    values["error"] = Failure(**values["error"]) if values["error"] else None
    return Run(**values, folder=folder)
