"""Values of parameters that leave nothing to do: what a notebook's cells make of them, without a kernel and before any model is loaded."""

from __future__ import annotations

import re
from typing import Any

import pytest

from seqgpt_lab.errors import OptionError
from seqgpt_lab.reports.parameters import declared_parameters, read_notebook
from seqgpt_lab.resources import bundled_notebook
from seqgpt_lab.studies.phrasing import faults, show_faults


def run_first_cell(name: str, **given: Any) -> list[Any]:
    """What the notebook's first code cell after its parameters shows, with these values and the defaults of the others."""
    path = bundled_notebook(name)
    notebook = read_notebook(path)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"][1]
    shown: list[Any] = []
    values = {parameter: declared.default for parameter, declared in declared_parameters(notebook, path.name).items()}
    exec(code, {**values, **given, "display": lambda *what: shown.extend(what)})
    return shown


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("02_label_phrasing.ipynb", {"dev_limit": -1}, "dev_limit is -1; it must be 0"),
        ("02_label_phrasing.ipynb", {"test_limit": -1}, "test_limit is -1; it must be 0"),
        ("03_preprocessing.ipynb", {"limit": -1}, "limit is -1; it must be 0"),
        ("05_rig_planner.ipynb", {"rigs": []}, "rigs is []; give at least one machine"),
        ("05_rig_planner.ipynb", {"lengths": []}, "lengths is empty"),
        ("09_long_documents.ipynb", {"documents": -1}, "documents is -1 and each 12"),
        ("09_long_documents.ipynb", {"each": 0}, "documents is 24 and each 0"),
        ("09_long_documents.ipynb", {"lengths": []}, "lengths is []; give the characters"),
        ("10_real_text.ipynb", {"limit": -1}, "limit is -1; it must be 0"),
    ],
)
def test_what_leaves_nothing_to_do_is_refused_by_name(name: str, given: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=re.escape(told)):
        run_first_cell(name, **given)


@pytest.mark.parametrize(
    ("name", "given", "told"),
    [
        ("02_label_phrasing.ipynb", {"dev_limit": 2, "test_limit": 3}, "the first 3 of 60 documents"),
        ("03_preprocessing.ipynb", {"limit": 3}, "the first 3 of 60 documents"),
        ("06_evaluation.ipynb", {"limit": 3}, "24 of 480 documents (at most the first 3 of each kind)"),
        ("09_long_documents.ipynb", {}, "the first 24 of 30 documents"),
    ],
)
def test_what_is_read_counts_what_is_read(name: str, given: dict[str, Any], told: str) -> None:
    assert [what for what in run_first_cell(name, **given) if told in str(what)]


def test_labels_without_a_fault_are_told_from_those_with_one() -> None:
    """The tour's lint: its cell ends in an expression."""
    path = bundled_notebook("00_tour.ipynb")
    (cell,) = [cell.source for cell in read_notebook(path).cells if cell.cell_type == "code" and "faults(badly_typed)" in cell.source]
    names = {"faults": faults, "show_faults": show_faults}
    faultless, faulty = (str(eval(cell, {**names, "badly_typed": typed})) for typed in ("姓名,年龄", "姓名,关键信息"))
    assert "no fault" in faultless and "vague" in faulty
