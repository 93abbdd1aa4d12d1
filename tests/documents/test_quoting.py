"""What readers say of a broken file: with its quotations left out, nothing of the file is left in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents.formats import read_documents
from seqgpt_lab.documents.quoting import QUOTED, quoted
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.extraction.labels import LabelSet

# No message of the lab has one of these characters.
SECRET = "李娜娜"
TEXT = f"客户{SECRET}来电"


@given(st.text() | st.text("⟪⟫\\\n'\"张"), st.text("甲，：", max_size=5))
def test_whatever_is_quoted_is_found_whole_and_nothing_beside_it(content: str, around: str) -> None:
    message = f"{around}{quoted(content)}{around}{quoted(content)}"
    assert QUOTED.sub("", message).replace("⟪⟫", "") == around * 2
    assert "\n" not in message and (not content or len(QUOTED.findall(message)) == 2)


@given(st.text("张伟⟪⟫", min_size=3), st.data())
def test_a_message_that_was_cut_still_gives_nothing_away(content: str, data: st.DataObject) -> None:
    whole = quoted(content)
    cut = whole[: data.draw(st.integers(1, len(whole)))]
    assert not set(QUOTED.sub("", f"says {cut}\nnext")) & set("张伟")


def entity(**changes: object) -> str:
    one = {"label": "姓名", "start": 2, "end": 5, "text": SECRET} | changes
    return json.dumps({"id": SECRET, "text": TEXT, "entities": [one]}, ensure_ascii=False)


def task(**value: object) -> str:
    result = [{"value": {"start": 2, "end": 5, "labels": ["姓名"]} | value}]
    return json.dumps([{"data": {"text": TEXT}, "annotations": [{"result": result}]}], ensure_ascii=False)


GOOD = json.dumps({"id": SECRET, "text": "无"}, ensure_ascii=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", entity(start=0, end=3)),
        ("a.jsonl", entity(start=SECRET)),
        ("a.jsonl", entity(text=[SECRET])),
        ("a.jsonl", entity(**{SECRET: 1})),
        ("a.jsonl", f'{{"text": "x", "{SECRET}": 1, "{SECRET}": 2}}'),
        ("a.jsonl", f'{{"text": "{SECRET}"'),
        ("a.jsonl", f'{{"text": "x", "entities": "{SECRET * 50}"}}'),
        ("a.jsonl", f"{GOOD}\n{GOOD}"),
        ("a.bio", f"{SECRET}\n"),
        ("a.jsonl", json.dumps({"text": TEXT, "label": [[2, 5, "姓名", SECRET]]}, ensure_ascii=False)),
        ("a.jsonl", json.dumps({"text": TEXT, "label": [[SECRET, 5, "姓名"]]}, ensure_ascii=False)),
        ("a.jsonl", json.dumps({"text": TEXT, "label": [[2, 5, [SECRET]], SECRET]}, ensure_ascii=False)),
        ("a.json", task(text=SECRET, start=1, end=2)),
        ("a.json", task(start=[SECRET])),
        ("a.json", task(labels={SECRET: 1})),
        ("a.json", json.dumps([{"data": {SECRET: "甲", TEXT: "乙"}, "annotations": []}], ensure_ascii=False)),
        ("a.json", json.dumps([{"text": TEXT, "sure": [{"start": 2, "end": 5, "text": SECRET, "choices": ["是"]}]}], ensure_ascii=False)),
        ("a.csv", f"{SECRET},{TEXT}\n"),
        ("a.csv", f"{SECRET},{SECRET}\n"),
        ("a.csv", f"id,text,姓名\n{SECRET},无,{SECRET}\n"),
        ("a.csv", f'id,text,姓名\n{SECRET},无,\n{SECRET},{TEXT},\n1,"{SECRET}'),
    ],
)
def test_no_reader_names_what_is_in_a_file_without_quoting_it(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    try:
        told = "\n".join(map(str, read_documents(tmp_path / name, gold=("姓名",)).problems))
    except DocumentError as error:
        told = str(error)
    assert told and not set(QUOTED.sub("", told)) & set(SECRET + "客来电")


@pytest.mark.parametrize("content", [f"{entity()}\n{entity()}\n", f"- {SECRET}: {TEXT}: x"])
def test_documents_given_as_a_label_set_are_not_quoted_either(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(LabelError, match=r"line [12], column") as raised:
        LabelSet.load(tmp_path / "a.yaml")
    assert SECRET not in str(raised.value)
