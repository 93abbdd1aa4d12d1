"""The notebooks of the planner and of the claims, run as `seqgpt-lab run` runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.resources import bundled_notebook
from tests.checkpoints import write_random_checkpoint


def test_the_planners_notebook(tmp_path: Path) -> None:
    given = {"rigs": ["dual-4090", "a100"], "batches": [1, 16], "lengths": [256], "check_model": ""}
    run = run_notebook(bundled_notebook("05_rig_planner.ipynb"), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert len(metrics["planned"]) == 6 and len(metrics["machines"]) == 4 and metrics["checked_here"] == []
    page = BeautifulSoup((run.folder / "report.html").read_text(encoding="utf-8"), "html.parser").get_text()
    assert "Of dual-4090, a100 nothing was measured by this project" in page and "best for throughput" in page


@pytest.mark.full
def test_the_planners_notebook_checks_itself_here(tmp_path: Path) -> None:
    given = {"rigs": ["dual-4090"], "batches": [1], "lengths": [256], "check_dtype": "fp32"}
    run = run_notebook(bundled_notebook("05_rig_planner.ipynb"), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    assert len(json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["checked_here"]) == 8


def test_the_claims_notebook(tmp_path: Path) -> None:
    given = {"model": str(write_random_checkpoint(tmp_path / "model")), "kinds": ["resume"], "limit": 1}
    run = run_notebook(bundled_notebook("07_claims.ipynb"), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    assert run.model is not None and {Path(one["path"]).name for one in run.data} == {"resume.dev.jsonl", "resume.yaml"}
    verdicts = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))["verdicts"]
    found = {row["id"]: row["verdict"] for row in verdicts}
    assert len(found) == 13 and found["memory"] == "physically impossible" and found["determinism"] == "confirmed"
    page = BeautifulSoup((run.folder / "report.html").read_text(encoding="utf-8"), "html.parser").get_text()
    assert "physically impossible: " in page and "no GPU" in page
