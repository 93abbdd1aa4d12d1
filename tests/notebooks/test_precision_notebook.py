"""The notebook of precisions and arrangements, run as `seqgpt-lab run` runs it: workers start from a kernel, and are gone after it."""

from __future__ import annotations

import json
from pathlib import Path

from bs4 import BeautifulSoup

from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.resources import bundled_notebook
from tests.checkpoints import write_random_checkpoint

NAME = "08_precision_and_parallel.ipynb"


def test_the_notebook_compares_precisions_and_arrangements(tmp_path: Path) -> None:
    model = write_random_checkpoint(tmp_path / "model")
    given = {"model": str(model), "kinds": ["resume"], "limit": 1, "rounds": 1, "dtypes": ["fp32", "bf16"], "arrangements": ["1x1", "2x1"]}
    run = run_notebook(bundled_notebook(NAME), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert [row["dtype"] for row in metrics["precisions"]] == ["fp32", "bf16"]
    assert [row["same_answers"] for row in metrics["arrangements"]] == [1.0, 1.0]
    page = BeautifulSoup((run.folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    headings = [heading.get_text() for heading in page.select("main h2")]
    assert headings == ["What is run", "Precision", "One process, ranks, replicas", "Memory"]
    assert "Measured on this machine and no other" in page.get_text()
