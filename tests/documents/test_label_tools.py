"""Exports of doccano and Label Studio: what they mean, and that a record that cannot be used is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.formats import load_documents, read_documents
from seqgpt_lab.documents.label_studio import read_label_studio
from tests.documents.files import NAME, TEXT, problems, written

# --- doccano


@pytest.mark.parametrize(
    "record",
    [
        {"id": 7, "text": TEXT, "label": [[1, 3, "姓名"]], "Comments": ["好"]},
        {"id": 7, "text": TEXT, "labels": [[1, 3, "姓名"]], "Comments": ["好"]},
        {"id": 7, "data": TEXT, "label": [[1, 3, "姓名"]], "Comments": ["好"]},
        {"id": 7, "text": TEXT, "entities": [{"id": 1, "label": "姓名", "start_offset": 1, "end_offset": 3}], "Comments": ["好"]},
    ],
)
def test_doccano_exports_are_recognised(tmp_path: Path, record: dict[str, object]) -> None:
    wanted = [Document("7", TEXT, (NAME,), {"Comments": ["好"]})]  # old versions call the text `data`
    assert load_documents(written(tmp_path / "a.jsonl", record)) == wanted
    assert load_documents(written(tmp_path / "a.json", [record])) == wanted


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ([[1, 99, "姓名"]], "[1, 99), the text has 7 characters"),
        ([[1, 8, "姓名"]], "[1, 8), the text has 7 characters"),
        ([[1, 1, "姓名"]], "[1, 1)"),
        ([[3, 1, "姓名"]], "[3, 1)"),
        ([[-2, -1, "姓名"]], "[-2, -1)"),
        ([[1, 3]], "wanted [start, end, label]"),
        ([["1", 3, "姓名"]], "whole number"),
        ([[1, 3, 5]], "must be a text"),
        (["x"], "must be a list"),
    ],
)
def test_a_bad_doccano_record_is_named(tmp_path: Path, label: object, told: str) -> None:
    lines = [{"text": "好", "label": []}, {"text": TEXT, "label": label}, {"text": "坏", "label": [], "id": "record-1"}]
    path = written(tmp_path / "a.jsonl", "\n".join(json.dumps(line) for line in lines) + "\n{oops")
    reading = read_documents(path)
    assert [document.text for document in reading.documents] == ["好"]
    bad, again, broken = problems(reading)
    assert bad.startswith("line 2: ") and told in bad
    assert "already used" in again and broken.startswith("line 4: not JSON")


# --- Label Studio


def task(start: int, end: int, marked: str | None = "张伟", **more: object) -> dict[str, object]:
    value = {"start": start, "end": end, "labels": ["姓名"]} | ({"text": marked} if marked else {})
    return {"id": 3, "data": {"text": TEXT}, "annotations": [{"result": [{"type": "labels", "value": value}], **more}]}


OTHERWISE = {"type": "labels", "value": {"start": 2, "end": 4, "labels": ["公司"]}}


@pytest.mark.parametrize("found", [task(2, 4), task(2, 4, None), task(1, 3)], ids=["utf-16", "utf-16 unmarked", "code points"])
def test_label_studio_counts_utf_16_and_is_read_in_code_points(tmp_path: Path, found: dict[str, object]) -> None:
    assert load_documents(written(tmp_path / "a.json", [found])) == [Document("3", TEXT, (NAME,))]


def test_label_studio_counts_utf_16_where_code_points_would_fit_too(tmp_path: Path) -> None:
    value = {"start": 2, "end": 3, "text": "哈", "labels": ["笑"]}
    found = {"data": {"text": "😀哈哈哈好"}, "annotations": [{"result": [{"type": "labels", "value": value}]}]}
    (document,) = load_documents(written(tmp_path / "a.json", [found]))
    assert document.gold == (Entity("笑", 1, 2, "哈"),)


def test_label_studio_min_and_other_text_keys(tmp_path: Path) -> None:
    minimal = [{"id": 1, "text": TEXT, "label": [{"start": 2, "end": 4, "text": "张伟", "labels": ["姓名"]}]}]
    assert read_label_studio(written(tmp_path / "min.json", minimal)).documents == (Document("1", TEXT, (NAME,)),)
    other = task(2, 4) | {"data": {"对话": TEXT, "来源": "合同"}}
    reading = read_label_studio(written(tmp_path / "a.json", [other]))
    assert "not under text or 文本" in problems(reading)[0] and "⟪对话, 来源⟫: call it so" in problems(reading)[0]
    assert read_label_studio(tmp_path / "a.json", text="对话").documents[0].gold == (NAME,)


def test_label_studio_texts_are_found_under_the_names_that_tables_use(tmp_path: Path) -> None:
    found = task(2, 4) | {"data": {"来源": "合同", "正文": TEXT}}
    assert read_label_studio(written(tmp_path / "a.json", [found])).documents == (Document("3", TEXT, (NAME,)),)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (task(3, 5), "should read ⟪张伟⟫"),
        (task(2, 99, None), "does not fit"),
        ({"data": {"text": TEXT}, "annotations": [{"result": [{"value": {"start": 2}}]}]}, "has no 'end'"),
        (
            {"data": {"text": TEXT}, "annotations": [*task(2, 4)["annotations"], {"result": []}]},  # type: ignore[misc]
            "2 annotations that differ; mark one as ground truth",
        ),
        (
            {"data": {"text": TEXT}, "annotations": [*task(2, 4)["annotations"], *task(2, 3, None)["annotations"]]},  # type: ignore[misc]
            "2 annotations that differ",
        ),
        (
            {"data": {"text": TEXT}, "annotations": [*task(2, 4)["annotations"], {"result": [OTHERWISE]}]},  # type: ignore[misc]
            "2 annotations that differ",
        ),
    ],
)
def test_a_task_that_cannot_be_used_is_named(tmp_path: Path, found: dict[str, object], told: str) -> None:
    (problem,) = problems(read_label_studio(written(tmp_path / "a.json", [found])))
    assert problem.startswith("line 1: ") and told in problem


@pytest.mark.parametrize("turned", [False, True])
def test_people_who_agree_make_one_gold_whatever_they_marked_first(tmp_path: Path, turned: bool) -> None:
    marks = [{"type": "labels", "value": {"start": start, "end": end, "labels": ["姓名"]}} for start, end in ((2, 4), (5, 7))]
    choice = {"type": "choices", "value": {"choices": [["合同", "采购"]]}}
    annotations = [{"result": [*marks, choice]}, {"result": marks[::-1] if turned else marks}]
    (document,) = read_label_studio(written(tmp_path / "a.json", [{"data": {"text": TEXT}, "annotations": annotations}])).documents
    assert [one.text for one in document.gold] == ["张伟", "35"]


def test_cancelled_annotations_do_not_count_and_ground_truth_wins(tmp_path: Path) -> None:
    found = task(2, 4)
    found["annotations"] = [*task(0, 2, None, was_cancelled=True)["annotations"], *found["annotations"]]  # type: ignore[misc]
    assert read_label_studio(written(tmp_path / "a.json", [found])).documents[0].gold == (NAME,)
    for more in ({"ground_truth": True}, {"ground_truth": True, "was_cancelled": True}):
        differing = [*task(5, 7, None)["annotations"], *task(2, 4, "张伟", **more)["annotations"]]  # type: ignore[misc]
        reading = read_label_studio(written(tmp_path / "b.json", [task(2, 4) | {"annotations": differing}]))
        age = Entity("姓名", 4, 6, TEXT[4:6])
        assert [document.gold for document in reading.documents] == [(age,) if "was_cancelled" in more else (NAME,)]


def test_a_mark_with_several_labels_is_a_value_of_each(tmp_path: Path) -> None:
    result = [{"type": "labels", "value": {"start": 2, "end": 4, "labels": ["姓名", "联系人"]}}]
    reading = read_label_studio(written(tmp_path / "a.json", [{"data": {"text": TEXT}, "annotations": [{"result": result}]}]))
    assert reading.documents[0].gold == (NAME, Entity("联系人", 1, 3, "张伟"))


@pytest.mark.parametrize(
    "found",
    [
        {"data": {"text": TEXT}, "annotations": []},
        {"data": {"text": TEXT}, "annotations": [{"result": [], "was_cancelled": True}]},
        {"data": {"text": TEXT}, "annotations": [], "predictions": [{"result": [{"value": {"start": 0, "end": 2, "labels": ["姓名"]}}]}]},
        {"data": {"text": TEXT}},
        {"text": TEXT, "annotator": {}, "annotation_id": None},
    ],
    ids=["none", "cancelled", "predicted", "imported", "min"],
)
def test_a_task_that_nobody_labelled_is_no_gold_but_may_be_read(tmp_path: Path, found: dict[str, object]) -> None:
    path = written(tmp_path / "a.json", [task(2, 4), found])
    assert [document.gold for document in load_documents(path)] == [(NAME,), ()]
    reading = read_documents(path, gold=("姓名",))
    assert [document.gold for document in reading.documents] == [(NAME,)]
    assert problems(reading) == [
        "line 1: record 2: nobody has labelled the task, or only with annotations that were cancelled; label it, or leave it out"
    ]


def test_an_annotation_that_marks_nothing_says_that_nothing_is_there(tmp_path: Path) -> None:
    empty = {"data": {"text": TEXT}, "annotations": [{"result": [], "was_cancelled": False}]}
    minimal = {"text": TEXT, "annotation_id": 7}
    for found in (empty, minimal):
        path = written(tmp_path / "a.json", [task(2, 4), found])
        assert [document.gold for document in load_documents(path, gold=("姓名",))] == [(NAME,), ()]
