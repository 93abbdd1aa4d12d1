from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from seqgpt_lab.errors import RunError
from seqgpt_lab.reports.repeat import differences, what_to_repeat
from seqgpt_lab.reports.runs import Run, find_run, start_run, write_run

MakeRun = Callable[..., Run]


def with_metrics(run: Run, folder: Path, **metrics: object) -> Run:
    folder.mkdir()
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return replace(run, folder=folder)


def test_a_repetition_that_only_took_another_time_is_the_same(make_run: MakeRun, tmp_path: Path) -> None:
    first = with_metrics(make_run(), tmp_path / "a", seconds=1.0, overall={"f1": 0.5})
    again = with_metrics(make_run(id="other", seconds=9.0), tmp_path / "b", seconds=2.0, overall={"f1": 0.5})
    assert differences(first, again) == []


def test_everything_that_differs_is_named(make_run: MakeRun, tmp_path: Path) -> None:
    known = {"code": {"commit": "a", "dirty": False}, "versions": {"torch": "2.13.0"}, "machine": {"cores": 2}}
    first = with_metrics(
        make_run(**known, model={"sha256": {"model.safetensors": "1"}}, data=({"path": "a.jsonl", "sha256": "1"},)),
        tmp_path / "a",
        overall={"f1": 0.5},
    )
    changed = {"code": {"commit": "b", "dirty": False}, "versions": {"torch": "2.14.0"}, "machine": {"cores": 4}}
    second = with_metrics(
        make_run(
            **changed,
            notebook_sha256="1" * 64,
            parameters={"name": "李娜"},
            model={"sha256": {"model.safetensors": "2"}},
            data=({"path": "a.jsonl", "sha256": "2"}, {"path": "b.jsonl", "sha256": "3"}),
            status="failed",
        ),
        tmp_path / "b",
        overall={"f1": 0.25},
    )
    assert differences(first, second) == [
        "code commit was a and is b",
        "data a.jsonl was 1 and is 2",
        "data b.jsonl was absent and is 3",
        "machine cores was 2 and is 4",
        "model sha256 model.safetensors was 1 and is 2",
        f"notebook was {'0' * 64} and is {'1' * 64}",
        "parameter limit was 3 and is absent",
        "parameter name was 张伟 and is 李娜",
        "version of torch was 2.13.0 and is 2.14.0",
        "metric overall f1 was 0.5 and is 0.25",
        "status was completed and is failed",
    ]


def test_metrics_that_cannot_be_read_are_a_difference_and_end_nothing(make_run: MakeRun, tmp_path: Path) -> None:
    first = with_metrics(make_run(), tmp_path / "a", overall={"f1": 0.5})
    second = with_metrics(make_run(), tmp_path / "b")
    (second.folder / "metrics.json").write_text('{"overall": {"f1"')
    assert differences(first, second) == ['metric was {"overall": {"f1": 0.5}} and is unreadable']


def test_a_run_is_found_by_a_part_of_its_id_or_by_its_folder(tmp_path: Path) -> None:
    run = start_run(tmp_path, tmp_path / "toy.ipynb", "0" * 64, {"limit": 3})
    for name in (run.id, run.id[-6:], run.id[:22], str(run.folder)):
        assert find_run(tmp_path, name).id == run.id
    other = start_run(tmp_path, tmp_path / "toy.ipynb", "0" * 64, {})
    assert find_run(tmp_path, other.id).id == other.id
    for name in ("20", "nothing", ""):
        with pytest.raises(RunError, match="there is no one run"):
            find_run(tmp_path, name)
    with pytest.raises(RunError, match=r"toy\.ipynb of run .* is not there"):
        what_to_repeat(run.id, tmp_path)
    (tmp_path / "toy.ipynb").write_text("{}")
    assert what_to_repeat(run.id, tmp_path) == (write_run(run), {"limit": 3})
