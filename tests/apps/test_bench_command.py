"""`seqgpt-lab bench`: a table, a record and a chart of what ran; what cannot run is named before anything is measured."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from seqgpt_lab.apps.cli import app
from seqgpt_lab.studies import benchmark, roofline
from tests.checkpoints import write_random_checkpoint

QUICK = ["--documents", "4", "--rounds", "1", "--batches", "1,2", "--tokens", "80", "--dtype", "fp32", "--no-ablation", "--no-many-labels"]


def test_a_benchmark_leaves_a_record_a_chart_and_a_table(tmp_path: Path) -> None:
    model = str(write_random_checkpoint(tmp_path / "model"))
    output, chart = tmp_path / "bench.json", tmp_path / "bench.svg"
    options = ["--against", "transformers", "--no-roofline", "--output", str(output), "--chart", str(chart)]
    ended = CliRunner().invoke(app, ["bench", "--model", model, *QUICK, *options])
    assert ended.exit_code == 0, ended.output
    record = json.loads(output.read_text(encoding="utf-8"))
    assert [(row["workload"], row["contestant"]) for row in record["table"]][:2] == [("batch 1", "transformers"), ("batch 1", "ours")]
    assert {row["same_answers"] for row in record["table"] if row["contestant"] != "ours, grounded"} == {1.0}
    assert "batch 2 · ours" in chart.read_text(encoding="utf-8") and "documents_a_second" in ended.output


def test_another_call_measures_what_is_new_and_keeps_the_rest_of_the_record(tmp_path: Path) -> None:
    model, output = str(write_random_checkpoint(tmp_path / "model", layers=1)), tmp_path / "bench.json"
    words = ["bench", "--model", model, *QUICK, "--no-grounded", "--no-roofline", "--json", "--output", str(output)]
    first, shorter, other = (
        json.loads(CliRunner().invoke(app, [*words, *more]).stdout)["table"]
        for more in (["--batches", "2"], ["--batches", "2", "--tokens", "64", "--labels", "2"], ["--batches", "4"])
    )
    assert shorter[0]["workload"] == first[0]["workload"] == "batch 2" and shorter[0]["tokens_in"] < first[0]["tokens_in"]
    assert [row["workload"] for row in other] == ["batch 4"]
    record = json.loads(output.read_text(encoding="utf-8"))
    assert record["table"] == shorter + other and [row["workload"] for row in record["results"]] == ["batch 2", "batch 4"]


def test_json_holds_the_roofline_and_the_arrangements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "_READ_BYTES", 1 << 24)
    monkeypatch.setattr(roofline, "_PRODUCTS", {"cpu": ((256, 256, 256),)})
    model = str(write_random_checkpoint(tmp_path / "model", layers=1))
    ended = CliRunner().invoke(app, ["bench", "--model", model, *QUICK, "--arrangements", "1x1,2x1", "--json"])
    assert ended.exit_code == 0, ended.output
    record = json.loads(ended.stdout)
    assert [row["arrangement"] for row in record["arrangements"]] == ["one process", "2 ranks"]
    assert {row["phase"] for row in record["roofline"]} == {"prompt", "decode", "head"}


@pytest.mark.parametrize(
    ("options", "message"),
    (
        (["--against", "openvino"], "no peers ['openvino']"),
        (["--batches", "1,x"], "--batches '1,x' must be whole numbers"),
        (["--output", "no/such/folder.json"], "cannot be written"),
        (["--output", "no.json", "--chart", "no.json"], "--chart no.json would replace no.json"),
        (["--arrangements", "1x1,two"], "the arrangement 'two' is not RANKSxREPLICAS"),
        (["--arrangements", "1x1,7x1"], "tensor_parallel=7 cannot share out"),
        (["--chart", "no.svg"], "needs matplotlib, which is not installed: pip install 'seqgpt-lab[lab]'"),
    ),
)
def test_what_cannot_be_run_is_named(options: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(benchmark, "run_benchmark", lambda *_, **__: pytest.fail("it measured"))
    if "no.svg" in options:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        monkeypatch.delitem(sys.modules, "seqgpt_lab.reports.grids", raising=False)
    ended = CliRunner().invoke(app, ["bench", *options])
    assert ended.exit_code == 2 and message in ended.stderr
