from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from time import tzset

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.errors import OptionError, RunError
from seqgpt_lab.files import write_json
from seqgpt_lab.reports.schedule import Job, Schedule, is_over
from seqgpt_lab.reports.scheduling import check_machine, install, is_due, remove, write_units

SUMMER_TIME = "CET-1CEST,M3.5.0,M10.5.0/3"
SCHEDULES = st.builds(Schedule, st.times().map(lambda one: time(one.hour, one.minute)), st.frozensets(st.integers(0, 6), min_size=1))
MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2050, 1, 1))


@given(SCHEDULES, MOMENTS)
def test_the_last_and_the_next_time_lie_around_now_with_none_between(schedule: Schedule, now: datetime) -> None:
    last, following = schedule.latest(now), schedule.next(now)
    assert last <= now < following and last.time() == following.time() == schedule.at
    assert {last.weekday(), following.weekday()} <= schedule.days
    between = [last.date() + timedelta(days=shift) for shift in range(1, (following.date() - last.date()).days)]
    assert not [day for day in between if day.weekday() in schedule.days]
    assert Schedule.parse(str(schedule)) == schedule


@pytest.mark.parametrize(
    ("text", "days"),
    [
        *(("02:30", range(7)), ("daily 2:30", range(7)), ("mon-fri 02:30", range(5)), ("sat,sun 02:30", (5, 6))),
        *(("fri-mon 02:30", (4, 5, 6, 0)), ("Wed 02:30", (2,))),
    ],
)
def test_schedules_are_read(text: str, days: range) -> None:
    assert Schedule.parse(text) == Schedule(time(2, 30), frozenset(days))


def test_a_day_that_is_none_is_named() -> None:
    with pytest.raises(OptionError, match="'mon-fry' is no day; there are mon, tue, wed, thu, fri, sat, sun, and daily"):
        Schedule.parse("mon-fry 02:30")


@pytest.mark.parametrize("text", ["", "noon", "24:00", "02:60", "someday 02:30", "daily", "mon-fry 1:00"])
def test_other_schedules_are_refused(text: str) -> None:
    with pytest.raises(OptionError, match="write 'daily 02:30'"):
        Schedule.parse(text)


@pytest.fixture
def job(tmp_path: Path) -> Job:
    program = tmp_path / "a b" / "seqgpt-lab"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@" > ran\n')
    program.chmod(0o755)
    command = (str(program), "suite", "50% $x.yaml", "--runs-dir", str(tmp_path))
    return Job("夜 1", command, tmp_path / "a b", tmp_path / "no such" / "log", Schedule.parse("mon,sat 02:30"))


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze on this machine: apt-get install systemd")
def test_systemd_takes_the_units(job: Job, tmp_path: Path) -> None:
    files = write_units(job, tmp_path / "units")
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", "verify", "--user", *map(str, files)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Persistent=true" in job.timer() and "OnCalendar=Mon,Sat *-*-* 02:30:00" in job.timer()
    assert "50%% $$x.yaml" in job.service()


