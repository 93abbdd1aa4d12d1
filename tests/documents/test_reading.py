"""Documents from other programs' files: what each format means, and that every unusable piece is named with its line."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents.bio import read_bio
from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.formats import FORMATS, detect, load_documents, read_documents
from seqgpt_lab.documents.label_studio import read_label_studio
from seqgpt_lab.documents.separated import separated_rows
from seqgpt_lab.documents.tables import Columns, read_table
from seqgpt_lab.documents.walk import files_below
from seqgpt_lab.errors import DocumentError, OptionError
from tests.documents.files import NAME, TEXT, problems, written

# --- BIO


def test_bio_and_bioes_tags_become_spans(tmp_path: Path) -> None:
    lines = "-DOCSTART- O\n\n张\tB-姓名\n伟\tI-姓名\n，\tO\n李 B-姓名\n娜 E-姓名\r\n京 S-城市\n\n\n3 B-年龄\n岁 B-年龄\n"
    first, second = read_bio(written(tmp_path / "a.bio", lines)).documents
    assert (first.id, first.text) == ("line-3", "张伟，李娜京")
    assert [(one.label, one.text, one.start) for one in first.gold] == [("姓名", "张伟", 0), ("姓名", "李娜", 3), ("城市", "京", 5)]
    assert [one.text for one in second.gold] == ["3", "岁"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bio_lines_end_as_any_system_ends_them(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.bio"
    path.write_bytes(end.join(["张 B-姓名", "伟 I-姓名", "好 O", "", "\u2028 O", "天 O"]).encode())
    assert read_bio(path).documents == (
        Document("line-1", "张伟好", (Entity("姓名", 0, 2, "张伟"),)),
        Document("line-5", "\u2028天", ()),
    )


def test_bio_words_are_joined_as_asked(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", "Ada NNP B-PER\nLovelace NNP I-PER\nwrote VBD O\n")
    (document,) = read_bio(path, joiner=" ").documents
    assert document.text == "Ada Lovelace wrote" and [one.text for one in document.gold] == ["Ada Lovelace"]


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("张 B-姓名\n伟 I-年龄\n", "line 2: the tag I-年龄 goes on with 年龄"),
        ("张 I-姓名\n", "line 1: the tag I-姓名"),
        ("张 B-姓名\n， O\n伟 I-姓名\n", "line 3"),
        ("张 S-姓名\n伟 I-姓名\n", "line 2"),
        ("张\n", "line 1: ⟪张⟫ does not end with a tag"),
        ("张 B-\n", "does not end with a tag"),
        ("张 X-姓名\n", "does not end with a tag"),
    ],
)
def test_a_bad_tag_costs_its_document_and_no_other(tmp_path: Path, lines: str, told: str) -> None:
    reading = read_bio(written(tmp_path / "a.bio", lines + "\n好 O\n"))
    assert [document.text for document in reading.documents] == ["好"]
    (problem,) = problems(reading)
    assert told in problem


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text("甲乙丙丁", min_size=1, max_size=4), st.sampled_from(["", "姓名", "公司"])), min_size=1, max_size=8))
def test_bio_gives_back_the_pieces_it_was_written_from(tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, str]]) -> None:
    lines = [f"{c}\t{('B-' if not at else 'I-') + label if label else 'O'}" for text, label in pieces for at, c in enumerate(text)]
    (document,) = read_bio(written(tmp_path_factory.mktemp("bio") / "a.bio", "\n".join(lines))).documents
    assert document.text == "".join(text for text, _ in pieces)
    assert [(one.text, one.label) for one in document.gold] == [piece for piece in pieces if piece[1]]


# --- doccano


@pytest.mark.parametrize(
    "record",
    [
        {"id": 7, "text": TEXT, "label": [[1, 3, "姓名"]], "Comments": ["好"]},
        {"id": 7, "text": TEXT, "labels": [[1, 3, "姓名"]], "Comments": ["好"]},
        {"id": 7, "text": TEXT, "entities": [{"id": 1, "label": "姓名", "start_offset": 1, "end_offset": 3}], "Comments": ["好"]},
    ],
)
def test_doccano_exports_are_recognised(tmp_path: Path, record: dict[str, object]) -> None:
    wanted = [Document("7", TEXT, (NAME,), {"Comments": ["好"]})]
    assert load_documents(written(tmp_path / "a.jsonl", record)) == wanted
    assert load_documents(written(tmp_path / "a.json", [record])) == wanted


@pytest.mark.parametrize(
    ("label", "told"),
    [
        ([[1, 99, "姓名"]], "[1, 99), the text has 7 characters"),
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
    other = task(2, 4) | {"data": {"正文": TEXT, "来源": "合同"}}
    reading = read_label_studio(written(tmp_path / "a.json", [other]))
    assert "⟪来源, 正文⟫: name one with text=" in problems(reading)[0]
    assert read_label_studio(tmp_path / "a.json", text="正文").documents[0].gold == (NAME,)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (task(3, 5), "should read ⟪张伟⟫"),
        (task(2, 99, None), "does not fit"),
        ({"data": {"text": TEXT}, "annotations": [{"result": [{"value": {"start": 2}}]}]}, "has no 'end'"),
        ({"data": {"text": TEXT}, "annotations": [{"result": []}, {"result": []}]}, "2 annotations; mark one as ground truth"),
    ],
)
def test_a_task_that_cannot_be_used_is_named(tmp_path: Path, found: dict[str, object], told: str) -> None:
    (problem,) = problems(read_label_studio(written(tmp_path / "a.json", [found])))
    assert problem.startswith("line 1: ") and told in problem


def test_cancelled_annotations_do_not_count_and_ground_truth_wins(tmp_path: Path) -> None:
    found = task(2, 4)
    found["annotations"] = [*task(0, 2, None, was_cancelled=True)["annotations"], *found["annotations"]]  # type: ignore[misc]
    assert read_label_studio(written(tmp_path / "a.json", [found])).documents[0].gold == (NAME,)


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


# --- tables


def sheet(path: Path, rows: list[list[object]], merged: str = "") -> Path:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    if merged:
        workbook.active.merge_cells(merged)
    workbook.save(path)
    return path


ROWS: list[list[object]] = [["id", "text", "姓名", "页"], ["a", "张伟，\n35岁", "张伟", 2.0], [None, "李娜和王芳", "李娜|王芳", None]]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".xlsx"])
def test_rows_of_tables_are_documents(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".xlsx":
        sheet(path, ROWS)
    else:
        with open(path, "w", encoding="utf-8-sig", newline="") as stream:
            cells = [["2" if cell == 2.0 else cell for cell in row] for row in ROWS]
            csv.writer(stream, delimiter="\t" if suffix == ".tsv" else ",").writerows(cells)
    first, second = read_table(path, Columns(labels=("姓名",))).documents
    assert first == Document("a", "张伟，\n35岁", (Entity("姓名", 0, 2, "张伟"),), {"页": "2"})
    # A text of two lines: the next row begins on line 4 of a CSV file, and is row 3 of a sheet.
    assert second.id == ("row-3" if suffix == ".xlsx" else "row-4") and [one.text for one in second.gold] == ["李娜", "王芳"]
    assert load_documents(path)[0].gold == () and load_documents(path)[0].meta["姓名"] == "张伟"
    assert read_documents(path, gold=("姓名", "年龄"), complete=False).documents[0].gold == first.gold


def test_sheets_that_are_not_read_are_told_where_nobody_chose_one(tmp_path: Path) -> None:
    path = sheet(tmp_path / "a.xlsx", [["text"], ["张伟来了"]])
    workbook = openpyxl.load_workbook(path)
    workbook.create_sheet("空")
    workbook.create_sheet("选项").append(["是"])
    workbook["选项"].sheet_state = "hidden"
    workbook.save(path)
    assert not read_table(path).notes
    for name in ("二月", "三月"):
        workbook.create_sheet(name).append(["text"])
    workbook.save(path)
    reading = read_table(path)
    assert reading.notes == (
        "only the first sheet is read; the others that hold something are ⟪二月, 三月⟫: save each as a file of its own",
    )
    assert not reading.problems and not read_table(path, sheet="二月").notes
    with pytest.warns(UserWarning, match=r"a\.xlsx: only the first sheet is read"):
        assert [document.text for document in load_documents(path)] == ["张伟来了"]


def test_what_excel_escapes_is_read_as_it_shows_it(tmp_path: Path) -> None:
    path = sheet(tmp_path / "a.xlsx", [["text", "姓名_x000D_"], ["张伟_x000D_\n在云智，编号_x005F_x000D_", "张伟"]])
    (document,) = read_table(path, Columns(labels=("姓名",))).documents
    assert document == Document("row-2", "张伟\r\n在云智，编号_x000D_", (Entity("姓名", 0, 2, "张伟"),))


def test_a_formula_that_nobody_calculated_is_no_empty_cell(tmp_path: Path) -> None:
    """As programs write it that cannot calculate; an empty gold cell would say that the field is not in the text."""
    path = sheet(tmp_path / "a.xlsx", [["text", "姓名"], ["张伟来了", "=LEFT(A2,2)"], ["天气好", None], ["李娜来了", "李娜"]])
    reading = read_table(path, Columns(labels=("姓名",)))
    assert [[one.text for one in document.gold] for document in reading.documents] == [[], ["李娜"]]
    assert problems(reading) == ["line 2: the cell B2 of 姓名 has a formula without a result; save the file in Excel, or write values"]


def test_the_result_of_a_formula_is_read_an_empty_text_too(tmp_path: Path) -> None:
    rows: list[list[object]] = [["text", "姓名"], ["张伟来了", "=LEFT(A2,2)"], ["天气好", "=T(C3)"]]
    with ZipFile(sheet(tmp_path / "a.xlsx", rows)) as plain, ZipFile(tmp_path / "b.xlsx", "w") as saved:
        for name in plain.namelist():
            content = plain.read(name).decode()
            for cell, result in (("B2", "张伟"), ("B3", "")):
                content = re.sub(rf'<c r="{cell}"(.*?)<v ?/>', rf'<c t="str" r="{cell}"\1<v>{result}</v>', content)
            saved.writestr(name, content)
    found = read_table(tmp_path / "b.xlsx", Columns(labels=("姓名",)))
    assert [[one.text for one in document.gold] for document in found.documents] == [["张伟"], []] and not found.problems


def test_a_cell_beyond_the_columns_with_names_is_told_and_costs_only_its_row(tmp_path: Path) -> None:
    rows: list[list[object]] = [["text", "姓名", None, None], ["张伟来了", "张伟", None, " "], ["李娜来了", "李娜", None, "王芳"]]
    reading = read_table(sheet(tmp_path / "a.xlsx", rows), Columns(labels=("姓名",)))
    assert [document.text for document in reading.documents] == ["张伟来了"]
    assert problems(reading) == [
        "line 3: the cell D3 holds ⟪王芳⟫, and row 1 has no name for its column; name the column, or clear the cell"
    ]
    reading = read_table(sheet(tmp_path / "b.xlsx", [["text"], ["张伟来了"], ["李娜来了", "=LEFT(A2,2)"]]))
    assert [document.text for document in reading.documents] == ["张伟来了"] and "the cell B3 holds ⟪⟫" in problems(reading)[0]


def test_an_error_that_excel_put_in_place_of_a_value_is_no_text(tmp_path: Path) -> None:
    reading = read_table(sheet(tmp_path / "a.xlsx", [["text"], ["#N/A"], ["张伟来了"]]))
    assert [document.text for document in reading.documents] == ["张伟来了"]
    assert problems(reading) == ["line 2: the cell A2 of text holds the error #N/A; mend its formula, or write values"]


def test_an_error_costs_a_row_only_where_its_column_is_read(tmp_path: Path) -> None:
    path = sheet(tmp_path / "a.xlsx", [["text", "客户"], ["张伟来了", "#N/A"]])
    assert load_documents(path) == [Document("row-2", "张伟来了", (), {"客户": "#N/A"})]
    assert problems(read_table(path, Columns(labels=("客户",)))) == [
        "line 2: the cell B2 of 客户 holds the error #N/A; mend its formula, or write values"
    ]


def test_gold_without_a_column_is_named_with_the_columns_there_are(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "text,姓名,手机\n张伟：13800001111,张伟,13800001111\n")
    told = r"no column of gold values for 手机号; there are ⟪text, 姓名, 手机⟫: call the columns as the fields, or leave"
    for read in (read_documents, load_documents):
        with pytest.raises(DocumentError, match=told):
            read(path, gold=("姓名", "手机号"))
    with pytest.raises(DocumentError, match=r"no column 序号; there are .*: name the ids'"):
        read_table(path, Columns(id="序号"))


@pytest.mark.parametrize(
    ("merged", "told"),
    [
        ("B2:B3", "line 3: the cell B3 of text is covered by the merged cells B2:B3"),
        ("A2:B2", "line 2: the cell B2 of text is covered by the merged cells A2:B2"),
        ("D2:D3", "line 3: the cell D3 of 页 is covered by the merged cells D2:D3"),
    ],
)
def test_merged_cells_are_named_and_cost_only_their_rows(tmp_path: Path, merged: str, told: str) -> None:
    reading = read_table(sheet(tmp_path / "a.xlsx", ROWS, merged))
    (problem,) = problems(reading)
    assert problem.startswith(told) and len(reading.documents) == 1


def test_merged_cells_in_the_head_are_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="merged cells A1:B1"):
        read_table(sheet(tmp_path / "a.xlsx", ROWS, "A1:B1"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("名称,说明\n", "no column text or 文本.*there are ⟪名称, 说明⟫"),
        ("text,text\n", "give each a name"),
        ("text,,b\n", r"\(none\)"),
        ("编号;正文\n1;张伟\n", r"a\.csv names the columns ⟪编号;正文⟫, as if ';' separated them; save it with commas"),
        ("id\ttext\n1\t张伟\n", r"as if '\\t' separated them; call it \.tsv"),
        ("名称;说明\n", "no column text or 文本"),
        ('text,"张伟\n', "line 1, which must name the columns: the row cannot be read"),
    ],
)
def test_a_table_that_cannot_be_read_says_why(tmp_path: Path, content: str, told: str) -> None:
    with pytest.raises(DocumentError, match=told):
        read_table(written(tmp_path / "a.csv", content))


def test_rows_that_cannot_be_used_are_named_with_their_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,text,姓名\n1,张伟,李娜\n1,张伟张伟,张伟\n2,,\n\n3,张,伟,多\n3,好,\n3,又,\n")
    assert problems(read_table(path, Columns(labels=("姓名",)))) == [
        "line 2: the value ⟪李娜⟫ of 姓名 is not in the text; write it as the text does, or give offsets in a JSONL file",
        "line 3: the value ⟪张伟⟫ of 姓名 stands 2 times in the text, so its place cannot be told; "
        "write it as the text does, or give offsets in a JSONL file",
        "line 4: the cell of text is empty; a document needs a text",
        "line 6: the row has 4 cells, the head 3; put texts with a ',' in quotes",
        "line 8: the id ⟪3⟫ was already used; every row needs its own",
    ]


def test_empty_columns_at_the_end_of_a_table_are_none(tmp_path: Path) -> None:
    """As Excel saves a sheet in which cells to the right were once filled in."""
    reading = read_table(
        written(tmp_path / "a.csv", "text,姓名,,\n张伟来了,张伟,,\n李娜来了,李娜\n王五,,,来了\n"), Columns(labels=("姓名",))
    )
    assert [[one.text for one in document.gold] for document in reading.documents] == [["张伟"], ["李娜"]]
    assert problems(reading) == ["line 4: the row has 4 cells, the head 2; put texts with a ',' in quotes"]


@pytest.mark.parametrize(
    ("text", "age", "place"),
    [
        ("张伟，38岁，电话13800001111", "38", (3, 5)),
        ("电话13800001111，38岁", "38", (14, 16)),
        ("月费3.38元，38岁", "38", (8, 10)),
        ("1.38岁", "38", "stands in the text only inside longer words or numbers"),
        ("1.2024年生，38岁", "2024", (2, 6)),
        ("三十五岁，电话13512345678", "35", "stands in the text only inside longer words or numbers"),
        ("38岁和38岁，电话13800001111", "38", "stands 2 times"),
        ("电话13812345678", "35", "is not in the text"),
    ],
)
def test_a_value_inside_a_longer_number_is_not_meant(tmp_path: Path, text: str, age: str, place: tuple[int, int] | str) -> None:
    reading = read_table(written(tmp_path / "a.csv", f"text,年龄\n{text},{age}\n"), Columns(labels=("年龄",)))
    if isinstance(place, tuple):
        assert [document.gold for document in reading.documents] == [(Entity("年龄", *place, age),)]
    else:
        assert f"the value ⟪{age}⟫ of 年龄 {place}" in problems(reading)[0] and not reading.documents


@pytest.mark.parametrize(
    ("content", "kept", "lost"),
    [
        ('id,text\na,张伟\nb,"李"娜\nc,王五\n', ["张伟", "王五"], [3]),
        ('id,text\na,张伟\nb,"李娜\nc,"王""五"\nd,"赵\n六"\n', ["张伟", '王"五', "赵\n六"], [3]),
        ('id,text\na,"张伟\n她说\n\nb,李娜\n', ["李娜"], [2]),
        ('text\n张伟\n"李娜\n王五\n', ["张伟"], [3]),
        (f"id,text\na,{'长' * 140_000}\nb,李娜\n", ["长" * 140_000, "李娜"], []),
    ],
)
def test_a_stray_quote_or_a_long_cell_costs_no_row_that_can_be_told(tmp_path: Path, content: str, kept: list[str], lost: list[int]) -> None:
    reading = read_table(written(tmp_path / "a.csv", content))
    assert [document.text for document in reading.documents] == kept
    assert [problem.line for problem in reading.problems] == lost
    assert all("write a quote inside one twice" in problem for problem in problems(reading))


def test_a_cell_that_is_too_long_costs_its_row_alone() -> None:
    rows = list(separated_rows(["text\n", "好" * 11 + "\n", "又\n"], ",", largest=10))
    assert [(row.line, row.cells, bool(row.failure)) for row in rows] == [(1, ["text"], False), (2, [], True), (3, ["又"], False)]


def test_a_file_that_is_no_excel_file_and_a_missing_sheet_are_named(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="not an Excel file"):
        read_table(written(tmp_path / "a.xlsx", "text"))
    for part in ("xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/styles.xml"):
        with ZipFile(sheet(tmp_path / "whole.xlsx", ROWS)) as whole, ZipFile(tmp_path / "cut.xlsx", "w") as cut:
            for name in whole.namelist():
                cut.writestr(name, whole.read(name)[: -200 if name == part else None])
        with pytest.raises(DocumentError, match=r"cut\.xlsx is not an Excel file, or a broken one"):
            read_table(tmp_path / "cut.xlsx")
    with pytest.raises(DocumentError, match=r"cannot read .*b\.xlsx"):
        read_table(tmp_path / "b.xlsx")
    with pytest.raises(DocumentError, match="no sheet '二'; there are Sheet"):
        read_table(sheet(tmp_path / "c.xlsx", ROWS), sheet="二")


# --- folders, and telling formats apart


def test_a_folder_of_texts_is_read_in_order_and_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "子").mkdir()
    written(tmp_path / "子" / "二.txt", "第二")
    written(tmp_path / "一.txt", "第一\n")
    (tmp_path / "坏.txt").write_bytes(b"\xff")
    reading = read_documents(tmp_path)
    assert [(document.id, document.text) for document in reading.documents] == [("一", "第一"), ("子/二", "第二")]
    assert "坏.txt: not UTF-8" in problems(reading)[0] and not problems(reading)[0].startswith("line")
    (tmp_path / "空").mkdir()
    with pytest.raises(DocumentError, match=r"no \.txt files"):
        read_documents(tmp_path / "空")


def test_the_case_of_an_ending_leaves_no_text_out(tmp_path: Path) -> None:
    for name, text in (("a.TXT", "一"), ("a.txt", "二"), ("b.Txt", "三")):
        written(tmp_path / name, text)
    assert [(document.id, document.text) for document in load_documents(tmp_path)] == [("a", "一"), ("a.txt", "二"), ("b", "三")]


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    top = tmp_path / "甲"
    (top / "子").mkdir(parents=True)
    (tmp_path / "乙").mkdir()
    written(top / "子" / "a.txt", "一")
    written(tmp_path / "乙" / "b.txt", "二")
    for name, target in (("远", tmp_path / "乙"), ("内", "子"), ("子/回", top), ("自", "自")):
        (top / name).symlink_to(target)
    (tmp_path / "乙" / "来").symlink_to(top)
    reading = read_documents(top)
    assert [(document.id, document.text) for document in reading.documents] == [("子/a", "一"), ("远/b", "二")]
    assert problems(reading) == []
    (top / "上").symlink_to(tmp_path)
    assert problems(read_documents(top)) == [f"cannot read the folder {top / '上'}: it is a link to a folder that holds this one"]


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "锁").mkdir()
    written(tmp_path / "a.txt", "一")
    scandir = os.scandir

    def guarded(path: str | Path) -> Any:  # root may enter every folder
        if Path(path) in locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    locked = {tmp_path / "锁"}
    monkeypatch.setattr(os, "scandir", guarded)
    reading = read_documents(tmp_path)
    assert [document.id for document in reading.documents] == ["a"]
    assert problems(reading) == [f"cannot read the folder {tmp_path / '锁'}: Permission denied"]
    locked = {tmp_path}
    with pytest.raises(DocumentError, match=f"cannot read {tmp_path}: Permission denied"):
        read_documents(tmp_path)


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_named_instead_of_waited_for(tmp_path: Path) -> None:
    written(tmp_path / "a.txt", "一")
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / "other")
    (tmp_path / "device.txt").symlink_to(os.devnull)
    (tmp_path / "gone.txt").symlink_to("nowhere")
    reading = read_documents(tmp_path)
    assert [document.id for document in reading.documents] == ["a"]
    told = dict(zip(("device", "gone", "pipe"), problems(reading), strict=True))
    assert "device.txt: it is a device" in told["device"] and "pipe.txt: it is a pipe" in told["pipe"]
    assert "gone.txt: No such file" in told["gone"]


def test_files_below_leave_hidden_names_out_where_asked(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in (".git/a", ".b", "c"):
        written(tmp_path / name, "")
    assert files_below(tmp_path).files == (tmp_path / ".b", tmp_path / ".git" / "a", tmp_path / "c")
    assert files_below(tmp_path, hidden=False).files == (tmp_path / "c",)


def test_what_cannot_be_used_is_counted_in_what_the_file_is_made_of(tmp_path: Path) -> None:
    written(tmp_path / "好.txt", "好")
    (tmp_path / "坏.txt").write_bytes(b"\xff")
    assert read_documents(tmp_path).summary() == "1 of 2 files hold no usable document"
    with pytest.raises(DocumentError, match=r"(?s)1 of 2 files hold .*Mend these files"):
        load_documents(tmp_path)
    assert read_documents(written(tmp_path / "a.csv", "text,b\n好,1\n,2\n")).summary() == "1 of 2 rows hold no usable document"
    assert read_documents(written(tmp_path / "a.json", [{"text": "好"}, 5])).summary() == "1 of 2 records hold no usable document"


def test_formats_are_told_by_name_and_unknown_ones_named(tmp_path: Path) -> None:
    assert detect(written(tmp_path / "a.jsonl", '{"text": "x"}')) == "jsonl"
    assert detect(written(tmp_path / "b.jsonl", "{oops")) == "jsonl"
    assert detect(tmp_path / "x.BIO") == "bio" and detect(tmp_path / "x.Xlsx") == "table" and set(FORMATS) > {"bio", "doccano"}
    with pytest.raises(DocumentError, match=r"cannot read \.pdf; wanted \.jsonl"):
        detect(tmp_path / "a.pdf")
    with pytest.raises(OptionError, match="no document format 'word'"):
        read_documents(tmp_path / "a.jsonl", "word")
