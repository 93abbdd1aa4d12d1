"""Every shipped notebook, run as `seqgpt-lab run NOTEBOOK --quick` runs it, with the quick parameters in its own metadata."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqgpt_lab.reports.parameters import quick_parameters, read_notebook
from seqgpt_lab.reports.runner import run_notebook

NOTEBOOKS = sorted((Path(__file__).resolve().parents[2] / "notebooks").glob("*.ipynb"))
PAGE_LIMIT = 1_500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_and_leaves_a_small_page(path: Path, tmp_path: Path) -> None:
    run = run_notebook(path, quick_parameters(read_notebook(path), path.name), tmp_path / "runs")
    assert run.status == "completed", run.error
    page = (run.folder / "report.html").read_bytes()
    assert 1_000 < len(page) < PAGE_LIMIT


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 2
