from __future__ import annotations

import json
import math
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from seqgpt_lab.errors import RunError
from seqgpt_lab.extraction.highlight import highlight
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.reports import copies
from seqgpt_lab.reports.page import render_page
from seqgpt_lab.reports.runs import Failure, Run, write_run
from seqgpt_lab.reports.site import build_site

MakeRun = Callable[..., Run]


@pytest.fixture
def runs(make_run: MakeRun, tmp_path: Path) -> Path:
    """Two runs, the second failed; both name a person and a phone, and the first's report was made unmasked."""
    root = tmp_path / "runs"
    for name, f1, status in (("20240315-1", 0.5, "completed"), ("20240316-2", 0.75, "failed")):
        folder = root / name
        folder.mkdir(parents=True)
        scores = {"micro": {"f1": f1}, "per_label": {"姓名": {"f1": f1}, "</script><b>": {"f1": f1}}, "exact_record_rate": 0.25}
        (folder / "metrics.json").write_text(json.dumps({"overall": {"f1": f1}, "kinds": {"简历": {"strict": scores}}}))
        (folder / "personal.json").write_text('{"姓名": ["谢翠"]}')
        error = Failure("ValueError", "谢翠 13812345678 is no number") if status == "failed" else None
        run = make_run(
            id=name, folder=folder, status=status, error=error, parameters={"text": "谢翠, 13812345678", "limit": 3}, unmasked=True
        )
        write_run(run)
        (folder / "report.html").write_text(
            render_page(new_notebook(cells=[new_markdown_cell("谢翠 a@b.cn")]), run, None), encoding="utf-8"
        )
    return root


def test_the_site_holds_every_run_and_report_and_nothing_personal(runs: Path, tmp_path: Path) -> None:
    index = build_site(runs, tmp_path / "site")
    page = BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser")
    records = json.loads(page.select_one("#data").get_text())  # type: ignore[union-attr]
    listed = [(run["id"], run["status"], run["f1"]) for run in records]
    assert listed == [("20240315-1", "completed", 0.5), ("20240316-2", "failed", 0.75)]
    assert records[0]["kinds"] == {"简历": {"f1": 0.5, "exact": 0.25, "fields": {"姓名": 0.5, "</script><b>": 0.5}}}
    assert records[0]["parameters"] == {"text": "[姓名 1], [phone 1]", "limit": "3"}
    for run in records:
        report = (tmp_path / "site" / run["report"]).read_text(encoding="utf-8")
        assert "Masked for this site" in report and "[姓名 1]" in report
    everything = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "site").rglob("*") if path.is_file())
    assert not [value for value in ("谢翠", "13812345678", "a@b.cn", "\\u8c22") if value in everything]


def test_a_page_of_others_is_never_replaced(runs: Path, tmp_path: Path) -> None:
    index = tmp_path / "index.html"
    index.write_text("<title>My project</title>")
    with pytest.raises(RunError, match=r"index\.html is no index of runs and would be replaced; give a folder of its own"):
        build_site(runs, tmp_path)
    assert index.read_text() == "<title>My project</title>" and not (tmp_path / "reports").exists()
    assert build_site(runs, tmp_path / "site") == build_site(runs, tmp_path / "site")


def test_what_the_lab_says_of_a_run_is_nobodys_value(runs: Path, tmp_path: Path) -> None:
    (runs / "20240315-1" / "personal.json").write_text('{"年龄": ["15", "completed", "status", "f1", "谢翠"], "姓名": ["简历"]}')
    page = BeautifulSoup(build_site(runs, tmp_path / "site").read_text(encoding="utf-8"), "html.parser")
    run = json.loads(page.select_one("#data").get_text())[0]  # type: ignore[union-attr]
    assert (run["status"], run["started"][:10], run["f1"]) == ("completed", "2024-03-15", 0.5)
    assert run["kinds"]["[姓名 1]"]["f1"] == 0.5 and run["parameters"]["text"] == "[年龄 1], [phone 1]"


def data_of(index: Path) -> list[dict[str, Any]]:
    """What the index's script reads, as strictly as a browser reads it."""

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON")

    page = BeautifulSoup(index.read_text(encoding="utf-8"), "html.parser")
    found: list[dict[str, Any]] = json.loads(page.select_one("#data").get_text(), parse_constant=refuse)  # type: ignore[union-attr]
    return found


