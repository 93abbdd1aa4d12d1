"""Reads documents from the rows of CSV, TSV and Excel files: a column of texts, others as gold values or metadata."""

from __future__ import annotations

import datetime
import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.places import occurrences, stands_alone
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Problem, Reading, Source, called, decode, read_bytes_as_text
from seqgpt_lab.documents.separated import Row, separated_rows
from seqgpt_lab.errors import DocumentError

TEXT_COLUMNS = ("text", "文本", "内容", "正文", "content")
ID_COLUMNS = ("id", "编号", "ID")
EXCEL = (".xlsx", ".xlsm")
_SEVERAL = "|"
_FORMULA = re.compile(rb"<(?:\w+:)?f[ />]")
# How Excel writes characters that XML lacks or changes (ECMA-376, ST_Xstring), a carriage return mostly; openpyxl leaves them as they are.
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read. text, id: their names; empty: the first there is of the usual ones. labels: columns of gold values, each
    cell's values separated by `|`; perhaps: the same, where they exist. Every other column becomes metadata.
    """

    text: str = ""
    id: str = ""
    labels: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Row:
    """A row with its number in the file; faults: what is wrong with a column's cell, by column."""

    number: int
    cells: Mapping[str, str]
    faults: Mapping[str, str]


def read_table(source: Source, columns: Columns | None = None, sheet: str = "") -> Reading:
    """One document a row, named by its id column or `row-N`. source: bytes are those of a CSV or TSV file. sheet: of an Excel file, empty:
    the first.

    A gold value is looked for in its row's text and must stand there exactly once as a word of its own: places inside a longer word or
    number do not count. Rows that cannot be used become Problems: an empty text, a cell that belongs to merged cells, has a formula
    without a result or stands in a column without a name (named), a value that is not in the text. Raises DocumentError for a file that
    cannot be read, a head with a stray quote, a sheet or column that does not exist, repeated column names and merged cells in the head.
    """
    columns = columns or Columns()
    rows = _separated(source) if isinstance(source, bytes) or Path(source).suffix.lower() not in EXCEL else _excel(source, sheet)
    head = next(rows, None)
    if head is None:
        raise DocumentError(f"{called(source)} is empty; its first row must name the columns, one of them {' or '.join(TEXT_COLUMNS)}")
    chosen = _choose(called(source), list(head.cells), columns)
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for row in rows:
        try:
            document = _document(row, chosen)
            if document.id in documents:
                raise DocumentError(f"the id {quoted(document.id)} was already used; every row needs its own")
            documents[document.id] = document
        except DocumentError as error:
            problems.append(Problem(row.number, str(error)))
    return Reading(tuple(documents.values()), tuple(problems), "rows")


def _choose(path: str, names: Sequence[str], wanted: Columns) -> Columns:
    text = wanted.text or next((name for name in TEXT_COLUMNS if name in names), "")
    there = quoted(", ".join(names))
    if text not in names:
        for mark, fix in ((";", "save it with commas"), ("\t", "call it .tsv"), (",", "call it .csv")):
            if len(names) == 1 and not {name.strip() for name in names[0].split(mark)}.isdisjoint([text] if text else TEXT_COLUMNS):
                raise DocumentError(f"{path} names the columns {there}, as if {mark!r} separated them; {fix}")
        raise DocumentError(f"{path} has no column {text or ' or '.join(TEXT_COLUMNS)}; there are {there}: name the text's")
    if wanted.id and wanted.id not in names:
        raise DocumentError(f"{path} has no column {wanted.id}; there are {there}: name the ids'")
    missing = [name for name in wanted.labels if name not in names]
    if missing:
        # Without this every answer for such a field would count as wrong, and nothing would say why.
        raise DocumentError(
            f"{path} has no column of gold values for {', '.join(missing)}; there are {there}: call the columns as the fields, "
            "or leave a field without gold out of the label set"
        )
    labels = (*wanted.labels, *(name for name in wanted.perhaps if name in names and name not in wanted.labels))
    return Columns(text, wanted.id or next((name for name in ID_COLUMNS if name in names), ""), labels)