def test_what_systemd_starts_once_a_time_waits_and_what_cron_asks_again_does_not(job: Job) -> None:
    assert job.service().count(' "--wait"\n') == 1 and "--wait" not in job.crontab_line()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that writes down what it is called with; the folder of units."""
    program = tmp_path / "bin" / "systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {shlex.quote(str(tmp_path / "called"))}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "systemd" / "user"


def test_suites_whose_names_no_unit_can_have_keep_out_of_each_other_s_way(job: Job, systemctl: Path, tmp_path: Path) -> None:
    jobs = [replace(job, name=name, command=(*job.command, f"{name}.yaml")) for name in ("夜间", "周末", "a b", "a_b", "a,b")]
    for one in jobs:
        install(one, tmp_path, "systemd")
    assert len(list(systemctl.iterdir())) == 2 * len(jobs)
    for one in jobs:
        # A timer starts the service that is called like it.
        assert f'"{one.name}.yaml"' in (systemctl / f"{one.unit}.service").read_text()
        assert f"suite {one.name}\n" in (systemctl / f"{one.unit}.timer").read_text()
        assert f"--user enable --now {one.unit}.timer\n" in (tmp_path / "called").read_text()
    remove(jobs[0], "systemd")
    assert {path.stem for path in systemctl.iterdir()} == {one.unit for one in jobs[1:]}
    assert f"--user disable --now {jobs[0].unit}.timer\n" in (tmp_path / "called").read_text()


@pytest.mark.parametrize("name", ["nightly", "a_b.c-D1"])
def test_a_name_that_a_unit_can_have_stays_as_it_is(job: Job, name: str) -> None:
    assert replace(job, name=name).unit == f"seqgpt-lab-{name}"


def test_the_crontab_line_runs_what_it_should(job: Job) -> None:
    *times, command = job.crontab_line().split(" ", 5)
    assert times == ["*/10", "*", "*", "*", "*"]
    # As cron does it: an escaped percent sign is one, everything goes to the shell.
    subprocess.run(["/bin/sh", "-c", command.replace("\\%", "%")], check=True)
    assert (job.folder / "ran").read_text() == f"suite 50% $x.yaml --runs-dir {job.command[-1]} --if-due mon,sat 02:30\n"


@pytest.fixture
def crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A crontab program that keeps its table in a file, and speaks German where it may; `fails` has it fail."""
    table, program = tmp_path / "table", tmp_path / "bin" / "crontab"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
        cd {shlex.quote(str(tmp_path))}
        if [ "$1" != -l ]; then exec cat > table; fi
        if [ -e fault ]; then cat part; cat fault >&2; exit 1; fi
        if [ -e table ]; then exec cat table; fi
        if [ "$LC_ALL" = C ]; then echo "no crontab for someone" >&2; else echo "keine Crontab" >&2; fi
        exit 1
        """
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    return table


def test_installing_twice_leaves_one_line_and_removing_leaves_the_others(job: Job, crontab: Path, tmp_path: Path) -> None:
    others = b"0 1 * * * other\n\n# \x0c ends no line\r\n0 2 * * * caf\xe9\n"
    crontab.write_bytes(others)
    install(job, tmp_path, "cron")
    install(job, tmp_path, "cron")
    assert crontab.read_bytes() == others + job.crontab_line().encode() + b"\n"
    remove(job, "cron")
    assert crontab.read_bytes() == others


def test_a_user_without_a_crontab_gets_one_with_this_line(job: Job, crontab: Path, tmp_path: Path) -> None:
    install(job, tmp_path, "cron")
    assert crontab.read_text() == job.crontab_line() + "\n"
    crontab.unlink()
    fails(tmp_path, "crontab: can't open 'someone': No such file or directory")
    install(job, tmp_path, "cron")
    assert crontab.read_text() == job.crontab_line() + "\n"


@pytest.mark.parametrize(
    ("told", "part"),
    [
        ("crontabs/someone: Input/output error", ""),
        ("crontab: can't open 'someone': Permission denied", ""),
        ("crontab: error while loading shared libraries: libx.so: cannot open shared object file: No such file or directory", ""),
        ("no crontab for someone", "0 1 * * * other\n"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
def test_a_crontab_that_cannot_be_read_is_never_written(
    job: Job, crontab: Path, tmp_path: Path, wanted: bool, told: str, part: str
) -> None:
    table = "0 1 * * * other\n0 2 * * * another\n"
    crontab.write_text(table)
    fails(tmp_path, told, part)
    with pytest.raises(RunError, match=re.escape(f"crontab -l failed with 1: {told};")):
        install(job, tmp_path, "cron") if wanted else remove(job, "cron")
    assert crontab.read_text() == table


def fails(folder: Path, told: str, part: str = "") -> None:
    """From now on the crontab program lists no more than this part, says this and fails."""
    (folder / "part").write_text(part)
    (folder / "fault").write_text(told + "\n")


def test_a_manager_that_refuses_is_an_error(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for manager in ("cron", "systemd"):
        with pytest.raises(RunError, match="did not work"):
            install(job, tmp_path, manager)


def test_what_the_machine_lacks_is_named(job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = {check.name: check for check in check_machine(job, tmp_path / "new" / "runs", "cron")}
    assert checks["program"].ok and checks["packages"].ok and checks["runs folder"].ok
    assert not checks["crontab"].ok and "apt-get install cron" in checks["crontab"].told
    assert "systemd" in {check.name for check in check_machine(job, tmp_path, "systemd")}
    for package in ("papermill", "nbconvert"):
        monkeypatch.setitem(sys.modules, package, None)
    packages = next(check for check in check_machine(job, tmp_path, "cron") if check.name == "packages")
    assert (packages.ok, packages.told) == (False, "missing: papermill, nbconvert; pip install 'seqgpt-lab[lab]'")


def test_a_runs_folder_that_is_a_file_or_lies_in_one_is_missing(job: Job, tmp_path: Path) -> None:
    taken = tmp_path / "runs"
    taken.touch()
    for place in (taken, taken / "below"):
        (check,) = [check for check in check_machine(job, place, "cron") if check.name == "runs folder"]
        assert not check.ok and str(taken) in check.told and "--runs-dir" in check.told


def local(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


@pytest.mark.parametrize(
    ("now", "due"), [(datetime(2024, 3, 12, 2, 0), False), (datetime(2024, 3, 12, 2, 31), True), (datetime(2024, 3, 20), True)]
)
def test_it_is_due_once_a_time_has_passed_since_the_last_session_began(tmp_path: Path, now: datetime, due: bool) -> None:
    schedule, folder = Schedule.parse("daily 02:30"), tmp_path / ".suites"
    assert is_due(schedule, "nightly", tmp_path, now)
    folder.mkdir()
    (folder / "nightly.scheduled").write_text(local(datetime(2024, 3, 11, 9)))
    assert is_due(schedule, "nightly", tmp_path, now) == due
    for began in (datetime(2024, 3, 11, 2, 35), now):
        write_json(folder / "nightly.json", {"id": "x", "parts": [], "started": local(began), "finished": None})
        assert is_due(schedule, "nightly", tmp_path, now + timedelta(minutes=1)) == (due and began != now)


@pytest.mark.parametrize(("ahead", "due"), [(timedelta(hours=1), False), (timedelta(days=3), True), (timedelta(days=3650), True)])
def test_a_session_that_began_in_the_future_does_not_stop_the_schedule_until_then(tmp_path: Path, ahead: timedelta, due: bool) -> None:
    now = datetime(2024, 3, 12, 2, 0)
    (tmp_path / ".suites").mkdir()
    write_json(tmp_path / ".suites" / "nightly.json", {"id": "x", "parts": [], "started": local(now + ahead), "finished": None})
    assert is_due(Schedule.parse("daily 02:30"), "nightly", tmp_path, now) == due
    assert is_over("daily 02:30", (now + ahead).astimezone(), now.astimezone(), now.astimezone()) == due


@pytest.fixture
def in_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Puts this machine into another time zone, as POSIX writes it."""

    def put(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        tzset()

    yield put
    monkeypatch.undo()
    tzset()


@pytest.mark.parametrize(
    ("zone", "since", "expected"),
    [
        ("CST-8", datetime(2024, 1, 30, 12), [datetime(2024, 1, 31, 2, 30), datetime(2024, 2, 1, 2, 30), datetime(2024, 2, 2, 2, 30)]),
        ("PST8", datetime(2024, 2, 28, 12), [datetime(2024, 2, 29, 2, 30), datetime(2024, 3, 1, 2, 30), datetime(2024, 3, 2, 2, 30)]),
        # The hour from two is there twice in one night of autumn, and in one night of spring not at all.
        (SUMMER_TIME, datetime(2024, 10, 25, 12), [datetime(2024, 10, day, 2, 30) for day in (26, 27, 28)]),
        (SUMMER_TIME, datetime(2024, 3, 29, 12), [datetime(2024, 3, 30, 2, 30), datetime(2024, 3, 31, 3), datetime(2024, 4, 1, 2, 30)]),
    ],
)
def test_asked_every_ten_minutes_it_is_due_once_a_day_wherever_the_machine_is(
    in_zone: Callable[[str], None], tmp_path: Path, zone: str, since: datetime, expected: list[datetime]
) -> None:
    in_zone(zone)
    schedule, folder = Schedule.parse("daily 02:30"), tmp_path / ".suites"
    folder.mkdir()
    (folder / "nightly.scheduled").write_text(local(since))
    began, found, start = since.astimezone(), list[datetime](), since.timestamp()
    for minutes in range(10, 3 * 24 * 60, 10):
        now = datetime.fromtimestamp(start + 60 * minutes)
        moment = datetime.fromtimestamp(start + 60 * minutes, UTC)
        due = is_due(schedule, "nightly", tmp_path, now)
        assert is_over("daily 02:30", began, began, moment) == due
        if due:
            began = moment
            found.append(now)
            write_json(folder / "nightly.json", {"id": "x", "parts": [], "started": moment.isoformat(), "finished": None})
    assert found == expected
