"""Reads the rows of one file of a job, text, JSONL, CSV or Parquet; what cannot be read is a row with its reason. Bounded memory."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO

from seqgpt_lab.documents.jsonl import parse_jsonl_line
from seqgpt_lab.documents.separated import Row, separated_rows
from seqgpt_lab.documents.walk import check_plain
from seqgpt_lab.errors import DocumentError

LARGEST_ROW = 64 * 2**20
"""Bytes of the longest line or cell that is read; a longer one is a failure instead of a machine without memory."""

_READ = 2**20
_PARQUET_ROWS = 256


@dataclass(frozen=True, slots=True)
class Found:
    """A row: a text, or why there is none. key: what it is called without an id. note: what is to be told of a text that was read.

    at: the place in the file where it ends, in bytes.
    """

    id: str | None
    key: str
    text: str | None
    failure: str = ""
    note: str = ""
    at: int = 0


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns of tables are called, and how text files are encoded (empty: UTF-8, else GB18030 where all of it is that)."""

    text: str = "text"
    id: str = "id"
    encoding: str = ""


def read_file(file: Path, name: str, columns: Columns, unread: str) -> Iterator[Found]:
    """The rows of one file; whatever stops the reading is the last row.

    name: the file's below the job's folder, empty for one that is given by itself. unread: why a folder in its place could not be looked
    into, empty for a file.
    """
    suffix = file.suffix.lower()
    try:
        if unread:
            yield _failed(file, name, f"cannot read the folder: {unread}")
            return
        check_plain(file)
        if suffix in (".jsonl", ".ndjson"):
            yield from _read_jsonl(file)
        elif suffix in (".csv", ".tsv"):
            yield from _read_csv(file, columns, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".parquet":
            yield from _read_parquet(file, columns)
        elif suffix == ".txt":
            yield _read_text(file, columns)
        else:
            yield _failed(file, name, f"cannot read {suffix or 'a file without a suffix'}; wanted txt, jsonl, csv, parquet")
    except OSError as error:
        yield _failed(file, name, f"cannot read the file: {error.strerror or error}")
    except (DocumentError, UnicodeError) as error:
        yield _failed(file, name, f"cannot read it: {error}")


def _failed(file: Path, name: str, why: str) -> Found:
    """The row of a file, or of a folder in its place, from which nothing can be read, or nothing more."""
    return Found(None, "" if name else file.name, None, why)


def _read_text(file: Path, columns: Columns) -> Found:
    encoding, note = _encoding(file, columns)
    if size_of(file) > LARGEST_ROW:
        raise DocumentError(f"the file has {size_of(file):,} bytes, the most is {LARGEST_ROW:,}; split it")
    with open(file, encoding=encoding, newline="") as stream:
        text = stream.read()
    return Found(None, "", text.removesuffix("\n").removesuffix("\r"), note=note, at=size_of(file))


def _read_jsonl(file: Path) -> Iterator[Found]:
    with open(file, "rb") as stream:
        for number, line in enumerate(_bounded_lines(stream), start=1):
            key = f"line-{number}"
            try:
                if line is None:
                    raise DocumentError(f"the line has more than {LARGEST_ROW:,} bytes; split its text")
                document = parse_jsonl_line(line, number)
            except DocumentError as error:
                yield Found(None, key, None, str(error), at=stream.tell())
            else:
                if document is not None:
                    given = None if document.id == key else document.id
                    yield Found(given, key, document.text, at=stream.tell())


def _bounded_lines(stream: IO[bytes]) -> Iterator[bytes | None]:
    """Lines of a file; None for one that is too long, which is skipped without being held."""
    while line := stream.readline(LARGEST_ROW):
        yield line if line.endswith(b"\n") or len(line) < LARGEST_ROW else None
        while not line.endswith(b"\n") and (line := stream.readline(LARGEST_ROW)):
            pass


def _read_csv(file: Path, columns: Columns, delimiter: str) -> Iterator[Found]:
    encoding, note = _encoding(file, columns)
    with open(file, "rb") as content, TextIOWrapper(content, encoding, newline="") as stream:
        rows = separated_rows(stream, delimiter, LARGEST_ROW)
        head = next(rows, Row(1, []))
        names = head.cells
        if head.failure:
            raise DocumentError(f"line {head.line}: {head.failure}")
        _check_columns(names, columns)
        for number, row in enumerate(rows, start=1):
            cells = dict(zip(names, row.cells, strict=False))
            text, failure = cells.get(columns.text), f"line {row.line}: {row.failure}" if row.failure else ""
            if len(row.cells) > len(names):
                text, failure = None, f"the row has more cells than the {len(names)} of the header; put texts with commas into quotes"
            elif text is None and not failure:
                failure = f"the row has no cell for {columns.text!r}; the header has {len(names)} columns"
            yield Found(cells.get(columns.id) or None, f"row-{number}", text, failure, note, content.tell())


def _read_parquet(file: Path, columns: Columns) -> Iterator[Found]:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(file) as table:
            names = table.schema_arrow.names
            _check_columns(names, columns)
            wanted = [name for name in (columns.id, columns.text) if name in names]
            rows, size, number = max(1, table.metadata.num_rows), size_of(file), 0
            for batch in table.iter_batches(batch_size=_PARQUET_ROWS, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    text, given = row[columns.text], row.get(columns.id)
                    failure = "" if isinstance(text, str) else f"{columns.text!r} is {type(text).__name__}, not a text"
                    identifier = None if given is None else str(given)
                    yield Found(identifier, f"row-{number}", None if failure else text, failure, at=size * number // rows)
    except pyarrow.ArrowException as error:
        raise DocumentError(f"this is no Parquet file that can be read ({error})") from error


def _check_columns(names: Sequence[str], columns: Columns) -> None:
    """Raise DocumentError where the head of a table lacks the column of texts, or has two that are called like one of those to read."""
    if columns.text not in names:
        raise DocumentError(f"there is no column {columns.text!r}, only {names}; name the column of texts with --text-column")
    for name in (columns.text, columns.id):
        if names.count(name) > 1:
            raise DocumentError(f"there are {names.count(name)} columns {name!r} in {names}; give each a name of its own")


def _encoding(file: Path, columns: Columns) -> tuple[str, str]:
    """The encoding of a text file, and what to tell of it. Raises DocumentError where all of it is neither UTF-8 nor GB18030."""
    if columns.encoding:
        named = codecs.lookup(columns.encoding).name
        return "utf-8-sig" if named == "utf-8" else named, ""  # Excel begins its UTF-8 with a mark, which is no part of the text
    if _decodes(file, "utf-8"):
        return "utf-8-sig", ""
    if _decodes(file, "gb18030"):
        return "gb18030", "encoding: the file is not UTF-8 and was read as GB18030 (GBK); name another with --encoding"
    raise DocumentError("the file is neither UTF-8 nor GB18030 (GBK); name its encoding with --encoding")


def _decodes(file: Path, encoding: str) -> bool:
    """Whether all of a file is in this encoding, read piece by piece."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with open(file, "rb") as stream:
            for piece in _pieces(stream):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _pieces(stream: IO[bytes]) -> Iterable[bytes]:
    return iter(lambda: stream.read(_READ), b"")


def size_of(file: Path) -> int:
    """In bytes; 0 for what is not there, as a link to nothing: told when its turn comes."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
