"""Notebooks and runs made up for these tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from seqgpt_lab.reports.owner import Owner
from seqgpt_lab.reports.runs import Run

DEFAULTS = 'name: str = "nobody"\nlimit = 3\nrun_dir = ""'
NotebookMaker = Callable[..., Path]
RunMaker = Callable[..., Run]


@pytest.fixture
def make_notebook(tmp_path: Path) -> NotebookMaker:
    """Writes a notebook: a tagged cell with `parameters`, then one cell each text; a text that begins with `#` is Markdown."""

    def make(*cells: str, parameters: str = DEFAULTS, name: str = "toy.ipynb") -> Path:
        head = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        body = [new_markdown_cell(cell) if cell.startswith("#") else new_code_cell(cell) for cell in cells]
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        nbformat.write(new_notebook(cells=[head, *body], metadata={"kernelspec": kernel}), tmp_path / name)
        return tmp_path / name

    return make


@pytest.fixture
def make_run(tmp_path: Path) -> RunMaker:
    """A completed run, with any field changed."""

    def make(**changes: object) -> Run:
        known = {
            "id": "20240315-142233-123-9f3a12",
            "status": "completed",
            "notebook": "toy.ipynb",
            "notebook_sha256": "0" * 64,
            "parameters": {"name": "张伟", "limit": 3},
            "given": ("name",),
            "started": "2024-03-15T14:22:33.123+00:00",
            "finished": "2024-03-15T14:22:35.123+00:00",
            "seconds": 2.0,
            "owner": Owner("a-host", 1, 0.0),
            "folder": tmp_path,
        }
        return Run(**{**known, **changes})  # type: ignore[arg-type]

    return make