def _document(row: _Row, columns: Columns) -> Document:
    for name in (columns.text, columns.id, *columns.labels, "", *row.faults):
        if name in row.faults:
            raise DocumentError(row.faults[name])
    text = row.cells.get(columns.text, "")
    if not text.strip():
        raise DocumentError(f"the cell of {columns.text} is empty; a document needs a text")
    identifier = row.cells.get(columns.id, "") or f"row-{row.number}"
    gold = tuple(_entity(text, label, value) for label in columns.labels for value in _values(row.cells.get(label, "")))
    used = {columns.text, columns.id, *columns.labels}
    return Document(identifier, text, gold, {name: cell for name, cell in row.cells.items() if name not in used and cell})


def _values(cell: str) -> list[str]:
    return [value.strip() for value in cell.split(_SEVERAL) if value.strip()]


def _entity(text: str, label: str, value: str) -> Entity:
    """The value at the one place where it stands alone: a `38` inside a phone number is nobody's age."""
    places = list(occurrences(text, value))
    alone = [place for place in places if stands_alone(text, place)]
    if len(alone) != 1:
        if alone:
            where = f"stands {len(alone)} times in the text, so its place cannot be told"
        else:
            where = "stands in the text only inside longer words or numbers" if places else "is not in the text"
        raise DocumentError(f"the value {quoted(value)} of {label} {where}; write it as the text does, or give offsets in a JSONL file")
    return Entity(label, *alone[0], value)


def table_delimiter(content: bytes) -> str:
    """What separates the cells where bytes are surely a table, tabs or commas; empty where they may as well be a text.

    Surely: the first line names several columns, one of them as texts are usually called, and the row after it has a cell for each.
    """
    try:
        text = decode(content)
    except DocumentError:
        return ""
    for delimiter in ("\t", ","):
        head, row, *_ = (*islice(separated_rows(io.StringIO(text, newline=""), delimiter), 2), Row(0, []), Row(0, []))
        names = _without_empty_end([cell.strip() for cell in head.cells], 0)
        named = len(names) > 1 and len({*names, ""}) > len(names) and not {*names}.isdisjoint(TEXT_COLUMNS)
        if named and len(_without_empty_end(row.cells, len(names))) == len(names):
            return delimiter
    return ""


def _separated(source: Source) -> Iterator[_Row]:
    """Rows of a file with commas, or tabs where its name ends in .tsv; the head first."""
    path = called(source)
    delimiter = (table_delimiter(source) or ",") if isinstance(source, bytes) else "\t" if Path(path).suffix.lower() == ".tsv" else ","
    names: list[str] = []
    for row in separated_rows(io.StringIO(read_bytes_as_text(source), newline=""), delimiter):
        if not names:
            if row.failure:
                raise DocumentError(f"{path}: line {row.line}, which must name the columns: {row.failure}")
            names = _head(path, row.cells)
            yield _Row(row.line, dict(zip(names, names, strict=True)), {})
        elif row.failure or any(cell.strip() for cell in row.cells):
            cells = _without_empty_end(row.cells, len(names))
            fault = f"the row has {len(cells)} cells, the head {len(names)}; put texts with a {delimiter!r} in quotes"
            wrong = row.failure or (fault if len(cells) != len(names) else "")
            yield _Row(row.line, dict(zip(names, cells, strict=False)), {"": wrong} if wrong else {})


