from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pandas
import pytest

from seqgpt_lab.errors import OptionError, RunError
from seqgpt_lab.reports.collect import export_runs, load_runs
from seqgpt_lab.reports.runs import Failure, Run, write_run

MakeRun = Callable[..., Run]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """A run with metrics, a failed one with other parameters, and one whose metrics are broken."""
    root = tmp_path / "runs"
    for name in ("20240315-1", "20240316-2", "20240317-3"):
        (root / name).mkdir(parents=True)
    metrics = {"overall": {"f1": 0.5, "exact": True}, "kinds": {"简历": {"strict": {"micro": {"f1": 0.25}}}}, "rows": [1, 2]}
    (root / "20240315-1" / "metrics.json").write_text(json.dumps(metrics))
    (root / "20240317-3" / "metrics.json").write_text('{"a": ')
    named = {"name": "=1+1\x07\ud800", "limit": 3}
    write_run(
        make_run(
            id="20240315-1", folder=root / "20240315-1", parameters=named, model={"source": "tiny"}, code={"commit": "c", "dirty": True}
        )
    )
    failure = Failure("ValueError", "坏了")
    write_run(
        make_run(
            id="20240316-2", folder=root / "20240316-2", status="failed", error=failure, parameters={"limit": "all", "kinds": ["简历"]}
        )
    )
    write_run(make_run(id="20240317-3", folder=root / "20240317-3", parameters={}))
    return root


def test_all_runs_become_one_table(runs: Path) -> None:
    frame = load_runs(runs).set_index("id")
    assert list(frame.index) == ["20240315-1", "20240316-2", "20240317-3"]
    assert frame.loc["20240315-1", ["status", "model", "commit", "dirty", "parameter.limit"]].tolist() == [
        "completed",
        "tiny",
        "c",
        True,
        3,
    ]
    assert frame.loc["20240315-1", ["metric.overall.f1", "metric.kinds.简历.strict.micro.f1"]].tolist() == [0.5, 0.25]
    assert frame.loc["20240316-2", ["error", "parameter.kinds"]].tolist() == ["坏了", '["简历"]']
    assert pandas.isna(frame.loc["20240316-2", "metric.overall.f1"]) and "metric.overall.exact" not in frame
    assert "metrics.json cannot be read" in frame.loc["20240317-3", "problem"]
    assert str(frame["started"].dtype).startswith("datetime64") and frame["started"].dt.tz is not None
    (runs / "none").mkdir()
    assert load_runs(runs / "none").empty


def test_personal_data_are_masked_alike_in_the_whole_table(make_run: MakeRun, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    for name, told in (("20240315-1", "⟪张伟，35岁⟫ is no date; call 13812345678"), ("20240316-2", "李娜 has no phone")):
        (root / name).mkdir(parents=True)
        (root / name / "personal.json").write_text(json.dumps({"姓名": ["李娜"]}), encoding="utf-8")
        (root / name / "metrics.json").write_text(json.dumps({"kinds": {"李娜": {"f1": 0.5}}}), encoding="utf-8")
        error, parameters = Failure("DocumentError", told), {"documents": ["简历/李娜.txt"], "limit": 3}
        write_run(make_run(id=name, folder=root / name, status="failed", error=error, parameters=parameters))
    frame = load_runs(root)
    assert frame["error"].tolist() == ["[quoted 1] is no date; call [phone 1]", "[姓名 1] has no phone"]
    assert frame["parameter.documents"].tolist() == ['["简历/[姓名 1].txt"]'] * 2 and frame["parameter.limit"].tolist() == [3, 3]
    assert frame["metric.kinds.[姓名 1].f1"].tolist() == [0.5, 0.5] and frame["id"].tolist() == ["20240315-1", "20240316-2"]


@pytest.mark.parametrize("suffix", ["parquet", "xlsx", "csv"])
def test_the_table_comes_back_from_its_file(runs: Path, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"表.{suffix}"
    path.write_text("an older file")
    export_runs(load_runs(runs), path)
    read = {"parquet": pandas.read_parquet, "xlsx": pandas.read_excel, "csv": pandas.read_csv}[suffix]
    frame = read(path)
    assert frame["id"].tolist() == ["20240315-1", "20240316-2", "20240317-3"]
    assert frame["parameter.name"][0] == "=1+1\ufffd\ufffd" and frame["parameter.limit"].astype(str).tolist()[:2] == ["3", "all"]
    assert frame["metric.overall.f1"][0] == 0.5
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["runs", path.name]


def test_no_text_becomes_a_formula(runs: Path, tmp_path: Path) -> None:
    export_runs(load_runs(runs), tmp_path / "runs.xlsx")
    cells = [cell for row in openpyxl.load_workbook(tmp_path / "runs.xlsx")["runs"].iter_rows() for cell in row]
    assert [cell.data_type for cell in cells if str(cell.value).startswith("=")] == ["s"]


def test_what_cannot_be_written_leaves_nothing(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"ends with '\.txt'; name a file that ends with \.parquet"):
        export_runs(load_runs(runs), tmp_path / "a.txt")
    with pytest.raises(OSError):
        export_runs(load_runs(runs), tmp_path / "none" / "a.csv")
    (runs / "20240315-1" / "run.json").write_text("{}")
    with pytest.raises(RunError, match="not the record of a run"):
        load_runs(runs)
