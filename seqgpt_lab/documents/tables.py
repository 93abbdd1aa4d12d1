"""Reads documents from the rows of CSV, TSV and Excel files: a column of texts, others as gold values or metadata."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.excel import EXCEL, read_sheet
from seqgpt_lab.documents.places import occurrences, stands_alone
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Problem, Reading, Source, called, decode, read_bytes_as_text
from seqgpt_lab.documents.rows import TableRow, head_names, without_empty_end
from seqgpt_lab.documents.separated import Row, separated_rows
from seqgpt_lab.errors import DocumentError

TEXT_COLUMNS = ("text", "文本", "内容", "正文", "content")
ID_COLUMNS = ("id", "编号", "ID")
_SEVERAL = "|"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns to read. text, id: their names; empty: the first there is of the usual ones. labels: columns of gold values, each
    cell's values separated by `|`; perhaps: the same, where they exist. Every other column becomes metadata.
    """

    text: str = ""
    id: str = ""
    labels: tuple[str, ...] = ()
    perhaps: tuple[str, ...] = ()


def read_table(source: Source, columns: Columns | None = None, sheet: str = "") -> Reading:
    """One document a row, named by its id column or `row-N`. source: bytes are those of a CSV or TSV file. sheet: of an Excel file; empty:
    the first, and a note names others that hold something.

    A gold value is looked for in its row's text and must stand there exactly once as a word of its own: places inside a longer word or
    number do not count. Rows that cannot be used become Problems: an empty text, a cell that belongs to merged cells, has a formula
    without a result or stands in a column without a name (named), an error such as #N/A where a text, id or gold value belongs, a value
    that is not in the text. Raises DocumentError for a file that
    cannot be read, a head with a stray quote, a sheet or column that does not exist, repeated column names and merged cells in the head.
    """
    columns = columns or Columns()
    notes: list[str] = []
    if isinstance(source, bytes) or Path(source).suffix.lower() not in EXCEL:
        rows = _separated(source)
    else:
        found = read_sheet(source, sheet)
        rows = found.rows
        if found.others and not sheet:
            others = quoted(", ".join(found.others), longest=200)
            notes.append(f"only the first sheet is read; the others that hold something are {others}: save each as a file of its own")
    head = next(rows, None)
    if head is None or not head.cells:
        what = "is empty; its first row" if head is None else "has an empty first row; it"
        raise DocumentError(f"{called(source)} {what} must name the columns, one of them {' or '.join(TEXT_COLUMNS)}")
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
    return Reading(tuple(documents.values()), tuple(problems), "rows", tuple(notes))


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


def _document(row: TableRow, columns: Columns) -> Document:
    read = (columns.text, columns.id, *columns.labels)
    wrong = dict(row.faults) | {name: row.errors[name] for name in read if name in row.errors}
    for name in (*read, *wrong):
        if name in wrong:
            raise DocumentError(wrong[name])
    text = row.cells.get(columns.text, "")
    if not text.strip():
        raise DocumentError(f"the cell of {columns.text} is empty; a document needs a text")
    identifier = row.cells.get(columns.id, "") or f"row-{row.number}"
    gold = tuple(_entity(text, label, value) for label in columns.labels for value in _values(row.cells.get(label, "")))
    return Document(identifier, text, gold, {name: cell for name, cell in row.cells.items() if name not in read and cell})


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


@dataclass(frozen=True, slots=True)
class TableHead:
    """What the first line of bytes shows of the table that they may be. delimiter: between its cells; sure: whether the next row has a
    cell for each column, without which the bytes may as well be a text.
    """

    delimiter: str
    sure: bool


def table_head(content: bytes) -> TableHead | None:
    """The head of a table with tabs or commas, which names several columns, one of them as texts are usually called; None without one."""
    try:
        text = decode(content)
    except DocumentError:
        return None
    for delimiter in ("\t", ","):
        head, row, *_ = (*islice(separated_rows(io.StringIO(text, newline=""), delimiter), 2), Row(0, []), Row(0, []))
        names = without_empty_end([cell.strip() for cell in head.cells], 0)
        if len(names) > 1 and len({*names, ""}) > len(names) and not {*names}.isdisjoint(TEXT_COLUMNS):
            return TableHead(delimiter, len(without_empty_end(row.cells, len(names))) == len(names))
    return None


def _separated(source: Source) -> Iterator[TableRow]:
    """Rows of a file with commas, or tabs where its name ends in .tsv; the head first."""
    path = called(source)
    if isinstance(source, bytes):
        found = table_head(source)
        delimiter = found.delimiter if found else ","
    else:
        delimiter = "\t" if Path(path).suffix.lower() == ".tsv" else ","
    names: list[str] = []
    for row in separated_rows(io.StringIO(read_bytes_as_text(source), newline=""), delimiter):
        if not names:
            if row.failure:
                raise DocumentError(f"{path}: line {row.line}, which must name the columns: {row.failure}")
            names = head_names(path, row.cells)
            yield TableRow(row.line, dict(zip(names, names, strict=True)), {})
        elif row.failure or any(cell.strip() for cell in row.cells):
            cells = without_empty_end(row.cells, len(names))
            fault = f"the row has {len(cells)} cells, the head {len(names)}; put texts with a {delimiter!r} in quotes"
            wrong = row.failure or (fault if len(cells) != len(names) else "")
            yield TableRow(row.line, dict(zip(names, cells, strict=False)), {"": wrong} if wrong else {})
