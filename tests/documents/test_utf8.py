"""Texts that have no UTF-8: as long as before without their half characters, and lines of JSON that read back."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents.utf8 import json_line, without_halves

ANY_TEXT = st.text(st.characters())  # lone surrogates included


@given(ANY_TEXT)
def test_half_characters_and_no_others_are_replaced(text: str) -> None:
    whole = without_halves(text)
    whole.encode("utf-8")
    assert all(new == ("\ufffd" if "\ud800" <= old <= "\udfff" else old) for old, new in zip(text, whole, strict=True))


@given(st.dictionaries(ANY_TEXT, ANY_TEXT | st.none() | st.lists(ANY_TEXT)))
def test_json_lines_are_one_line_of_utf8_that_reads_back(value: dict[str, object]) -> None:
    line = json_line(value)
    assert len(line.splitlines()) == 1
    line.encode("utf-8")
    assert json.loads(line) == json.loads(json.dumps(value))


def test_json_keeps_chinese_and_refuses_nan() -> None:
    assert json_line({"姓名": "张伟"}) == '{"姓名": "张伟"}'
    with pytest.raises(ValueError):
        json_line(float("nan"))