def _excel(path: str | Path, sheet: str) -> Iterator[_Row]:
    """Rows of a sheet; the head first. Cells that a merged one covers, or whose formula nobody calculated, hold nothing, and say why."""
    worksheet = _worksheet(path, sheet)
    formulas = _formulas(path, worksheet.title)
    covered = {
        (row, column): str(area)
        for area in worksheet.merged_cells.ranges
        for row, column in area.cells
        if (row, column) != (area.min_row, area.min_col)
    }
    rows = worksheet.iter_rows()
    head = next(rows, ())
    areas = sorted({covered[cell.row, cell.column] for cell in head if (cell.row, cell.column) in covered})
    if areas:
        raise DocumentError(f"{path}: the head has the merged cells {', '.join(areas)}; unmerge them and name every column")
    names = _head(str(path), [_text(cell.value) for cell in head])
    if names:
        yield _Row(1, dict(zip(names, names, strict=True)), {})
    for cells in rows:
        faults = {
            name: f"the cell {cell.coordinate} of {name} is covered by the merged cells {area}; unmerge them and fill in every row"
            for name, cell in zip(names, cells, strict=False)
            if (area := covered.get((cell.row, cell.column)))
        } | {
            name: f"the cell {cell.coordinate} of {name} has a formula without a result; save the file in Excel, or write values"
            for name, cell in zip(names, cells, strict=False)
            if cell.coordinate in formulas and cell.value is None and cell.data_type != "str"  # as an empty text, which is a result
        }
        faults |= {
            name: f"the cell {cell.coordinate} of {name} holds the error {cell.value}; mend its formula, or write values"
            for name, cell in zip(names, cells, strict=False)
            if cell.data_type == "e"
        }
        beyond = next((cell for cell in cells[len(names) :] if cell.coordinate in formulas or _text(cell.value).strip()), None)
        if beyond is not None:
            faults |= {
                "": f"the cell {beyond.coordinate} holds {quoted(_text(beyond.value), longest=60)}, and row 1 has no name for its column; "
                "name the column, or clear the cell"
            }
        if faults or any(cell.value is not None for cell in cells):
            yield _Row(cells[0].row, {name: _text(cell.value) for name, cell in zip(names, cells, strict=False)}, faults)


def _formulas(path: str | Path, title: str) -> frozenset[str]:
    """Where a sheet of a file that openpyxl has read has formulas, which it does not tell from empty cells where they have no result."""
    with zipfile.ZipFile(path) as parts:
        sheets = [name for name in parts.namelist() if name.startswith("xl/worksheets/")]
        if not any(_FORMULA.search(parts.read(name)) for name in sheets):  # reading the file once more takes long
            return frozenset()
    rows = _workbook(path, formulas=True)[title].iter_rows()
    return frozenset(cell.coordinate for row in rows for cell in row if cell.data_type == "f")


def _worksheet(path: str | Path, sheet: str) -> Any:
    workbook = _workbook(path)
    if sheet and sheet not in workbook.sheetnames:
        raise DocumentError(f"{path} has no sheet {sheet!r}; there are {', '.join(workbook.sheetnames)}")
    return workbook[sheet] if sheet else workbook.worksheets[0]


def _workbook(path: str | Path, *, formulas: bool = False) -> Any:
    """An Excel file with the results of its formulas, or with the formulas instead."""
    try:
        import openpyxl
    except ImportError as error:
        raise DocumentError(
            "reading Excel files needs openpyxl: pip install 'seqgpt-lab[lab]', or save the sheet as CSV in UTF-8"
        ) from error
    try:
        return openpyxl.load_workbook(path, data_only=not formulas)
    except OSError as error:
        raise DocumentError(f"cannot read {path}: {error.strerror or error}; give a file that exists and may be read") from error
    except MemoryError:
        raise
    except Exception as error:  # openpyxl lets out whatever a broken part makes it stumble over: errors of XML, of ZIP, of types
        raise DocumentError(f"{path} is not an Excel file, or a broken one ({error}); save it again as .xlsx or as CSV in UTF-8") from error


def _head(path: str, cells: Sequence[str]) -> list[str]:
    """Column names, without the empty ones at the end."""
    names = _without_empty_end([cell.strip() for cell in cells], 0)
    odd = [name or "(none)" for name in names if not name or names.count(name) > 1]
    if odd:
        called = ", ".join(name or "(none)" for name in names)
        raise DocumentError(f"{path}: the columns are called {quoted(called)}; give each a name of its own")
    return names


def _without_empty_end(cells: Sequence[str], least: int) -> list[str]:
    """The cells up to the last that holds something, and the first `least` in any case: Excel saves columns that were emptied."""
    kept = list(cells)
    while len(kept) > least and not kept[-1].strip():
        kept.pop()
    return kept


def _text(value: object) -> str:
    """A cell as a person sees it: whole numbers without .0, dates without a time of midnight, `_x000D_` as what Excel writes so."""
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)
