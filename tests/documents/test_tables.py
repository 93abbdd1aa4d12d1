"""Tables, CSV and Excel: a row a document, and that every row that cannot be used is named with its line."""

from __future__ import annotations

import csv
import re
from datetime import datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import openpyxl
import pytest
from openpyxl.chart import BarChart, Reference

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.formats import load_documents, read_documents
from seqgpt_lab.documents.separated import separated_rows
from seqgpt_lab.documents.tables import Columns, read_table
from seqgpt_lab.errors import DocumentError
from tests.documents.files import problems, written


def sheet(path: Path, rows: list[list[object]], merged: str = "") -> Path:
    workbook = openpyxl.Workbook()
    for row in rows:
        workbook.active.append(row)
    if merged:
        workbook.active.merge_cells(merged)
    workbook.save(path)
    return path


ROWS: list[list[object]] = [["id", "text", "姓名", "页"], ["a", "张伟，\n35岁", "张伟", 2.0], [None, "李娜和王芳", "李娜 | 王芳| ", None]]


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


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (True, "TRUE"),
        (0.00001, "0.00001"),
        (1e16, "10000000000000000"),
        (datetime(2024, 5, 9), "2024-05-09"),
        (datetime(2024, 5, 9, 10, 30), "2024-05-09 10:30:00"),
        (timedelta(hours=26, minutes=5), "26:05:00"),
        (timedelta(hours=-1), "-1:00:00"),
    ],
)
def test_cells_of_a_sheet_are_read_as_people_see_them(tmp_path: Path, value: object, seen: str) -> None:
    (document,) = load_documents(sheet(tmp_path / "a.xlsx", [["text", "值"], ["张伟", value]]))
    assert document.meta == {"值": seen}


def test_a_format_that_a_file_has_lost_costs_no_number(tmp_path: Path) -> None:
    workbook = openpyxl.load_workbook(sheet(tmp_path / "a.xlsx", [["text"], [123]]))
    workbook.active["A2"].number_format = "000000"
    workbook.save(tmp_path / "a.xlsx")
    with ZipFile(tmp_path / "a.xlsx") as whole, ZipFile(tmp_path / "b.xlsx", "w") as broken:
        for name in whole.namelist():
            broken.writestr(name, re.sub(b"<numFmts.*</numFmts>", b"", whole.read(name)))
    assert [load_documents(tmp_path / name)[0].text for name in ("a.xlsx", "b.xlsx")] == ["000123", "123"]


def test_digits_that_excel_never_shows_are_none_of_a_number(tmp_path: Path) -> None:
    with ZipFile(sheet(tmp_path / "a.xlsx", [["text"], [267.5]])) as plain, ZipFile(tmp_path / "b.xlsx", "w") as saved:
        for name in plain.namelist():  # as Excel saves =2.675*100, where openpyxl would round
            saved.writestr(name, plain.read(name).replace(b"<v>267.5</v>", b"<v>267.49999999999994</v>"))
    assert [document.text for document in load_documents(tmp_path / "b.xlsx")] == ["267.5"]


@pytest.mark.parametrize(
    ("number", "shown", "seen"),
    [
        (0.13, "0%", "13%"),
        (0.0385, "0.00%", "3.85%"),
        (0.285, "0%", "29%"),
        (1280, "#,##0", "1,280"),
        (1234567.5, "#,##0.00_ ", "1,234,567.50"),
        (12.5, "0.00", "12.50"),
        (1.5, "000.0", "001.5"),
        (123, "000000", "000123"),
        (-123, "000000", "-000123"),
        (-0.0, "General", "0"),
        (-1280, "#,##0_);(#,##0)", "-1280"),
        (1280, "#,##0_);(#,##0)", "1,280"),
        (1280, '"¥"#,##0', "1280"),
        (1e300, "0.00", f"1{'0' * 300}.00"),
    ],
)
def test_numbers_of_a_sheet_are_read_as_their_format_shows_them(tmp_path: Path, number: float, shown: str, seen: str) -> None:
    """A rate of 13% is 0.13 to Excel, and no text says so."""
    path = sheet(tmp_path / "a.xlsx", [["text", "值"], [f"共{seen}整", number]])
    workbook = openpyxl.load_workbook(path)
    workbook.active["B2"].number_format = shown
    workbook.save(path)
    (document,) = load_documents(path, gold=["值"])
    assert document.gold == (Entity("值", 1, 1 + len(seen), seen),)


