"""Reads and writes documents as JSON lines, naming every line it cannot use; knows nothing of what a document is for.

A JSON line is `{"id": str, "text": str, "entities": [{"label": str, "start": int, "end": int, "text": str}], "meta": {}}`; only
`text` is required. Offsets count code points, end exclusive. No other keys: an unknown one may be a misspelt `entities`,
and ignoring it would lose the gold silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, NoReturn, TypeVar

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Problem, Reading, cannot_read, decode
from seqgpt_lab.documents.records import json_value
from seqgpt_lab.documents.utf8 import json_line
from seqgpt_lab.errors import DocumentError
from seqgpt_lab.files import write_atomically

_DOCUMENT_KEYS = ("id", "text", "entities", "meta")
_ENTITY_KEYS = ("label", "start", "end", "text")
_JSON_TYPES = {str: "a string", int: "an integer", list: "a list", dict: "an object"}

T = TypeVar("T")


def read_jsonl(source: str | Path | IO[bytes] | IO[str]) -> Reading:
    """Documents of a JSONL file or open stream; a line that breaks the format becomes a Problem and the others are kept.

    UTF-8 with or without a byte order mark; blank lines are skipped; a line without an id is called `line-N`; an integer id
    is taken as its digits. Prefer a binary stream: in a text stream one byte that is not UTF-8 ends the reading.
    Raises DocumentError when the file cannot be opened or a text stream cannot be decoded.
    """
    if not isinstance(source, (str, Path)):
        return _read_lines(source)
    try:
        with open(source, "rb") as stream:
            return _read_lines(stream)
    except OSError as error:
        cannot_read(source, error)


def write_jsonl(path: str | Path, documents: Iterable[Document]) -> None:
    """Write documents as JSON lines, atomically: whatever fails, the old file stays whole and nothing is left beside it.

    Reading the file gives the same ids, texts and gold; lone surrogates are written as escapes. Raises DocumentError for what
    could not be read back: a repeated or empty id, an entity without text, metadata that JSON does not have, or a
    high surrogate right before a low one (JSON joins the two into one character, which moves the offsets).
    """
    content = "".join(_lines(documents))
    try:
        write_atomically(path, content)
    except OSError as error:
        raise DocumentError(f"cannot write {path}: {error.strerror}; check that its folder exists and may be written") from error


def parse_jsonl_line(raw: bytes | str, number: int) -> Document | None:
    """The document on a line, counted from 1, of which it takes its id where it has none of its own; None for a blank line.

    Raises DocumentError for a line that breaks the format.
    """
    line = decode(raw, byte_order_mark=number == 1)
    return _parse(line, default_id=f"line-{number}") if line.strip() else None


def _read_lines(lines: Iterable[bytes | str]) -> Reading:
    documents: list[Document] = []
    problems: list[Problem] = []
    first_line: dict[str, int] = {}
    number = 0
    try:
        for number, raw in enumerate(lines, start=1):
            try:
                document = parse_jsonl_line(raw, number)
                if document is None:
                    continue
                _check_new(document.id, first_line)
            except DocumentError as error:
                problems.append(Problem(number, str(error)))
            else:
                first_line[document.id] = number
                documents.append(document)
    except UnicodeDecodeError as error:
        raise DocumentError(
            f"the text after line {number} is not UTF-8; open the file in binary mode ('rb') to keep its other lines"
        ) from error
    return Reading(tuple(documents), tuple(problems))


def _lines(documents: Iterable[Document]) -> Iterable[str]:
    first_line: dict[str, int] = {}
    for number, document in enumerate(documents, start=1):
        _check_new(document.id, first_line)
        first_line[document.id] = number
        line = _dump(document)
        back = _parse(line, default_id="")
        if (back.id, back.text, back.gold) != (document.id, document.text, document.gold):
            raise DocumentError(
                f"document {quoted(document.id)} would not read back the same: it holds a high surrogate right before a low one, which "
                "JSON joins into one character; join them first, with text.encode('utf-16', 'surrogatepass').decode('utf-16', 'replace')"
            )
        yield line


def _dump(document: Document) -> str:
    record = {
        "id": document.id,
        "text": document.text,
        "entities": [asdict(entity) for entity in document.gold],
        "meta": dict(document.meta),
    }
    try:
        return f"{json_line(record)}\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise DocumentError(
            f"document {quoted(document.id)}: its meta cannot be written as JSON ({error}); use strings, numbers, lists"
        ) from error


def own_document(value: object, default_id: str, where: str = "the record") -> Document:
    """The document that a line's or record's JSON value is. Raises DocumentError for one that breaks the format."""
    record = _object(value, where, _DOCUMENT_KEYS)
    identifier = _optional(record, "id", default_id)
    if isinstance(identifier, int) and not isinstance(identifier, bool):
        identifier = str(identifier)
    if not isinstance(identifier, str) or not identifier:
        raise DocumentError(f"'id' is {_show(identifier)}; it must be a string that is not empty")
    entities = _typed(_optional(record, "entities", []), list, "'entities'")
    gold = tuple(_entity(value, at) for at, value in enumerate(entities))
    return Document(identifier, _required(record, "text", str, ""), gold, _typed(_optional(record, "meta", {}), dict, "'meta'"))


def may_be_own(record: Mapping[str, Any]) -> bool:
    """Whether a record has a text and no keys but those of the format."""
    return "text" in record and record.keys() <= set(_DOCUMENT_KEYS)


def _parse(line: str, default_id: str) -> Document:
    return own_document(_json(line), default_id, "the line")


def _entity(value: object, at: int) -> Entity:
    where = f"entities[{at}]"
    record = _object(value, where, _ENTITY_KEYS)
    of = f" of {where}"
    label, text = _required(record, "label", str, of), _required(record, "text", str, of)
    for key, content in (("label", label), ("text", text)):
        if not content:
            raise DocumentError(f"'{key}'{of} is empty; an entity needs a label and at least one character")
    return Entity(label, _required(record, "start", int, of), _required(record, "end", int, of), text)


def _json(line: str) -> object:
    try:
        return json_value(line, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}; wanted one object a line") from error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _object(value: object, where: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    record = _typed(value, dict, where)
    for key in record:
        if key not in keys:
            advice = "; anything else belongs under 'meta'" if keys is _DOCUMENT_KEYS else ""
            raise DocumentError(f"{where} has the unknown key {quoted(key)}; known are {', '.join(keys)}{advice}")
    return record


def _optional(record: Mapping[str, Any], key: str, default: object) -> object:
    """The value of a key that may be missing or null."""
    value = record.get(key)
    return default if value is None else value


def _required(record: Mapping[str, Any], key: str, wanted: type[T], of: str) -> T:
    if key not in record:
        raise DocumentError(f"'{key}'{of} is missing; it must be {_JSON_TYPES[wanted]}")
    return _typed(record[key], wanted, f"'{key}'{of}")


def _typed(value: object, wanted: type[T], where: str) -> T:
    if not isinstance(value, wanted) or isinstance(value, bool):
        raise DocumentError(f"{where} is {_show(value)}; it must be {_JSON_TYPES[wanted]}")
    return value


def _check_new(identifier: str, first_line: Mapping[str, int]) -> None:
    if identifier in first_line:
        raise DocumentError(f"the id {quoted(identifier)} was already used on line {first_line[identifier]}; every document needs its own")


def _show(value: object) -> str:
    return f"{quoted(value, longest=60)} ({type(value).__name__})"
