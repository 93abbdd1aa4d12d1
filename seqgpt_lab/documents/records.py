"""Reads the JSON records of other programs' exports, a list or a line each, and checks their types; knows no format of theirs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Problem, Reading, Source, decode, read_bytes
from seqgpt_lab.errors import DocumentError

T = TypeVar("T")
LINES = (".jsonl", ".ndjson")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}


def read_records(source: Source, parse: Callable[[Mapping[str, Any], str], Document]) -> Reading:
    """Documents of a JSON list or of JSON lines. parse: given a record and an id for it, raises DocumentError or ValueError.

    A problem's line is the record's, in a list its number from 1. Raises DocumentError for a file that cannot be read.
    """
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for number, record in records(source):
        try:
            if isinstance(record, ValueError):
                raise record
            document = parse(typed(record, dict, "the record"), f"record-{number}")
            if document.id in documents:
                raise DocumentError(f"the id {quoted(document.id)} was already used; every document needs its own")
            documents[document.id] = document
        except ValueError as error:  # DocumentError is one
            problems.append(Problem(number, str(error)))
    return Reading(tuple(documents.values()), tuple(problems), "records")


def records(source: Source) -> Iterator[tuple[int, object]]:
    """Number and record, or the ValueError in its place, of a JSON list or of JSON lines.

    Raises DocumentError for a file that cannot be read, and for one that begins a list and is none, unless its name promises lines.
    """
    content = read_bytes(source)
    return numbered(json_list(source, content), content)


def numbered(listed: list[object] | None, content: bytes) -> Iterator[tuple[int, object]]:
    """As `records`, of content of which `json_list` has told what it is."""
    return _lines(content) if listed is None else enumerate(listed, start=1)


def json_list(source: Source, content: bytes) -> list[object] | None:
    """The list that a source's content is as a whole; None where it is lines. Raises DocumentError as `records` does.

    Where lines are promised, or nothing is, a list without an object is a line of its own.
    """
    if not content.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"["):
        return None
    try:
        found: list[object] = json.loads(decode(content))
    except (ValueError, RecursionError) as error:
        if isinstance(source, bytes) or may_be_lines(source):
            return None
        raise DocumentError(f"{source}: not a JSON list: {error}") from error
    return None if may_be_lines(source) and not any(isinstance(record, dict) for record in found) else found


def may_be_lines(source: Source) -> bool:
    """Whether a source is JSON lines by its name, or has none."""
    return isinstance(source, bytes) or Path(source).suffix.lower() in LINES


def _lines(content: bytes) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            text = decode(line, byte_order_mark=number == 1)
            if text.strip():
                yield number, json.loads(text)
        except DocumentError as error:
            yield number, error
        except (ValueError, RecursionError) as error:
            yield number, ValueError(f"not JSON: {error}; wanted one object a line")


def typed(value: object, wanted: type[T], where: str) -> T:
    """The value, if it is of that type; raises DocumentError."""
    if not isinstance(value, wanted):
        raise DocumentError(f"{where} is {quoted(value, longest=60)}; it must be {_NAMES[wanted]}")
    return value


def integer(value: object, where: str) -> int:
    """The value, if it is a whole number; raises DocumentError."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise DocumentError(f"{where} has the offset {quoted(value, longest=60)}; it must be a whole number")
    return value


def identifier(record: Mapping[str, Any], default: str) -> str:
    """A record's id as text; the default where it has none, which some exports write as null."""
    found = record.get("id")
    return default if found is None else str(found)


def required(record: Mapping[str, Any], key: str, where: str) -> Any:
    """What a key holds; raises DocumentError where it is missing."""
    if key not in record:
        raise DocumentError(f"{where} has no {key!r}; there are {quoted(', '.join(record)) if record else 'no keys'}")
    return record[key]
