"""The notebooks on wording and preprocessing, run as `seqgpt-lab run` runs them, on a small random model and few documents."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.reports.parameters import declared_parameters, read_notebook
from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.resources import bundled_notebook
from tests.checkpoints import write_random_checkpoint

PHRASING, PREPROCESSING = "02_label_phrasing.ipynb", "03_preprocessing.ipynb"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), layers=1)


def test_the_wording_notebooks_prose_is_true_of_any_wordings() -> None:
    """`make rig` asks for 邮箱 in two ways: neither is good words, vague ones or the article's contract."""
    first, *others = [cell.source for cell in read_notebook(bundled_notebook(PHRASING)).cells if cell.cell_type == "markdown"]
    assert "unless others are given" in first
    assert not [word for word in ("vague", "good words", "claim", "both") if word in "".join(others)] and "vague" not in first


def test_the_documented_commands_give_what_the_wording_notebook_needs() -> None:
    """The default wordings are of the bundled contracts' fields: another label set needs wordings of its own."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "wording.md").read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith(f"seqgpt-lab run notebooks/{PHRASING}")]
    given = [{words[at + 1] for at, word in enumerate(words) if word == "-p"} for words in commands]
    assert len(given) == 2 and all("wordings" in names for names in given if "labels" in names)
    declared = declared_parameters(read_notebook(bundled_notebook(PHRASING)), PHRASING)
    assert all(names <= declared.keys() for names in given)


def test_the_wording_notebook_compares_searches_and_keeps_a_journal(model: Path, tmp_path: Path) -> None:
    given = {"model": str(model), "dev_limit": 2, "test_limit": 2, "budget": 8, "journal": str(tmp_path / "journal"), "dtype": "fp32"}
    run = run_notebook(bundled_notebook(PHRASING), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert [one["variant"] for one in metrics["comparison"]["variants"]] == ["供应商、金额、交货期", "公司、钱、时间"]
    assert metrics["search"]["calls"] <= 8
    tests = [metrics["comparison"], metrics["search"]["test"], metrics["beside"]]
    assert [verdict["comparisons"] for one in tests for verdict in one["verdicts"]] == [3, 3, 3]
    assert sorted(path.name for path in (tmp_path / "journal").iterdir()) == ["comparison.json", "dev.json", "test.json"]
    page = BeautifulSoup((run.folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert len(page.select("main figure svg")) == 2 and "documents that the search never saw" in page.get_text()


def test_the_preprocessing_notebook_shows_each_step_and_its_mistakes(model: Path, tmp_path: Path) -> None:
    given = {"model": str(model), "limit": 2, "noises": ["none", "spaced"], "steps": ["join_lines", "remove_brackets"], "dtype": "fp32"}
    run = run_notebook(bundled_notebook(PREPROCESSING), given, tmp_path / "runs")
    assert run.status == "completed", run.error
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert [one["steps"] for one in metrics["none"]["combinations"]] == [
        [],
        ["join_lines"],
        ["remove_brackets"],
        ["join_lines", "remove_brackets"],
    ]
    verdicts = [one["verdict"] for noise in ("none", "spaced") for one in metrics[noise]["combinations"][1:]]
    assert [verdict["comparisons"] for verdict in verdicts] == [6] * 6
    page = BeautifulSoup((run.folder / "report.html").read_text(encoding="utf-8"), "html.parser")
    assert len(page.select("main figure svg")) == 2 and "takes brackets out" in page.get_text()
