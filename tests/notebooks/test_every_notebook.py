"""Every shipped notebook: thin, without outputs, and run as `seqgpt-lab run NOTEBOOK --quick` runs it, with its own quick parameters.

What a user has made in the folder and not given to git is his own. Where there is no git, all that lie there are shipped.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from seqgpt_lab.reports.parameters import declared_parameters, quick_parameters, read_notebook
from seqgpt_lab.reports.runner import run_notebook
from tests.repository import ROOT, shipped_notebooks

NOTEBOOKS = shipped_notebooks(ROOT)
PAGE_LIMIT = 1_500_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end_and_leaves_a_small_page(path: Path, tmp_path: Path) -> None:
    quick = quick_parameters(read_notebook(path), path.name)
    run = run_notebook(path, quick, tmp_path / "runs")
    assert run.status == "completed", run.error
    page = (run.folder / "report.html").read_bytes()
    assert 1_000 < len(page) < PAGE_LIMIT


def decides(node: ast.AST) -> bool:
    return isinstance(node, (ast.If, ast.IfExp, ast.While)) or (isinstance(node, ast.comprehension) and bool(node.ifs))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_thin_and_holds_no_output(path: Path) -> None:
    notebook = read_notebook(path)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
    nodes = [node for cell in code for node in ast.walk(ast.parse(cell.source))]
    assert not [node for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda))]
    # What depends on a value is decided in a study, which has tests.
    assert not [type(node).__name__ for node in nodes if decides(node)]
    parameters = declared_parameters(notebook, path.name)
    assert parameters and ("model" not in parameters or parameters["model"].default == "tiny")
    # A limit that is taken by hand drops documents without a word where it is negative.
    assert not [cell.source for cell in code if "imit or None]" in cell.source]
    # Every cell that shows something has a sentence before it.
    kinds = [cell.cell_type for cell in notebook.cells]
    assert kinds == ["markdown", "code"] * (len(kinds) // 2)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_run_of_a_notebook_that_loads_a_model_names_model_and_data(path: Path) -> None:
    notebook = read_notebook(path)
    leaves_a_record = {"model", "run_dir"} <= declared_parameters(notebook, path.name).keys()
    code = "".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    assert ("record_inputs(run_dir, engine" in code or "record_read(run_dir, engine" in code) == leaves_a_record


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_page_says_that_people_marked_what_a_program_made(path: Path) -> None:
    prose = "".join(cell.source for cell in read_notebook(path).cells if cell.cell_type == "markdown")
    assert "people marked" not in prose and "marked by people" not in prose


def test_all_notebooks_are_there() -> None:
    assert [path.name[:3] for path in NOTEBOOKS] == [f"{number:02}_" for number in range(11)]
