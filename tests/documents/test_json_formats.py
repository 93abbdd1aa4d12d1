"""JSON documents of three programs: told apart by all records, and every mark in them is read or named."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from seqgpt_lab.documents.formats import load_documents, read_documents
from seqgpt_lab.documents.json_formats import detect_json, holds_json, read_json
from seqgpt_lab.errors import DocumentError
from tests.documents.files import NAME, TEXT, problems, written

NOTHING = {"id": 1, "text": "无", "entities": [], "relations": []}
SOMEBODY = {"id": 2, "text": TEXT, "entities": [{"id": 9, "label": "姓名", "start_offset": 1, "end_offset": 3}], "relations": []}


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("records", [[NOTHING, SOMEBODY], [SOMEBODY, NOTHING], [NOTHING]])
def test_records_without_gold_do_not_decide_the_format(tmp_path: Path, suffix: str, records: list[dict[str, object]]) -> None:
    listed = json.dumps(records, ensure_ascii=False)
    lines = "\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    found = load_documents(written(tmp_path / f"a{suffix}", listed if suffix == ".json" else lines))
    assert {document.id: document.gold for document in found} == {
        str(record["id"]): (NAME,) if record is SOMEBODY else () for record in records
    }


@pytest.mark.parametrize(
    ("records", "listed", "lines"),
    [
        ([{"text": "甲"}, {"text": "乙", "meta": {}}], "jsonl", "jsonl"),
        ([{"text": "甲"}, {"text": "乙", "来源": "合同"}], "label-studio", "jsonl"),
        ([{"text": "甲", "label": []}, {"text": "乙", "Comments": [], "label": []}], "doccano", "doccano"),
        ([{"text": "甲", "label": []}, {"text": "乙"}], "label-studio", "jsonl"),
    ],
)
def test_records_that_show_no_format_count_as_the_one_that_all_of_them_may_be(
    records: list[dict[str, object]], listed: str, lines: str, tmp_path: Path
) -> None:
    assert detect_json(written(tmp_path / "a.json", records)) == listed
    assert detect_json(written(tmp_path / "a.jsonl", "\n".join(map(json.dumps, records)))) == lines


def test_a_stray_record_of_another_format_costs_only_itself(tmp_path: Path) -> None:
    own = [json.dumps({"text": TEXT, "entities": [{"label": "姓名", "start": 1, "end": 3, "text": "张伟"}]})] * 2
    reading = read_documents(written(tmp_path / "a.jsonl", "\n".join([json.dumps({"text": "x", "label": [[0, 1, "姓名"]]}), *own])))
    assert [document.gold for document in reading.documents] == [(NAME,), (NAME,)]
    assert "line 1: the line has the unknown key ⟪label⟫" in problems(reading)[0]


def test_marks_of_label_studio_are_not_taken_for_the_labs_own_though_their_control_is_called_so(tmp_path: Path) -> None:
    theirs = [{"text": "甲", "entities": [mark(0, 1, labels=["姓名"])]}] * 2
    own = [{"text": "甲", "entities": [{"label": "姓名", "start": 0, "end": 1, "text": "甲"}]}]
    assert detect_json(written(tmp_path / "a.json", [*theirs, *own])) == "label-studio"
    assert detect_json(written(tmp_path / "a.json", [*theirs[:1], *own, *own])) == "jsonl"


@pytest.mark.parametrize("between", ["", ";", "x", ":"])
def test_a_list_whose_records_nothing_or_something_else_than_a_comma_parts_is_refused(tmp_path: Path, between: str) -> None:
    with pytest.raises(DocumentError, match="not a JSON list"):
        read_documents(written(tmp_path / "a.json", f'[{{"text": "甲"}}{between}{{"text": "乙"}}]'))


def test_a_line_that_cannot_be_read_costs_no_other_line_of_doccano(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf[\n" + json.dumps(SOMEBODY).encode() + b'\n{"text": "\xff"}\n')
    reading = read_documents(path)
    assert [document.gold for document in reading.documents] == [(NAME,)]
    assert [problem.line for problem in reading.problems] == [1, 3] and "not UTF-8" in problems(reading)[1]


def mark(start: int, end: int, **more: object) -> dict[str, object]:
    return {"start": start, "end": end, **more}


def test_label_studio_min_keeps_the_marks_of_every_control(tmp_path: Path) -> None:
    found = {
        "id": 1,
        "text": "张伟在云智公司",
        "label": [mark(0, 2, text="张伟", labels=["姓名"])],
        "org": [mark(3, 7, text="云智公司", labels=["公司"])],
        "sure": [mark(3, 7, text="云智公司", choices=["是"])],
    }
    (document,) = load_documents(written(tmp_path / "a.json", [{"id": 0, "text": "无"}, found]))[1:]
    assert [(one.label, one.text) for one in document.gold] == [("姓名", "张伟"), ("公司", "云智公司")]
    (problem,) = problems(read_documents(written(tmp_path / "b.json", [found | {"sure": [mark(0, 7, choices=["是"])]}])))
    assert "result 1 of 'sure' marks a place that is not read" in problem


def annotated(*results: object, key: str = "annotations") -> dict[str, object]:
    return {"id": 3, "data": {"text": TEXT}, key: [{"result": list(results)}]}


LABELLED = {"type": "labels", "value": mark(2, 4, text="张伟", labels=["姓名"])}


def test_label_studio_results_that_are_no_marks_of_their_own_are_left_out(tmp_path: Path) -> None:
    choice = {"type": "choices", "value": mark(2, 4, text="张伟", choices=["是"])}
    relation = {"type": "relation", "from_id": "a", "to_id": "b"}
    whole = {"type": "choices", "value": {"choices": ["合同"]}}
    for key in ("annotations", "completions"):
        found = annotated(LABELLED, choice, relation, whole, key=key)
        assert [one.gold for one in load_documents(written(tmp_path / "a.json", [found]))] == [(NAME,)]


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            annotated(LABELLED, {"type": "hypertextlabels", "value": mark(5, 7, hypertextlabels=["年龄"])}),
            "result 2 of type 'hypertextlabels'",
        ),
        (annotated("x"), "result 1 is ⟪x⟫; it must be an object"),
        ({"data": {"text": TEXT}, "annotations": ["a"]}, "annotations[0] is ⟪a⟫; it must be an object"),
        ({"text": TEXT, "entities": [mark(1, 3, text="张伟", label="姓名")]}, "result 1 of 'entities' marks a place that is not read"),
    ],
)
def test_label_studio_marks_that_are_not_read_are_named_with_their_task(tmp_path: Path, found: dict[str, object], told: str) -> None:
    reading = read_documents(written(tmp_path / "a.json", [annotated(LABELLED), found]))
    assert [document.gold for document in reading.documents] == [(NAME,)]
    (problem,) = problems(reading)
    assert problem.startswith("line 1: record 2: ") and told in problem


@pytest.mark.parametrize(
    "record",
    [
        {"id": None, "text": TEXT, "label": [[1, 3, "姓名"]]},
        {
            "id": None,
            "data": {"text": TEXT},
            "annotations": [{"result": [{"type": "labels", "value": mark(1, 3, text="张伟", labels=["姓名"])}]}],
        },
    ],
    ids=["doccano", "label-studio"],
)
def test_records_whose_id_is_null_are_no_repeats_of_one_another(tmp_path: Path, record: dict[str, object]) -> None:
    found = load_documents(written(tmp_path / "a.json", [record, record]))
    assert [(document.id, document.gold) for document in found] == [("record-1", (NAME,)), ("record-2", (NAME,))]


OWN = {"id": "a", "text": TEXT, "entities": [{"label": "姓名", "start": 1, "end": 3, "text": "张伟"}], "meta": {"页": 2}}


def laid_out(records: Sequence[object], layout: str) -> str:
    dump = partial(json.dumps, ensure_ascii=False, indent=2 if "indented" in layout else None)
    return dump(records) if "list" in layout else "\n".join(map(dump, records))


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("layout", ["list", "indented list", "lines", "indented objects"])
@pytest.mark.parametrize("record", [OWN, SOMEBODY, annotated(LABELLED)], ids=["own", "doccano", "label-studio"])
def test_every_format_is_read_however_it_is_laid_out(tmp_path: Path, record: dict[str, object], layout: str, suffix: str) -> None:
    others = [record, record | {"id": 77}, record | {"id": 78}]
    for records in ([record], others):
        content = laid_out(records, layout)
        found = load_documents(written(tmp_path / f"a{suffix}", "\ufeff" + content))
        assert [(one.id, one.gold) for one in found] == [(str(one["id"]), (NAME,)) for one in records]
        assert not record.get("meta") or found[0].meta == OWN["meta"]
        assert holds_json(content.encode()) and read_json(content.encode(), detect_json(content.encode())).documents == tuple(found)


def test_documents_of_the_labs_own_keep_all_they_have_in_a_list_without_gold_too(tmp_path: Path) -> None:
    (document,) = load_documents(written(tmp_path / "a.json", [{"id": "a", "text": "无", "entities": [], "meta": {"页": 2}}]))
    assert document.meta == {"页": 2}


@pytest.mark.parametrize("layout", ["indented list", "indented objects"])
def test_broken_json_of_several_lines_is_told_once_with_its_place(tmp_path: Path, layout: str) -> None:
    content = laid_out([OWN, OWN | {"id": "b"}], layout).replace('"id": "b",', '"id": "b"')
    place = next(number for number, line in enumerate(content.split("\n"), start=1) if '"id": "b"' in line) + 1
    for name in ("a.json", "a.jsonl"):
        with pytest.raises(DocumentError, match=rf"not a JSON (list|object): .*line {place} column .*; mend it there, or write one object"):
            read_documents(written(tmp_path / name, content))


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
def test_a_first_line_that_is_broken_costs_no_other_line(tmp_path: Path, suffix: str) -> None:
    for first in ('{"text": "x"', '{"text": "x",', "{"):
        reading = read_documents(written(tmp_path / f"a{suffix}", f"{first}\n{json.dumps(SOMEBODY)}\n"))
        assert [document.gold for document in reading.documents] == [(NAME,)]
        assert [problem.line for problem in reading.problems] == [1] and "not JSON" in problems(reading)[0]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize("layout", ["list", "indented list", "lines", "indented objects"])
@pytest.mark.parametrize("record", [OWN, SOMEBODY, annotated(LABELLED)], ids=["own", "doccano", "label-studio"])
def test_a_record_with_a_key_twice_is_named_with_its_line_and_costs_only_itself(
    tmp_path: Path, record: dict[str, object], layout: str, suffix: str
) -> None:
    lines = laid_out([record, record | {"id": 77}, record | {"id": 78}], layout)
    begun = lines.index('"text"', lines.index("77"))
    content = lines[:begun] + '"text": "x", ' + lines[begun:]
    reading = read_documents(written(tmp_path / f"a{suffix}", content))
    assert [(one.id, one.gold) for one in reading.documents] == [(str(record["id"]), (NAME,)), ("78", (NAME,))]
    (problem,) = reading.problems
    assert "the key ⟪text⟫ occurs twice in one object" in problem.message
    assert content.split("\n")[problem.line - 1].strip().startswith(("{", "[{")) and (layout != "lines" or problem.line == 2)
