"""When a suite is due, and the files with which a machine runs it then: a systemd timer and service, or a crontab line.

systemd catches a missed time up once by itself. cron does not: its line asks every ten minutes whether a time has passed since the
last session, which catches up once too, however many were missed.
"""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from pathlib import Path

from seqgpt_lab.errors import OptionError

IDLE = timedelta(hours=12)
"""How long an unfinished session of a suite without a schedule waits to be gone on with."""
WRONG_CLOCK = timedelta(days=1)
"""A time further ahead than this was not told by a clock that was merely set a little, or by another time zone's."""
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_FORM = re.compile(r"(?:(?P<days>[a-z,-]+)\s+)?(?P<hour>\d{1,2}):(?P<minute>\d{2})")
_CRON_MARK = "# seqgpt-lab suite"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A time of day on some days of the week, 0 being Monday, in the machine's own time."""

    at: time
    days: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """`02:30`, `daily 02:30`, `mon-fri 02:30` or `sat,sun 18:00`. Raises OptionError for anything else."""
        found = _FORM.fullmatch(text.strip().lower())
        try:
            if found is None:
                raise ValueError("no such form")
            return cls(time(int(found["hour"]), int(found["minute"])), frozenset(_days(found["days"] or "daily")))
        except ValueError as error:
            raise OptionError(f"the schedule is {text!r} ({error}); write 'daily 02:30', 'mon-fri 02:30' or 'sat,sun 18:00'") from error

    def latest(self, now: datetime) -> datetime:
        """The last time it was due at or before `now`, both without a time zone."""
        return max(moment for moment in self._around(now) if moment <= now)

    def next(self, now: datetime) -> datetime:
        """The first time it is due after `now`, both without a time zone."""
        return min(moment for moment in self._around(now) if moment > now)

    def is_due(self, now: datetime, since: datetime) -> bool:
        """Whether a time has come after `since` and not after `now`, all three without a time zone.

        A `since` more than a day from now was told by a clock that was wrong: nothing is known to have run then, so it is due.
        """
        return since < self.latest(now) or since - now > WRONG_CLOCK

    def on_calendar(self) -> str:
        """systemd's OnCalendar."""
        names = ",".join(DAYS[day].capitalize() for day in sorted(self.days))
        return f"{'' if len(self.days) == 7 else names + ' '}*-*-* {self.at:%H:%M}:00"

    def __str__(self) -> str:
        return f"{'daily' if len(self.days) == 7 else ','.join(DAYS[day] for day in sorted(self.days))} {self.at:%H:%M}"

    def _around(self, now: datetime) -> list[datetime]:
        days = (now.date() + timedelta(days=shift) for shift in range(-8, 9))
        return [datetime.combine(day, self.at) for day in days if day.weekday() in self.days]


@dataclass(frozen=True, slots=True)
class Job:
    """What to run when: the suite's name, the program and its words, the folder to start in, the log, and the schedule."""

    name: str
    command: tuple[str, ...]
    folder: Path
    log: Path
    schedule: Schedule

    @property
    def unit(self) -> str:
        """The name of the systemd units: no two suites share one, though units hold few of the characters that a suite's name may."""
        held = re.sub(r"[^A-Za-z0-9_.-]", "_", self.name)
        told_apart = "" if held == self.name else "-" + hashlib.sha256(self.name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return f"seqgpt-lab-{held}{told_apart}"

    def service(self) -> str:
        """The systemd service. It waits where another suite of the folder is due at the same time: a timer asks once a time only."""
        words = " ".join(_systemd_word(word) for word in (*self.command, "--wait"))
        return (
            f"[Unit]\nDescription=SeqGPT Lab suite {_systemd_text(self.name)}\n\n[Service]\nType=oneshot\n"
            f"WorkingDirectory={_systemd_text(str(self.folder))}\nExecStart={words}\nNice=10\n"
            # The runner answers a TERM by writing down that it was interrupted; its notebooks are given time for the same.
            "KillMode=mixed\nTimeoutStopSec=60\n"
        )

    def timer(self) -> str:
        """The systemd timer; Persistent is what catches a missed time up."""
        return (
            f"[Unit]\nDescription=When to run the SeqGPT Lab suite {_systemd_text(self.name)}\n\n[Timer]\n"
            f"OnCalendar={self.schedule.on_calendar()}\nPersistent=true\n\n[Install]\nWantedBy=timers.target\n"
        )

    def crontab_line(self) -> str:
        """The crontab line; a `%` would end a command there. It makes the log's folder, without which cron could not start the command."""
        words = " ".join(map(shlex.quote, (*self.command, "--if-due", str(self.schedule))))
        folder, log_folder, log = (shlex.quote(str(path)) for path in (self.folder, self.log.parent, self.log))
        line = f"cd {folder} && mkdir -p {log_folder} && {words} >> {log} 2>&1"
        return f"*/10 * * * * {line.replace('%', chr(92) + '%')} {self.mark}"

    @property
    def mark(self) -> str:
        """What the crontab line ends with, so that it is found again."""
        return f"{_CRON_MARK} {self.name}"

    def with_line(self, crontab: str, wanted: bool = True) -> str:
        """A crontab with this job's line in it once, or not at all; the other lines stay as they are, byte for byte."""
        # Not splitlines, which also cuts at characters that end no line of a crontab.
        others = [line for line in crontab.removesuffix("\n").split("\n") if not line.endswith(self.mark)] if crontab else []
        return "".join(f"{line}\n" for line in [*others, *([self.crontab_line()] if wanted else [])])


def is_over(schedule: str, began: datetime, touched: datetime, now: datetime) -> bool:
    """Whether an unfinished session is one of an earlier time, so that the next call is another one's and must run every part.

    schedule: as `Schedule.parse` takes it; empty: none. began, touched: when the session began, and when something was last written of
    its runs; all times have time zones. A scheduled suite's session ends when the next time comes; any other's when nothing has been
    written for `IDLE`.
    Raises OptionError for a schedule that is none.
    """
    if not schedule:
        return now - touched > IDLE
    return Schedule.parse(schedule).is_due(*(moment.astimezone().replace(tzinfo=None) for moment in (now, began)))


def _days(text: str) -> set[int]:
    if text in ("daily", "every-day"):
        return set(range(7))
    found: set[int] = set()
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        if not {first, last or first} <= set(DAYS):
            raise ValueError(f"{piece!r} is no day; there are {', '.join(DAYS)}, and daily")
        start, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return found


def _systemd_text(text: str) -> str:
    return text.replace("%", "%%").replace("\n", " ")


def _systemd_word(word: str) -> str:
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{_systemd_text(escaped)}"'
