"""Suites: every part once, whatever is killed when, and never two suites at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqgpt_lab.errors import OptionError, ParameterError, RunError, SeqGPTLabError
from seqgpt_lab.reports import suite_runner
from seqgpt_lab.reports.runs import Failure, Run, Status, finish_run, list_runs, start_run, write_run
from seqgpt_lab.reports.suite import last_session, load_suite
from seqgpt_lab.reports.suite_runner import locked, run_suite

MakeNotebook = Callable[..., Path]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
COMMAND = [sys.executable, "-m", "seqgpt_lab", "suite"]


def write_suite(folder: Path, *parts: dict[str, Any], **keys: Any) -> Path:
    path = folder / "nightly.yaml"
    path.write_text(yaml.safe_dump({"parts": list(parts), **keys}, allow_unicode=True), encoding="utf-8")
    return path


@pytest.fixture
def three(make_notebook: MakeNotebook, tmp_path: Path) -> Path:
    """A suite of three parts of one notebook."""
    make_notebook("print(name, limit)")
    return write_suite(tmp_path, {"notebook": "toy.ipynb", "parameters": {"name": "张伟"}, "grid": {"limit": [1, 2, 3]}})


class FakeRunner:
    """Ends each part as told, without a kernel; keeps which were run, and which went on from what run. keeps: journals are kept."""

    def __init__(self, **endings: Status) -> None:
        self.endings, self.keeps = endings, True
        self.ran: list[str] = []
        self.resumed: dict[str, str] = {}

    def __call__(self, notebook: str, parameters: dict[str, Any], runs_dir: Path, **options: Any) -> Run:
        name = f"limit{parameters['limit']}"
        self.ran.append(name)
        self.resumed |= {name: options["resume"].id} if options["resume"] else {}
        run = start_run(runs_dir, Path(notebook), "0" * 64, parameters, origin=options["origin"])
        if self.keeps:
            (run.folder / "journals").mkdir()
            (run.folder / "journals" / "resume.jsonl").touch()
        status = self.endings.get(name, "completed")
        if status == "running":  # as after a SIGKILL of the runner: nothing more is written
            raise KeyboardInterrupt
        return write_run(finish_run(run, status, None if status == "completed" else Failure("x", "x"), 1.0))


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRunner]:
    def install(**endings: Status) -> FakeRunner:
        runner = FakeRunner(**endings)
        monkeypatch.setattr(suite_runner, "run_notebook", runner)
        return runner

    return install


def test_a_grid_becomes_parts_in_order(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    make_notebook("1")
    grid = {"limit": [1, 2], "name": ["a", "b"]}
    path = write_suite(tmp_path, {"notebook": "toy.ipynb", "grid": grid}, {"notebook": "06_evaluation.ipynb"}, name="夜", timeout=5)
    found = load_suite(path)
    assert (found.name, found.timeout) == ("夜", 5)
    assert [dict(part.parameters) for part in found.parts] == [
        *({"limit": 1, "name": "a"}, {"limit": 1, "name": "b"}),
        *({"limit": 2, "name": "a"}, {"limit": 2, "name": "b"}),
        {},
    ]
    assert Path(found.parts[-1].notebook).name == "06_evaluation.ipynb" and len({part.key for part in found.parts}) == 5


@pytest.mark.parametrize(
    ("suite", "error", "named"),
    [
        ("[a]", OptionError, "list `parts`"),
        ("parts: []", OptionError, "at least one"),
        ("parts: [{notebook: toy.ipynb}]\nmood: fine", OptionError, "unknown keys \\['mood'\\]"),
        ("parts: [{notebook: toy.ipynb, parameter: {}}]", OptionError, "part 1: unknown keys"),
        ("parts: [{notebook: toy.ipynb, grid: {limit: 3}}]", OptionError, "lists of values"),
        ("parts: [{notebook: toy.ipynb, grid: {limit: []}}]", OptionError, "not empty"),
        ("parts: [{notebook: toy.ipynb}, {notebook: toy.ipynb}]", OptionError, "more than once"),
        ("parts: [{notebook: toy.ipynb, parameters: {limt: 3}}]", ParameterError, "no parameter 'limt'"),
        ("parts: [{notebook: toy.ipynb, parameters: {run_dir: x}}]", ParameterError, "no parameter 'run_dir'"),
        ("parts: [{notebook: none.ipynb}]", SeqGPTLabError, "none.ipynb"),
        ("parts: [{notebook: toy.ipynb}]\nschedule: nightly", OptionError, "the schedule is 'nightly'"),
        ("parts: [{notebook: toy.ipynb}]\ntimeout: 0", OptionError, "timeout is 0"),
        ("parts: [{notebook: toy.ipynb}]\ntimeout: .inf", OptionError, "timeout is inf"),
        ("parts: [{notebook: toy.ipynb}]\ntimeout: yes", OptionError, "timeout is True"),
        ("parts: [{notebook: toy.ipynb}]\nname: a/b", OptionError, "without slashes"),
        ("{", OptionError, "not YAML"),
        ("parts: [{notebook: toy.ipynb, parameters: {limit: 1, limit: 2}}]", OptionError, "this key stands there already"),
        ("parts: [{notebook: toy.ipynb, parameters: {limit: 1}, grid: {limit: [2]}}]", OptionError, "part 1: limit stands both in"),
    ],
)
def test_a_suite_that_does_not_fit_is_refused_before_anything_runs(
    make_notebook: MakeNotebook, tmp_path: Path, suite: str, error: type[Exception], named: str
) -> None:
    make_notebook("1")
    (tmp_path / "s.yaml").write_text(suite, encoding="utf-8")
    with pytest.raises(error, match=named):
        load_suite(tmp_path / "s.yaml")


def test_a_finished_session_is_followed_by_a_new_one(three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]) -> None:
    runner, suite = fake(limit2="failed"), load_suite(three)
    first, second = run_suite(suite, tmp_path / "runs"), run_suite(suite, tmp_path / "runs")
    assert runner.ran == ["limit1", "limit2", "limit3"] * 2
    assert not first.ok and [run.status for run in first.runs] == ["completed", "failed", "completed"]
    assert first.session.id != second.session.id and second.taken_over == 0
    assert last_session(tmp_path / "runs", "nightly") == second.session


def test_a_link_to_nowhere_in_a_run_s_folder_stops_no_suite(three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]) -> None:
    suite = load_suite(three)
    fake(limit2="interrupted")
    with pytest.raises(RunError, match="interrupted"):
        run_suite(suite, tmp_path / "runs")
    for run in list_runs(tmp_path / "runs"):
        (run.folder / "latest").symlink_to(tmp_path / "gone")
    again = fake()
    assert run_suite(suite, tmp_path / "runs").ok and again.ran == ["limit2", "limit3"]


@pytest.mark.parametrize("how", ["running", "interrupted"])
def test_a_session_that_was_cut_goes_on_with_the_part_it_was_cut_in(
    three: Path, tmp_path: Path, fake: Callable[..., FakeRunner], monkeypatch: pytest.MonkeyPatch, how: Status
) -> None:
    suite = load_suite(three)
    fake(limit1="failed", limit2=how)
    with pytest.raises((KeyboardInterrupt, RunError)):
        run_suite(suite, tmp_path / "runs")
    monkeypatch.setattr("seqgpt_lab.reports.owner.Owner.is_gone", lambda owner: True)
    again = fake()
    outcome = run_suite(suite, tmp_path / "runs")
    assert again.ran == ["limit2", "limit3"] and [*again.resumed] == ["limit2"]
    assert [run.status for run in outcome.runs] == ["failed", "completed", "completed"] and outcome.taken_over == 1
    assert outcome.session.finished is not None


def test_a_part_that_was_cut_again_before_it_kept_anything_goes_on_from_what_there_is(
    three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]
) -> None:
    suite, runs = load_suite(three), tmp_path / "runs"
    for keeps in (True, False):
        fake(limit2="interrupted").keeps = keeps
        with pytest.raises(RunError, match="interrupted"):
            run_suite(suite, runs)
    kept = next(run.id for run in list_runs(runs) if run.parameters["limit"] == 2)
    again = fake()
    assert run_suite(suite, runs).ok and again.resumed == {"limit2": kept}


def test_no_part_is_run_again_once_the_clock_was_set_back(three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]) -> None:
    suite, runs = load_suite(three), tmp_path / "runs"
    fake(limit2="interrupted")
    with pytest.raises(RunError, match="was interrupted"):
        run_suite(suite, runs)
    (cut,) = [run for run in list_runs(runs) if not run.ok]
    # As if that one had been named by a clock that was a year ahead.
    later = f"{int(cut.id[:4]) + 1}{cut.id[4:]}"
    cut.folder.rename(runs / later)
    write_run(replace(cut, id=later, folder=runs / later))
    fake(limit3="interrupted")
    with pytest.raises(RunError, match="was interrupted"):
        run_suite(suite, runs)
    last = fake()
    outcome = run_suite(suite, runs)
    assert last.ran == ["limit3"] and outcome.ok and outcome.taken_over == 2


def test_a_changed_suite_and_a_wish_begin_anew(three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]) -> None:
    fake(limit2="interrupted")
    with pytest.raises(RunError, match=r"was interrupted at toy\.ipynb"):
        run_suite(load_suite(three), tmp_path / "runs")
    runner = fake(limit3="interrupted")
    with pytest.raises(RunError):
        run_suite(load_suite(three), tmp_path / "runs", anew=True)
    assert runner.ran == ["limit1", "limit2", "limit3"]
    write_suite(tmp_path, {"notebook": "toy.ipynb", "grid": {"limit": [3, 4]}})
    fake()
    assert run_suite(load_suite(three), tmp_path / "runs").taken_over == 0


def cut_before(runs: Path, name: str, hours: float, runs_hours: float) -> None:
    """Move the unfinished session, and its runs, so many hours back."""
    record = runs / ".suites" / f"{name}.json"
    session, began = json.loads(record.read_text()), (datetime.now(UTC) - timedelta(hours=hours)).isoformat(timespec="milliseconds")
    record.write_text(json.dumps({**session, "started": began}))
    for run in list_runs(runs):
        moment = datetime.now(UTC) - timedelta(hours=runs_hours)
        write_run(replace(run, started=moment.isoformat(timespec="milliseconds")))
        for path in [*run.folder.rglob("*"), run.folder]:
            os.utime(path, (moment.timestamp(), moment.timestamp()))


@pytest.mark.parametrize(
    ("scheduled", "hours", "runs_hours", "goes_on"),
    [
        (1.0, 5.0, 0.5, False),  # hours since the time that was due, since the session began, since something was last written of a run
        (1.0, 0.5, 0.5, True),
        (20.0, 19.0, 15.0, True),
        (None, 40.0, 11.5, True),
        (None, 40.0, 12.5, False),
    ],
)
def test_what_was_left_of_an_earlier_time_does_not_swallow_the_next_one(
    three: Path, tmp_path: Path, fake: Callable[..., FakeRunner], scheduled: float | None, hours: float, runs_hours: float, goes_on: bool
) -> None:
    content = yaml.safe_load(three.read_text(encoding="utf-8"))
    if scheduled is not None:
        content["schedule"] = f"daily {datetime.now() - timedelta(hours=scheduled):%H:%M}"
        three.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    fake(limit3="interrupted")
    with pytest.raises(RunError):
        run_suite(load_suite(three), tmp_path / "runs")
    cut_before(tmp_path / "runs", "nightly", hours, runs_hours)
    again = fake()
    outcome = run_suite(load_suite(three), tmp_path / "runs")
    assert again.ran == (["limit3"] if goes_on else ["limit1", "limit2", "limit3"]) and outcome.taken_over == (2 if goes_on else 0)


def test_a_long_part_that_kept_a_journal_until_it_was_killed_goes_on(three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]) -> None:
    fake(limit3="interrupted")
    with pytest.raises(RunError):
        run_suite(load_suite(three), tmp_path / "runs")
    cut_before(tmp_path / "runs", "nightly", 40.0, 30.0)
    journals = list_runs(tmp_path / "runs")[-1].folder / "journals"
    journals.mkdir(exist_ok=True)
    (journals / "resume.jsonl").write_text("{}\n")
    again = fake()
    run_suite(load_suite(three), tmp_path / "runs")
    assert again.ran == ["limit3"]


def test_a_second_suite_on_the_same_folder_is_refused(three: Path, tmp_path: Path) -> None:
    with locked(tmp_path / "runs", "other"), pytest.raises(RunError, match=rf"another suite runs on .*: other, process {os.getpid()}"):
        run_suite(load_suite(three), tmp_path / "runs")
    with locked(tmp_path / "runs", "other"):
        pass
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="no suite can run in"):
        run_suite(load_suite(three), tmp_path / "file")


def test_a_second_suite_that_waits_runs_when_the_first_has_ended(three: Path, tmp_path: Path, fake: Callable[..., FakeRunner]) -> None:
    runner, waits = fake(), threading.Event()
    told: list[str] = []

    def waiting(other: str) -> None:
        told.append(other)
        waits.set()

    with ThreadPoolExecutor(1) as pool:
        with locked(tmp_path / "runs", "other"):
            second = pool.submit(run_suite, load_suite(three), tmp_path / "runs", wait=waiting)
            assert waits.wait(60) and not runner.ran
        assert second.result(60).ok and runner.ran == ["limit1", "limit2", "limit3"]
    assert "another suite runs on" in told[0] and "other, process" in told[0]


def start(suite: Path, runs: Path) -> subprocess.Popen[str]:
    """The command, as a schedule would start it."""
    return subprocess.Popen(
        [*COMMAND, str(suite), "--runs-dir", str(runs)], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def numbers(runs: Path) -> list[tuple[object, str]]:
    return [(run.parameters["limit"], run.status) for run in list_runs(runs)]


def test_two_started_at_once_and_one_killed_half_way_run_every_part_once(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    again = tmp_path / "again"
    make_notebook(
        "import pathlib, time\npathlib.Path(run_dir, 'begun').touch()",
        f"if limit == 2 and not pathlib.Path({str(again)!r}).exists(): time.sleep(60)",
    )
    path = write_suite(tmp_path, {"notebook": "toy.ipynb", "grid": {"limit": [1, 2, 3]}})
    runs = tmp_path / "runs"
    with start(path, runs) as first:
        while len(list(runs.glob("*/begun"))) < 2:
            time.sleep(0.05)
            assert first.poll() is None
        with start(path, runs) as second:
            assert second.wait(60) == 2 and second.stderr is not None and "another suite runs on" in second.stderr.read()
        first.send_signal(signal.SIGKILL)
    assert numbers(runs) == [(1, "completed"), (2, "killed")]
    again.touch()
    with start(path, runs) as third:
        output, errors = third.communicate(timeout=120)
    assert third.returncode == 0 and "1 of 3 parts had been done before" in errors
    assert output.count("completed ") == 3
    assert numbers(runs) == [(1, "completed"), (2, "killed"), (2, "completed"), (3, "completed")]
    assert json.loads((runs / ".suites" / "nightly.json").read_text())["finished"] is not None
