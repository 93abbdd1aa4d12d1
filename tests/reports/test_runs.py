from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from seqgpt_lab.errors import RunError
from seqgpt_lab.reports import runs
from seqgpt_lab.reports.owner import Owner
from seqgpt_lab.reports.runs import Failure, Run, finish_run, list_runs, read_run, start_run, write_run


@pytest.fixture(autouse=True)
def _quick_provenance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "code_version", lambda: {"commit": "abc", "dirty": True})


def begin(tmp_path: Path) -> Run:
    return start_run(tmp_path / "runs", Path("toy.ipynb"), "0" * 64, {"name": "张伟"}, given=["name"], timeout=9.0)


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = begin(tmp_path)
    assert read_run(run.folder) == run
    (run.folder / "metrics.json").write_text("{}")
    ended = write_run(finish_run(run, "failed", Failure("ValueError", "坏\ud800", 3, "…"), 1.23456))
    assert read_run(run.folder) == ended
    assert (ended.status, ended.seconds, ended.artifacts) == ("failed", 1.235, ("metrics.json",))
    assert not ended.ok


def test_the_record_says_what_machine_and_packages_it_was(tmp_path: Path) -> None:
    record = json.loads((begin(tmp_path).folder / "run.json").read_text(encoding="utf-8"))
    assert record["machine"]["cores"] >= 1 and record["machine"]["memory_bytes"] > 2**20
    assert {"python", "torch", "papermill"} <= record["versions"].keys()
    assert record["code"] == {"commit": "abc", "dirty": True}


def test_a_running_record_stays_running_while_its_process_lives(tmp_path: Path) -> None:
    run = begin(tmp_path)
    assert read_run(run.folder).status == "running"


@pytest.mark.parametrize("hours", [1, -1])
def test_a_running_record_stays_running_when_the_clock_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    # With the clock the system moves the time that it says it booted at, and psutil with it every process's start.
    run = begin(tmp_path)
    boot_time, create_time = psutil.boot_time, psutil.Process.create_time
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time() + hours * 3600)
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: create_time(process) + hours * 3600)
    assert read_run(run.folder).status == "running" and run.owner.is_here()


def test_a_record_of_an_earlier_version_is_still_read(tmp_path: Path) -> None:
    run = begin(tmp_path)
    write_run(replace(run, owner=Owner(run.owner.host, run.owner.pid, psutil.Process().create_time())))
    record = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
    del record["owner"]["boot"]
    (run.folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    assert read_run(run.folder).status == "running"


def test_a_running_record_stays_running_for_a_reader_who_may_not_know_the_boot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = begin(tmp_path)
    write_run(replace(run, owner=replace(run.owner, boot="this")))
    monkeypatch.setattr("seqgpt_lab.reports.owner._BOOT", tmp_path / "none")
    found = read_run(run.folder)
    assert found.status == "running" and not found.owner.is_here()


@pytest.mark.parametrize("gone", ["ended", "reused", "before the last boot", "reused, in a record of an earlier version"])
def test_a_running_record_whose_process_is_gone_is_read_as_killed(tmp_path: Path, gone: str) -> None:
    run = begin(tmp_path)
    if gone == "ended":
        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
            owner = Owner.of(process.pid)
    elif gone == "reused":
        owner = replace(run.owner, started=run.owner.started - 60)
    elif gone == "before the last boot":
        owner = replace(run.owner, boot="another")
    else:
        owner = Owner(run.owner.host, run.owner.pid, psutil.Process().create_time() - 60)
    write_run(replace(run, owner=owner))
    found = read_run(run.folder)
    assert found.status == "killed"
    assert found.error is not None and str(owner.pid) in found.error.message
    assert (found.model, found.data) == (None, ())
    (run.folder / "inputs.json").write_text('{"model": {"source": "tiny"}, "data": [{"path": "a.jsonl", "sha256": "1"}]}')
    noted = read_run(run.folder)
    assert (noted.status, noted.model, noted.data) == ("killed", {"source": "tiny"}, ({"path": "a.jsonl", "sha256": "1"},))
    (run.folder / "inputs.json").write_text('{"model": ')
    assert read_run(run.folder) == found


def test_a_run_on_another_host_cannot_be_called_dead(tmp_path: Path) -> None:
    run = begin(tmp_path)
    write_run(replace(run, owner=Owner("another-host", 1, 0.0)))
    assert read_run(run.folder).status == "running"


def test_runs_that_start_together_get_folders_of_their_own_that_sort_by_start(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda _: begin(tmp_path), range(24)))
    assert len({run.id for run in together}) == 24
    listed = list_runs(tmp_path / "runs")
    assert [run.started for run in listed] == sorted(run.started for run in together)


def test_what_the_notebook_read_enters_the_record(tmp_path: Path) -> None:
    run = begin(tmp_path)
    (run.folder / "inputs.json").write_text('{"model": {"source": "tiny"}, "data": [{"path": "a.jsonl", "sha256": "1"}]}')
    ended = finish_run(run, "completed", None, 1.0)
    assert (ended.model, ended.data) == ({"source": "tiny"}, ({"path": "a.jsonl", "sha256": "1"},))


def test_unreadable_inputs_fail_the_run_but_never_hide_an_earlier_failure(tmp_path: Path) -> None:
    run = begin(tmp_path)
    (run.folder / "inputs.json").write_text('{"model": ')
    ended = finish_run(run, "completed", None, 1.0)
    assert ended.status == "failed" and ended.error is not None and "inputs.json" in ended.error.message
    assert finish_run(run, "killed", Failure("DeadKernelError", "first"), 1.0).status == "killed"


def damaged(record: dict[str, object], damage: str) -> str:
    match damage:
        case "unfinished":
            return json.dumps(record)[:-20]
        case "other status":
            return json.dumps({**record, "status": "done"})
        case "unknown field":
            return json.dumps({**record, "mood": "fine"})
        case "missing field":
            return json.dumps({name: value for name, value in record.items() if name != "started"})
        case _:
            return json.dumps({**record, "format": 99})


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("unfinished", "run.json"),
        ("other status", "'done'"),
        ("unknown field", "mood"),
        ("missing field", "started"),
        ("other format", "99"),
    ],
)
def test_a_damaged_record_is_named(tmp_path: Path, damage: str, named: str) -> None:
    run = begin(tmp_path)
    path = run.folder / "run.json"
    path.write_text(damaged(json.loads(path.read_text(encoding="utf-8")), damage), encoding="utf-8")
    with pytest.raises(RunError, match=named):
        read_run(run.folder)


def test_no_record_and_no_place_for_one_are_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be read"):
        read_run(tmp_path)
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(RunError, match="no run folder can be made"):
        begin(tmp_path)
    with pytest.raises(RunError, match=r"there is no folder of runs .*nowhere"):
        list_runs(tmp_path / "nowhere")
