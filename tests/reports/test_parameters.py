from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_notebook

from seqgpt_lab.errors import ParameterError
from seqgpt_lab.reports.parameters import (
    Parameter,
    check_parameters,
    declared_parameters,
    parse_parameters,
    quick_parameters,
    read_notebook,
)

SOURCE = """# a comment
model: str = "tiny"
limit = 0
rate = 0.5
kinds: list[str] = []
labels: str | None = None
sizes: list[int] = [1]
grounded = False
anything = None
here = os.getcwd()
run_dir = ""
"""


OTHERS = """
files: list[str] | None = None
rates: list[float] = []
loose = ["a"]
either: int | str = 0
most: int | None = None
"""


def declare(source: str = SOURCE) -> dict[str, Parameter]:
    return declared_parameters(new_notebook(cells=[new_code_cell(source, metadata={"tags": ["parameters"]})]), "toy.ipynb")


def test_declared_names_defaults_and_types() -> None:
    declared = declare()
    assert list(declared) == ["model", "limit", "rate", "kinds", "labels", "sizes", "grounded", "anything", "here", "run_dir"]
    assert {name: one.types for name, one in declared.items()} == {
        "model": ("str",),
        "limit": ("int",),
        "rate": ("float",),
        "kinds": ("list",),
        "labels": ("str", "NoneType"),
        "sizes": ("list",),
        "grounded": ("bool",),
        "anything": (),
        "here": (),
        "run_dir": ("str",),
    }
    assert declared["rate"].default == 0.5 and declared["here"].computed


@pytest.mark.parametrize("tagged", [0, 2])
def test_a_notebook_needs_exactly_one_parameters_cell(tagged: int) -> None:
    cells = [new_code_cell("a = 1", metadata={"tags": ["parameters"]}) for _ in range(tagged)] + [new_code_cell("b = 2")]
    with pytest.raises(ParameterError, match=rf"toy\.ipynb has {tagged} code cells tagged 'parameters'"):
        declared_parameters(new_notebook(cells=cells), "toy.ipynb")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("limt", 3, "no parameter 'limt'.*limit: int = 0"),
        ("limit", "3", r"limit is '3' \(str\), it must be int"),
        ("limit", True, r"limit is True \(bool\), it must be int"),
        ("limit", 3.0, "it must be int"),
        ("rate", "0.1", "it must be float"),
        ("rate", True, "it must be float"),
        ("model", None, "it must be str"),
        ("kinds", "resume", "it must be list"),
        ("kinds", ("resume",), "it must be list"),
        ("labels", 3, "str or NoneType"),
        ("sizes", ["1"], "it must be list of int"),
        ("grounded", 1, "it must be bool"),
        ("anything", {1, 2}, "lists and dictionaries of these"),
        ("anything", Path("a"), "lists and dictionaries of these"),
        ("anything", float("nan"), "lists and dictionaries of these"),
        ("anything", {1: "a"}, "lists and dictionaries of these"),
    ],
)
def test_a_parameter_that_does_not_fit_is_named_with_what_exists(name: str, value: object, named: str) -> None:
    with pytest.raises(ParameterError, match=named):
        check_parameters(declare(), {name: value})


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ParameterError, match=r"'limt'.*rate is 'x'"):
        check_parameters(declare(), {"limt": 1, "rate": "x"})