@pytest.mark.parametrize("left", ["out.ipynb", "report.html"])
def test_the_index_masks_what_only_the_report_shows_to_be_personal(make_run: MakeRun, tmp_path: Path, left: str) -> None:
    """As of the tour: nothing was noted, a mark in the text says who is named."""
    text = "李建国，35岁，住在幸福路8号"
    folder = tmp_path / "runs" / "20240317-3"
    folder.mkdir(parents=True)
    marked = highlight(text, [Field("姓名", (Span("李建国", 0, 3, 0.9),))])
    output = new_output("display_data", {"text/html": marked, "text/plain": "x"})
    notebook = new_notebook(cells=[new_code_cell("result", outputs=[output])])
    run = write_run(make_run(id=folder.name, folder=folder, parameters={"text": text}))
    personal = {"姓名": []} if left == "out.ipynb" else None
    (folder / "report.html").write_text(render_page(notebook, run, personal), encoding="utf-8")
    if left == "out.ipynb":
        (folder / left).write_text(nbformat.writes(notebook), encoding="utf-8")
    (record,) = data_of(build_site(tmp_path / "runs", tmp_path / "site"))
    report = (tmp_path / "site" / record["report"]).read_text(encoding="utf-8")
    assert record["parameters"]["text"] == "[姓名 1]，35岁，住在幸福路8号" and "李建国" not in report


@pytest.mark.parametrize(
    "notebook", ["{", "[]", '{"cells": [{"outputs": [{"data": {"text/html": null}}, {"data": {"text/html": [null]}}]}]}']
)
def test_a_notebook_that_is_none_does_not_end_the_site(runs: Path, tmp_path: Path, notebook: str) -> None:
    (runs / "20240315-1" / "out.ipynb").write_text(notebook)
    assert len(data_of(build_site(runs, tmp_path / "site"))) == 2


def test_scores_that_are_no_numbers_do_not_empty_the_index(runs: Path, tmp_path: Path) -> None:
    scores = {"micro": {"f1": math.nan}, "per_label": {"姓名": {"f1": math.inf}}, "exact_record_rate": -math.inf}
    metrics = {"overall": {"f1": math.nan}, "kinds": {"简历": {"strict": scores}}}
    (runs / "20240315-1" / "metrics.json").write_text(json.dumps(metrics))
    first, second = data_of(build_site(runs, tmp_path / "site"))
    assert (first["f1"], second["f1"]) == (None, 0.75)
    assert first["kinds"]["简历"] == {"f1": None, "exact": None, "fields": {"姓名": None}}


def test_reports_that_have_not_changed_are_left_and_broken_metrics_named(runs: Path, tmp_path: Path) -> None:
    index = build_site(runs, tmp_path / "site")
    report = tmp_path / "site" / "reports" / "20240315-1.html"
    before = report.stat().st_mtime_ns
    (runs / "20240316-2" / "metrics.json").write_text("{")
    (runs / "20240316-2" / "report.html").unlink()
    told: list[tuple[int, int]] = []
    build_site(runs, tmp_path / "site", lambda *step: told.append(step))
    assert report.stat().st_mtime_ns == before and told == [(1, 2), (2, 2)]
    assert "metrics.json cannot be read" in index.read_text(encoding="utf-8")
    with pytest.raises(RunError, match="cannot be written"):
        build_site(runs, report)


def test_a_report_goes_with_its_run_and_files_of_others_stay(runs: Path, tmp_path: Path) -> None:
    reports = tmp_path / "site" / "reports"
    build_site(runs, tmp_path / "site")
    for name in ("notes.html", "20240101-0.html", "empty.html"):
        (reports / name).write_text("mine" if name != "empty.html" else "")
    (runs / "20240316-2" / "report.html").unlink()
    shutil.rmtree(runs / "20240315-1")
    build_site(runs, tmp_path / "site")
    assert sorted(path.name for path in reports.iterdir()) == ["20240101-0.html", "empty.html", "notes.html"]


def test_every_module_that_masks_is_known_to_copies() -> None:
    known = {module.__name__ for module in copies.MASKING}
    for module in copies.MASKING:
        source = Path(str(module.__file__)).read_text(encoding="utf-8")
        assert set(re.findall(r"^from (seqgpt_lab\.(?:documents|reports)\.\w+) import", source, re.MULTILINE)) <= known, module


def test_a_report_is_masked_anew_when_more_is_personal_or_the_masking_changes(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (runs / "20240315-1" / "personal.json").unlink()
    build_site(runs, tmp_path / "site")
    report = tmp_path / "site" / "reports" / "20240315-1.html"
    assert "谢翠" in report.read_text(encoding="utf-8")
    (runs / "20240315-1" / "personal.json").write_text('{"姓名": ["谢翠"]}')
    build_site(runs, tmp_path / "site")
    masked = report.read_bytes()
    assert "谢翠" not in masked.decode("utf-8")
    (runs / "20240315-1" / "personal.json").write_text('{"姓名": ["谢翠", "toy.ipynb"]}')
    build_site(runs, tmp_path / "site")
    assert b"toy.ipynb" in masked and b"toy.ipynb" not in report.read_bytes()
    before = report.stat().st_ino
    build_site(runs, tmp_path / "site")
    assert report.stat().st_ino == before
    monkeypatch.setattr(copies, "_masking", lambda: "better")
    build_site(runs, tmp_path / "site")
    assert report.stat().st_ino != before
