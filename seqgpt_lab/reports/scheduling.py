"""Puts a suite's schedule into this machine's systemd or crontab, takes it out, and checks that the machine has what it takes."""

from __future__ import annotations

import getpass
import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from seqgpt_lab.errors import RunError
from seqgpt_lab.files import write_atomically
from seqgpt_lab.reports.schedule import Job, Schedule
from seqgpt_lab.reports.suite import SUITES, last_session

_FREE_BYTES = 1024**3
# How the crons say, in English, that a user has no crontab: Vixie's and those that come of it, then busybox's.
_NO_CRONTAB = re.compile(r"^(\S*crontab: )?(no crontab for |can't open '.*': No such file)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Check:
    """Something a scheduled suite needs: what, whether it is there, and what was found or how to mend it."""

    name: str
    ok: bool
    told: str


def check_machine(job: Job, runs_dir: Path, manager: str) -> list[Check]:
    """All that the job needs of this machine under this manager."""
    return [_program(job), _packages(), *_room(runs_dir), *(_systemd() if manager == "systemd" else _cron())]


def choose_manager() -> str:
    """systemd where the user's own answers, cron elsewhere."""
    return "systemd" if _answers(["systemctl", "--user", "show-environment"]) else "cron"


def install(job: Job, runs_dir: Path, manager: str) -> list[str]:
    """Put the job into place, instead of one of the same name; what was done, in sentences. Raises RunError when the manager refuses."""
    stamp = runs_dir / SUITES / f"{job.name}.scheduled"
    stamp.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(stamp, datetime.now(UTC).isoformat() + "\n")
    if manager == "cron":
        _call(["crontab", "-"], job.with_line(_crontab()))
        return [f"the crontab of {getpass.getuser()} has the line: {job.crontab_line()}"]
    written = write_units(job, unit_folder())
    _call(["systemctl", "--user", "daemon-reload"])
    _call(["systemctl", "--user", "enable", "--now", f"{job.unit}.timer"])
    return [*(f"wrote {path}" for path in written), f"enabled {job.unit}.timer"]


def remove(job: Job, manager: str) -> list[str]:
    """Take the job out again; what was done, in sentences. Raises RunError when the manager refuses."""
    if manager == "cron":
        _call(["crontab", "-"], job.with_line(_crontab(), wanted=False))
        return [f"the crontab of {getpass.getuser()} has no line of the suite {job.name}"]
    _call(["systemctl", "--user", "disable", "--now", f"{job.unit}.timer"])
    for kind in ("timer", "service"):
        (unit_folder() / f"{job.unit}.{kind}").unlink(missing_ok=True)
    _call(["systemctl", "--user", "daemon-reload"])
    return [f"removed {job.unit}.timer and {job.unit}.service"]


def write_units(job: Job, folder: Path) -> list[Path]:
    """Write timer and service into a folder. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {folder / f"{job.unit}.service": job.service(), folder / f"{job.unit}.timer": job.timer()}
    for path, text in files.items():
        write_atomically(path, text)
    return list(files)


def unit_folder() -> Path:
    """Where systemd looks for a user's units."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user"


def is_due(schedule: Schedule, name: str, runs_dir: Path, now: datetime) -> bool:
    """Whether a time of the schedule has passed since the suite's last session began, else since it was scheduled, else ever.

    now: in the machine's own time, without a time zone.
    """
    session, stamp = last_session(runs_dir, name), runs_dir / SUITES / f"{name}.scheduled"
    if session is None and not stamp.exists():
        return True
    since = datetime.fromisoformat(session.started if session else stamp.read_text(encoding="utf-8").strip())
    return schedule.is_due(now, since.astimezone().replace(tzinfo=None))


def _program(job: Job) -> Check:
    path = job.command[0]
    return Check("program", os.access(path, os.X_OK), path)


def _packages() -> Check:
    missing = [name for name in ("papermill", "nbconvert", "ipykernel", "matplotlib") if importlib.util.find_spec(name) is None]
    return Check("packages", not missing, f"missing: {', '.join(missing)}; pip install 'seqgpt-lab[lab]'" if missing else "all there")


def _room(runs_dir: Path) -> Iterator[Check]:
    place = next(path for path in (runs_dir.absolute(), *runs_dir.absolute().parents) if path.exists())
    try:
        # Tried out, for os.access lies to root and about what is mounted read-only.
        tempfile.TemporaryFile(dir=place).close()
        yield Check("runs folder", True, f"{runs_dir.absolute()}")
    except OSError as error:
        told = f"no run can be made in {runs_dir.absolute()} ({place}: {error.strerror}); name a folder you may write to with --runs-dir"
        yield Check("runs folder", False, told)
    free = shutil.disk_usage(place).free
    yield Check("free room", free >= _FREE_BYTES, f"{free / _FREE_BYTES:.1f} GiB free, 1 GiB is wanted")


def _systemd() -> Iterator[Check]:
    answers = _answers(["systemctl", "--user", "show-environment"])
    yield Check(
        "systemd", answers, "the user's own systemd " + ("answers" if answers else "does not answer; log in through a session, or use cron")
    )
    user = getpass.getuser()
    lingers = Path("/var/lib/systemd/linger", user).exists()
    told = "runs while nobody is logged in" if lingers else f"would only run while {user} is logged in: loginctl enable-linger {user}"
    yield Check("lingering", lingers, told)


def _cron() -> Iterator[Check]:
    there = shutil.which("crontab") is not None
    yield Check("crontab", there, "is there" if there else "is not installed: apt-get install cron")
    runs = any(process.info["name"] in ("cron", "crond") for process in psutil.process_iter(["name"]))
    yield Check("cron", runs, "runs" if runs else "does not run: systemctl start cron")


def _answers(command: Sequence[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _crontab() -> str:
    """The user's crontab, empty where there is none. Raises RunError where it cannot be read: what is written back is all that is left."""
    done = _done(["crontab", "-l"])
    if done.returncode and (done.stdout or not _NO_CRONTAB.search(_told_by(done))):
        raise RunError(
            f"crontab -l failed with {done.returncode}: {_told_by(done)}; the crontab was left as it is, for it may hold other jobs: "
            "mend what crontab -l complains of, or use --manager systemd"
        )
    return done.stdout.decode("utf-8", "surrogateescape") if not done.returncode else ""


def _call(command: Sequence[str], given: str = "") -> None:
    """Run a program of the manager on this input. Raises RunError when it cannot be run, takes more than a minute or fails."""
    done = _done(command, given)
    if done.returncode:
        raise RunError(
            f"{' '.join(command)} failed with {done.returncode}: {_told_by(done)}; see `seqgpt-lab schedule` for what is missing"
        )


def _done(command: Sequence[str], given: str = "") -> subprocess.CompletedProcess[bytes]:
    """How a program ended that speaks English, and takes and gives bytes: lines of others come back as they were, in any encoding."""
    try:
        return subprocess.run(
            command,
            input=given.encode("utf-8", "surrogateescape"),
            capture_output=True,
            timeout=60,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunError(f"{' '.join(command)} did not work ({error}); use the other --manager, or --output and install by hand") from error


def _told_by(done: subprocess.CompletedProcess[bytes]) -> str:
    return done.stderr.decode("utf-8", "replace").strip()
