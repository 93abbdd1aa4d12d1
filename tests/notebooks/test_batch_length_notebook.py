"""The notebook of batch and length, run as `seqgpt-lab run` runs it: heat maps, claims beside figures, the machine in every verdict."""

from __future__ import annotations

import json
from pathlib import Path

from bs4 import BeautifulSoup

from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.resources import bundled_notebook
from tests.checkpoints import write_random_checkpoint

NAME = "04_batch_length.ipynb"


def test_the_notebook_measures_a_grid_and_says_where(tmp_path: Path) -> None:
    model = write_random_checkpoint(tmp_path / "model")
    given = {"model": str(model), "kinds": ["resume"], "batches": [1], "lengths": [256], "dtype": "fp32", "latency_ms": 0.001}
    run = run_notebook(bundled_notebook(NAME), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert len(metrics["results"]) == 2 * (1 + 1) and {row["claim"] for row in metrics["claims"]} >= {"embedding cache", "dynamic padding"}
    page = BeautifulSoup((run.folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert [heading.get_text() for heading in page.select("main h2")] == [
        "What is run",
        "Latency",
        "Throughput",
        "The article's scenarios",
        "The article's claims on caching and padding",
        "Which setting for which target",
    ]
    assert len(page.select("main figure svg")) == 2
    text = page.get_text()
    assert text.count("Measured on") >= 6 and "the article claims 142 ms" in text and "nothing measured here fits" in text