def test_values_that_fit_pass() -> None:
    values = {"model": "组", "limit": 5, "rate": 1, "kinds": ["a"], "labels": None, "grounded": True, "anything": {"a": [1, None]}}
    check_parameters(declare(), values)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("model", "560", "560"),
        ("model", "no", "no"),
        ("limit", "12", 12),
        ("rate", "3", 3),
        ("rate", "1e-5", 1e-5),
        ("kinds", "resume,invoice", ["resume", "invoice"]),
        ("kinds", "resume", ["resume"]),
        ("kinds", "[resume, 发票]", ["resume", "发票"]),
        ("kinds", "", []),
        ("kinds", "[3090, no]", ["3090", "no"]),
        ("sizes", "2500,5000", [2500, 5000]),
        ("sizes", "16", [16]),
        ("sizes", "[1, 2]", [1, 2]),
        ("labels", "null", None),
        ("labels", "12", "12"),
        ("grounded", "true", True),
        ("labels", "None", None),
        ("labels", "'None'", "None"),
        ("labels", "合同 #1.yaml", "合同 #1.yaml"),
        ("labels", "@甲: 乙: 丙", "@甲: 乙: 丙"),
        ("anything", "{a: 1}", {"a": 1}),
        ("anything", "007", "007"),
        ("anything", "2024-01-05", "2024-01-05"),
        ("anything", "[2024-13-45]", ["2024-13-45"]),
        ("labels", "2024-13-45", "2024-13-45"),
        ("labels", "9" * 5000, "9" * 5000),
        ("anything", "12", 12),
        ("anything", "'12'", "12"),
        ("anything", "合同 #1.yaml", "合同 #1.yaml"),
        ("limit", "010", 10),
        ("limit", "-010", -10),
        ("sizes", "010,20", [10, 20]),
        ("sizes", "[010, 20]", [10, 20]),
        ("rate", "010", 10),
        ("rate", "010.5", 10.5),
        ("files", "null", None),
        ("files", "None", None),
        ("files", "[007, 560]", ["007", "560"]),
        ("files", "数据 集/a #1.jsonl, 007", ["数据 集/a #1.jsonl", "007"]),
        ("rates", "1e-5, .5", [1e-5, 0.5]),
        ("loose", "[007, b]", ["007", "b"]),
        ("either", "007", "007"),
        ("either", "7", 7),
        ("most", "None", None),
        ("most", "08", 8),
    ],
)
def test_words_of_a_command_line_become_what_the_notebook_declares(name: str, text: str, value: object) -> None:
    assert parse_parameters(declare(SOURCE + OTHERS), {name: text}) == {name: value}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("limit", "many"), ("limit", "1.5"), ("limit", "1:30"), ("rate", "1:30"), ("grounded", "maybe")),
        *(("kinds", "[a"), ("sizes", "1,b"), ("sizes", "1:30,2"), ("nothing", "1")),
        *(("limit", "2024-13-45"), ("limit", "9" * 5000), ("anything", "{a: 1, a: 2}"), ("anything", "!!timestamp 2024-13-45")),
    ],
)
def test_words_that_do_not_fit_are_refused(name: str, text: str) -> None:
    with pytest.raises(ParameterError, match=name):
        parse_parameters(declare(), {name: text})


@given(st.text())
def test_text_stays_exactly_as_it_was_typed(text: str) -> None:
    assert parse_parameters(declare(), {"model": text}) == {"model": text}


def test_what_is_not_a_notebook_is_named(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="cannot be read"):
        read_notebook(tmp_path / "none.ipynb")
    (tmp_path / "text.ipynb").write_text("no JSON")
    with pytest.raises(ParameterError, match="not a Jupyter notebook"):
        read_notebook(tmp_path / "text.ipynb")
    with pytest.raises(ParameterError, match="not Python"):
        declare("a = = 1")


def with_quick(quick: object) -> nbformat.NotebookNode:
    cell = new_code_cell(SOURCE, metadata={"tags": ["parameters"]})
    return new_notebook(cells=[cell], metadata={"seqgpt_lab": {"quick": quick}})


def test_quick_parameters_come_from_the_metadata_and_must_fit() -> None:
    assert quick_parameters(with_quick({"limit": 1, "kinds": ["a"]}), "toy.ipynb") == {"limit": 1, "kinds": ["a"]}
    assert quick_parameters(with_quick({}), "toy.ipynb") == {}
    with pytest.raises(ParameterError, match="limit is 'x'"):
        quick_parameters(with_quick({"limit": "x"}), "toy.ipynb")
    for without in (with_quick(None), new_notebook(metadata={"seqgpt_lab": 3}), new_notebook()):
        with pytest.raises(ParameterError, match="no quick parameters"):
            quick_parameters(without, "toy.ipynb")
