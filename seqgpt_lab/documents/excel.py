"""Reads the rows of a sheet of an Excel file, and names every cell that does not hold what a person sees there. Knows no document."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal
from pathlib import Path
from typing import Any

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.rows import TableRow, head_names
from seqgpt_lab.errors import DocumentError

EXCEL = (".xlsx", ".xlsm")
_FORMULA = re.compile(rb"<(?:\w+:)?f[ />]")
# How Excel writes characters that XML lacks or changes (ECMA-376, ST_Xstring), a carriage return mostly; openpyxl leaves them as they are.
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
# What says no more than which digits of a number are shown: 0.00, 13%, #,##0, 000000.
_NUMBER_FORMAT = re.compile(r"(?P<commas>#,##)?(?P<whole>0+)(?:\.(?P<decimals>0+))?(?P<percent>%?)")
_PADDING = re.compile("_.")
_ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)  # for the longest numbers that Excel has


@dataclass(frozen=True, slots=True)
class Sheet:
    """The rows of a sheet, the head first, to be taken once. others: the names of visible sheets that hold something too."""

    rows: Iterator[TableRow]
    others: tuple[str, ...]


def read_sheet(path: str | Path, sheet: str) -> Sheet:
    """A sheet of a file; sheet: its name, empty: the first. Raises DocumentError for a file that cannot be read, or has no such sheet."""
    sheets = {one.title: one for one in _workbook(path).worksheets}  # those of charts have no cells
    if not sheets:
        raise DocumentError(f"{path} has no sheet with cells, only charts; give the file that they were drawn from")
    if sheet and sheet not in sheets:
        raise DocumentError(f"{path} has no sheet {sheet!r} with cells; there are {quoted(', '.join(sheets))}")
    chosen = sheets[sheet] if sheet else next(iter(sheets.values()))
    # Hidden ones hold what lists of choices are made of.
    visible = [one for one in sheets.values() if one is not chosen and one.sheet_state == "visible"]
    others = tuple(one.title for one in visible if any(cell is not None for row in one.iter_rows(values_only=True) for cell in row))
    return Sheet(_rows(path, chosen), others)


def _rows(path: str | Path, worksheet: Any) -> Iterator[TableRow]:
    """Cells that a merged one covers, or whose formula nobody calculated, hold nothing, and say why."""
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
    names = head_names(str(path), [_text(cell) for cell in head])
    if names:
        yield TableRow(1, dict(zip(names, names, strict=True)), {})
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
        errors = {
            name: f"the cell {cell.coordinate} of {name} holds the error {cell.value}; mend its formula, or write values"
            for name, cell in zip(names, cells, strict=False)
            if cell.data_type == "e"
        }
        beyond = next((cell for cell in cells[len(names) :] if cell.coordinate in formulas or _text(cell).strip()), None)
        if beyond is not None:
            faults |= {
                "": f"the cell {beyond.coordinate} holds {quoted(_text(beyond), longest=60)}, and row 1 has no name for its column; "
                "name the column, or clear the cell"
            }
        if faults or any(cell.value is not None for cell in cells):
            yield TableRow(cells[0].row, {name: _text(cell) for name, cell in zip(names, cells, strict=False)}, faults, errors)


def _formulas(path: str | Path, title: str) -> frozenset[str]:
    """Where a sheet of a file that openpyxl has read has formulas, which it does not tell from empty cells where they have no result."""
    with zipfile.ZipFile(path) as parts:
        sheets = [name for name in parts.namelist() if name.startswith("xl/worksheets/")]
        if not any(_FORMULA.search(parts.read(name)) for name in sheets):  # reading the file once more takes long
            return frozenset()
    rows = _workbook(path, formulas=True)[title].iter_rows()
    return frozenset(cell.coordinate for row in rows for cell in row if cell.data_type == "f")


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


def _text(cell: Any) -> str:
    """A cell as a person sees it: TRUE, numbers as `_number`, dates without a time of midnight, hours beyond a day, `_x000D_` as what Excel
    writes so."""
    value = cell.value
    if isinstance(value, str):
        return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        minutes, seconds = divmod(round(abs(value).total_seconds()), 60)
        return f"{'-' if value < datetime.timedelta() else ''}{minutes // 60}:{minutes % 60:02}:{seconds:02}"
    if isinstance(value, int | float):
        return _number(value, _format(cell))
    return "" if value is None else str(value)


def _format(cell: Any) -> str:
    try:
        return str(cell.number_format)
    except IndexError:  # the file has lost the format that it names, and with it no number
        return ""


def _number(value: int | float, shown: str) -> str:
    """A number in the 15 digits that Excel shows at most, without .0; with decimals, leading zeros, commas and % where its format says so.

    shown: the format, whose other parts (currencies, words, a form of its own for negative numbers) are left out with all of it.
    """
    number = Decimal(value if isinstance(value, int) else f"{value:.15g}") or Decimal(0)  # 0 has no sign
    positive, _, negative = shown.partition(";")
    found = _NUMBER_FORMAT.fullmatch(_PADDING.sub("", positive))
    if not found or not number.is_finite() or (negative and number < 0):
        return format(number, "f")
    decimals, percent = found["decimals"] or "", found["percent"]
    rounded = _ROUNDING.quantize(number.scaleb(2, _ROUNDING) if percent else number, Decimal(1).scaleb(-len(decimals)))
    width = len(found["whole"]) + len(decimals) + (decimals != "") + rounded.is_signed()
    return f"{rounded:0{width}{',' if found['commas'] else ''}f}{percent}"