def test_a_formula_that_nobody_calculated_is_no_empty_cell(tmp_path: Path) -> None:
    """As programs write it that cannot calculate; an empty gold cell would say that the field is not in the text."""
    rows: list[list[object]] = [["text", "姓名"], ["张伟来了", "=LEFT(A2,2)"], ["天气好", None], ["李娜来了", "李娜"], ["=A2", None]]
    path = sheet(tmp_path / "a.xlsx", rows)
    workbook = openpyxl.load_workbook(path)
    workbook.create_sheet("先", 0).append(["text"])
    workbook["先"].append(["王芳来了"])
    workbook.save(tmp_path / "b.xlsx")
    for reading in (read_table(path, Columns(labels=("姓名",))), read_table(tmp_path / "b.xlsx", Columns(labels=("姓名",)), sheet="Sheet")):
        assert [[one.text for one in document.gold] for document in reading.documents] == [[], ["李娜"]]
        assert problems(reading) == [
            f"line {cell[1]}: the cell {cell} of {name} has a formula without a result; save the file in Excel, or write values"
            for cell, name in (("B2", "姓名"), ("A5", "text"))
        ]
    assert not read_table(tmp_path / "b.xlsx").problems


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
    assert problems(read_table(path, Columns(id="客户"))) == problems(read_table(path, Columns(labels=("客户",))))


@pytest.mark.parametrize("head", ["id,text", "ID,文本", "编号,内容", "ID,正文", "编号,content"])
def test_columns_that_are_called_as_usual_are_found(tmp_path: Path, head: str) -> None:
    path = written(tmp_path / "a.csv", f"{head},备注\n7,张伟来了,急\n")
    assert load_documents(path) == [Document("7", "张伟来了", (), {"备注": "急"})]


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


@pytest.mark.parametrize("sheets", [["图", "表"], ["图"]])
def test_a_sheet_that_is_a_chart_is_none_to_read(tmp_path: Path, sheets: list[str]) -> None:
    workbook = openpyxl.Workbook()
    chart = BarChart()
    chart.add_data(Reference(workbook.active, range_string="表!A1:A2"))
    workbook.create_chartsheet("图", 0).add_chart(chart)
    workbook["Sheet"].append(["text"])
    workbook["Sheet"].append(["张伟来了"])
    workbook["Sheet"].title = "表"
    if "表" not in sheets:
        workbook.remove(workbook["表"])
    workbook.save(tmp_path / "a.xlsx")
    if "表" in sheets:
        assert [document.text for document in load_documents(tmp_path / "a.xlsx")] == ["张伟来了"]
        with pytest.raises(DocumentError, match="no sheet '图' with cells; there are ⟪表⟫"):
            read_table(tmp_path / "a.xlsx", sheet="图")
    else:
        with pytest.raises(DocumentError, match="no sheet with cells, only charts"):
            load_documents(tmp_path / "a.xlsx")


def test_an_empty_first_row_names_no_columns(tmp_path: Path) -> None:
    for path in (sheet(tmp_path / "a.xlsx", [[], ["text"], ["张伟来了"]]), written(tmp_path / "a.csv", ",,\ntext\n张伟来了\n")):
        with pytest.raises(DocumentError, match="has an empty first row; it must name the columns, one of them text"):
            read_table(path)


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


def test_a_table_that_commas_separate_though_its_name_promises_tabs_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"a\.tsv names the columns ⟪id,text⟫, as if ',' separated them; call it \.csv"):
        read_table(written(tmp_path / "a.tsv", "id,text\n1,张伟\n"))


def test_rows_that_cannot_be_used_are_named_with_their_line(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", "id,text,姓名\n1,张伟,李娜\n1,张伟张伟,张伟\n2,\u3000,\n\n3,张,伟,多\n3,好,\n3,又,\n")
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
        ('id,text\na,"李"娜\nb,王五\nc,"赵"六\nd,钱七\n', ["王五", "钱七"], [2, 4]),
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
    with pytest.raises(DocumentError, match="no sheet '二' with cells; there are ⟪Sheet⟫"):
        read_table(sheet(tmp_path / "c.xlsx", ROWS), sheet="二")
