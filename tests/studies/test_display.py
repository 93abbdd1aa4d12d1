from __future__ import annotations

import io
import json
import re

import pandas
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st
from jupyter_client.session import json_packer
from nbconvert.filters import markdown2html

from seqgpt_lab.studies.display import Prose, TextBars, as_json, counted, plain, short, table


@given(st.text(alphabet="ab *_`<>[]()#!&\\$~|-+.{}1\n", max_size=20))
def test_a_name_survives_markdown_letter_by_letter(name: str) -> None:
    shown = BeautifulSoup(markdown2html(f"x {plain(name)} x"), "html.parser")
    assert shown.get_text().split() == f"x {name} x".split()
    assert {tag.name for tag in shown.find_all(True)} <= {"p"}


@given(st.text(alphabet="ab *_`<>[]()#!&\\$~|-+.{}1", max_size=20))
def test_a_terminal_shows_names_as_they_are_and_no_emphasis(name: str) -> None:
    assert Prose(f"**{plain(name)}**: 3 documents/s").for_terminal == f"{' '.join(name.split())}: 3 documents/s"


def test_a_table_keeps_every_row_every_letter_and_escapes() -> None:
    frame = pandas.DataFrame({"text": ["很" * 200, "<b>x</b>"] + ["y"] * 100, "string_f1": [0.98765] * 102})
    shown = BeautifulSoup(table(frame).html, "html.parser")
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in shown.select("tbody tr")]
    assert [cell.get_text() for cell in shown.select("thead th")] == ["text", "string f1"]
    assert len(rows) == 102 and rows[0] == ["很" * 200, "0.988"] and rows[1][0] == "<b>x</b>"


def test_what_a_program_gets_is_shown_as_json() -> None:
    value = {"姓名": "张伟", "公司": ["<b>甲</b>", "乙"], "邮箱": None}
    shown = BeautifulSoup(as_json(value).html, "html.parser").select_one("pre")
    assert shown is not None and json.loads(shown.get_text()) == value and "张伟" in shown.get_text() and "null" in shown.get_text()


def test_half_a_character_of_a_document_does_not_end_a_notebook() -> None:
    bundles = [{"text/html": as_json("张\ud800")._repr_html_()}, {"text/markdown": Prose("张\ud800")._repr_markdown_()}]
    assert json.loads(json_packer(bundles)) == [{"text/html": as_json("张\ufffd").html}, {"text/markdown": "张\ufffd"}]


def test_a_pivoted_table_has_no_empty_column() -> None:
    long = pandas.DataFrame({"field": ["姓名", "姓名"], "variant": ["usual", "other"], "f1": [1.0, 0.5]})
    shown = BeautifulSoup(table(long.pivot(index="field", columns="variant", values="f1").reset_index()).html, "html.parser")
    assert [cell.get_text() for cell in shown.select("thead th")] == ["field", "other", "usual"]
    assert [cell.get_text() for cell in shown.select("tbody td")] == ["姓名", "0.500", "1.000"]


def test_what_is_missing_is_blank_and_no_p_value_is_0() -> None:
    needed = pandas.array([None, 7, 24], dtype="Int64")
    frame = pandas.DataFrame({"p": [None, 0.0002, 0.03], "needed": needed, "claimed": pandas.Series([None, None, "x"], dtype=object)})
    frame = frame.assign(real=[None, True, False], kept=[True, False, True])
    shown = BeautifulSoup(table(frame).html, "html.parser")
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in shown.select("tbody tr")]
    assert rows == [["", "", "", "", "yes"], ["< 0.001", "7", "", "yes", "no"], ["0.030", "24", "x", "no", "yes"]]


def test_a_column_of_chances_may_hold_none_at_all() -> None:
    """Where a single variant is compared with nothing, and where numbers come as objects."""
    for chances, wanted in (([None], [""]), ([None, 0.0002, 0.03], ["", "&lt; 0.001", "0.030"])):
        shown = table(pandas.DataFrame({"p": pandas.Series(chances, dtype=object)})).html
        assert re.findall("<td>(.*?)</td>", shown) == wanted


def test_bars_are_text_one_a_task() -> None:
    stream = io.StringIO()
    with TextBars(stream) as bars:
        for task, done, total in (("resume", 1, 2), ("resume", 2, 2), ("invoice", 5, 5)):
            bars(task, done, total)
    last = [line.split("\r")[-1] for line in stream.getvalue().strip().split("\n")]
    assert ["resume: 100%" in last[0], "2/2" in last[0], "invoice: 100%" in last[1], "5/5" in last[1]] == [True] * 4


def test_counts_read_as_english() -> None:
    assert [counted(1, "document"), counted(1200, "document"), counted(2, "value of it", "values of it")] == [
        "1 document",
        "1,200 documents",
        "2 values of it",
    ]


def test_short_numbers_have_three_digits_and_no_exponent() -> None:
    assert [short(number) for number in (0.01234, 4.567, 99.96, 2617.0, 1e6)] == ["0.0123", "4.57", "100", "2,617", "1,000,000"]
    assert [short(number) for number in (0.0000123, -2e-9, 0.0)] == ["0.0000123", "-0.000000002", "0"]
