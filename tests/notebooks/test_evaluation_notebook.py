"""The shipped notebook, run as `seqgpt-lab run` runs it, on a small random model."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.documents import Document, Entity, write_jsonl
from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.reports.runs import Run
from seqgpt_lab.reports.site import build_site
from seqgpt_lab.resources import bundled_notebook
from tests.checkpoints import write_random_checkpoint

NAME = "06_evaluation.ipynb"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("evaluation")
    model = write_random_checkpoint(folder / "model")
    text = "张伟，35岁，现任上海云智科技有限公司高级算法工程师"
    write_jsonl(folder / "简历.jsonl", [Document(f"d{number}", text, (Entity("姓名", 0, 2, "张伟"),)) for number in range(3)])
    (folder / "简历.yaml").write_text("name: 简历\nfields:\n- field: 姓名\n- field: 公司\n", encoding="utf-8")
    given = {"model": str(model), "documents": [str(folder / "简历.jsonl")], "labels": str(folder), "limit": 2, "dtype": "fp32"}
    return run_notebook(bundled_notebook(NAME), given, folder / "runs")


def test_the_notebook_runs_to_its_end_and_leaves_metrics_and_a_page(run: Run) -> None:
    assert run.status == "completed", run.error
    assert run.artifacts == ("inputs.json", "metrics.json", "out.ipynb", "outcomes.jsonl", "personal.json", "report.html")
    metrics = json.loads((run.folder / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["documents"] == 2 and list(metrics["kinds"]) == ["简历"]


def test_the_record_names_the_model_and_data_that_were_read(run: Run) -> None:
    assert run.model is not None and run.model["dtype"] == "float32" and "model.safetensors" in run.model["sha256"]
    assert [Path(file["path"]).name for file in run.data] == ["简历.jsonl", "简历.yaml"]


def test_the_page_shows_scores_figures_and_marked_texts(run: Run) -> None:
    html = (run.folder / "report.html").read_text(encoding="utf-8")
    page = BeautifulSoup(html, "html.parser")
    assert [heading.get_text() for heading in page.select("main h2")] == [
        "What is evaluated",
        "Scores by kind of document",
        "Scores by label",
        "Mistakes",
        "Confidence",
        "Documents",
    ]
    assert len(page.select("main figure svg")) == 4
    assert len(page.select(".seqgpt-extraction")) == 2
    assert "Of 2 documents" in page.get_text() and not page.find_all("script")
    assert len(html.encode()) < 1_500_000


def test_every_run_dir_value_can_be_found_again(run: Run) -> None:
    """The runner's folder reaches the notebook through the parameter it declares for that."""
    notebook = nbformat.read(run.folder / "out.ipynb", as_version=4)
    injected = [cell.source for cell in notebook.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    assert len(injected) == 1 and str(run.folder) in injected[0]


def labelled(text: str, start: int, value: str) -> str:
    return json.dumps({"text": text, "entities": [{"label": "姓名", "start": start, "end": start + len(value), "text": value}]})


def test_a_line_that_cannot_be_read_gives_no_name_away(tmp_path: Path) -> None:
    """Neither what the error quotes nor the names in the lines that can be read stand in the page or in the site's index."""
    documents = tmp_path / "resume.jsonl"
    documents.write_text(labelled("客户李娜娜来电", 1, "李娜娜") + "\n" + labelled("欧阳锋来电", 0, "欧阳锋"), encoding="utf-8")
    given = {"documents": [str(documents)], "model": "models/欧阳锋"}
    run = run_notebook(bundled_notebook(NAME), given, tmp_path / "runs")
    assert run.error is not None and "line 1: " in run.error.message and "says ⟪李娜娜⟫" in run.error.message
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "the text there reads [quoted 3]" in BeautifulSoup(page, "html.parser").select_one(".banner").get_text()  # type: ignore[union-attr]
    assert "models/[姓名 1]" in page
    index = BeautifulSoup(build_site(tmp_path / "runs", tmp_path / "site").read_text(encoding="utf-8"), "html.parser")
    (listed,) = json.loads(index.select_one("#data").get_text())  # type: ignore[union-attr]
    for shown in (page, *listed.values()):
        assert not [part for part in ("李娜", "客户", "欧阳") if part in str(shown)]
