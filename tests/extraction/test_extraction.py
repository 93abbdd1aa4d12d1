"""What people and programs get out of an extraction."""

from __future__ import annotations

import json

import pytest

from seqgpt_lab.errors import LabelError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span

TEXT = "张伟和李娜，35岁"
RESULT = Extraction(
    "a",
    TEXT,
    (
        Field("年龄", (Span("35", 6, 8, 0.5),)),
        Field("公司"),
        Field("姓名", (Span("张伟", 0, 2, 0.9), Span("李娜", 3, 5), Span("王五", None, None, 0.1, "unaligned"))),
    ),
    raw="年龄: 35\n公司: None\n姓名: 张伟\t李娜\t王五",
    problems=("unaligned: 王五",),
)


def test_the_dict_is_a_string_a_list_or_none_in_the_users_order() -> None:
    assert list(RESULT.to_dict().items()) == [("年龄", "35"), ("公司", None), ("姓名", ["张伟", "李娜", "王五"])]


def test_the_record_is_json_with_values_spans_and_problems() -> None:
    record = RESULT.to_record()
    assert json.loads(json.dumps(record)) == record
    assert list(record) == ["id", "values", "spans", "problems"]
    assert record["id"] == "a" and record["values"] == RESULT.to_dict() and record["problems"] == ["unaligned: 王五"]
    assert list(record["spans"]) == ["年龄", "公司", "姓名"]
    assert record["spans"]["年龄"] == [{"text": "35", "start": 6, "end": 8, "confidence": 0.5, "match": "exact"}]
    assert record["spans"]["公司"] == []
    assert record["spans"]["姓名"][2] == {"text": "王五", "start": None, "end": None, "confidence": 0.1, "match": "unaligned"}


def test_the_frame_has_a_row_a_span_and_whole_offsets() -> None:
    frame = RESULT.to_frame()
    assert list(frame.columns) == ["label", "value", "start", "end", "confidence", "match"]
    assert list(frame["value"]) == ["35", "张伟", "李娜", "王五"]
    assert frame["start"].dtype == "Int64" and list(frame["start"].dropna()) == [6, 0, 3]
    assert list(frame["end"].isna()) == [False, False, False, True]
    assert list(frame["confidence"].isna()) == [False, False, True, False]


def test_the_frame_of_nothing_has_the_same_columns_and_types() -> None:
    empty = Extraction("a", "", (Field("公司"),)).to_frame()
    assert len(empty) == 0
    assert dict(empty.dtypes) == dict(RESULT.to_frame().dtypes)


def test_a_frame_holds_lone_surrogates() -> None:
    odd = Extraction("a", "\ud800", (Field("\udfff", (Span("\ud800", 0, 1),)),)).to_frame()
    assert (odd["label"][0], odd["value"][0]) == ("\udfff", "\ud800")


def test_unaligned_values_are_told_apart_and_an_unaligned_repeat_is_not_invented() -> None:
    names = RESULT.fields[2]
    assert [span.text for span in names.unaligned] == ["王五"]
    assert names.unaligned[0].invented(TEXT)
    assert not Span("张伟", None, None, match="unaligned").invented(TEXT)
    assert not Span("３５", 6, 8, match="approximate").invented(TEXT)


def test_only_a_parse_problem_makes_an_extraction_malformed() -> None:
    assert not RESULT.malformed
    assert Extraction("a", "", (), problems=("unaligned: x", "parse: line 2 has no label")).malformed


def test_two_fields_of_one_label_are_refused() -> None:
    with pytest.raises(LabelError, match="姓名"):
        Extraction("a", "", (Field("姓名"), Field("姓名")))


@pytest.mark.parametrize(
    ("start", "end", "match"), [(None, None, "exact"), (0, None, "unaligned"), (0, 2, "unaligned"), (2, 2, "exact"), (-1, 2, "approximate")]
)
def test_a_span_has_a_place_exactly_when_it_was_found(start: int | None, end: int | None, match: str) -> None:
    with pytest.raises(AssertionError):
        Span("x", start, end, None, match)  # type: ignore[arg-type]


def test_html_shows_problems_and_never_hides_a_cut() -> None:
    assert "unaligned: 王五" in RESULT._repr_html_()
    cut = Extraction("a", "x", (), truncated=True)._repr_html_()
    assert cut.count("truncated:") == 1
    told = Extraction("a", "x", (), truncated=True, problems=("truncated: 12 characters left out",))._repr_html_()
    assert told.count("truncated:") == 1
