"""Reads JSON records, from a list, from lines or from objects of several lines each, and checks their types; knows no format of theirs."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Problem, Reading, Source, decode, is_utf_16, read_bytes, read_bytes_as_text
from seqgpt_lab.errors import DocumentError

T = TypeVar("T")
LINES = (".jsonl", ".ndjson")
Layout = Literal["lines", "list", "objects"]
_BLANKS = re.compile(r"[ \t\n\r]*")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NAMES: dict[type, str] = {str: "a text", list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True)
class Record:
    """What stands for one document, its number and the line on which it begins, both from 1; value: a ValueError says why it is none."""

    number: int
    line: int
    value: object


@dataclass(frozen=True, slots=True)
class Records:
    """The records of a file, to be taken once. layout: one a line, a list of all, or objects that take several lines each."""

    layout: Layout
    each: Iterator[Record]


def read_records(found: Records, parse: Callable[[Mapping[str, Any], str], Document]) -> Reading:
    """Documents of JSON records. parse: given a record and an id for it, raises DocumentError or ValueError.

    A problem's line is the one on which its record begins.
    """
    documents: dict[str, Document] = {}
    problems: list[Problem] = []
    for record in found.each:
        try:
            if isinstance(record.value, ValueError):
                raise record.value
            document = parse(typed(record.value, dict, "the record"), f"record-{record.number}")
            if document.id in documents:
                raise DocumentError(f"the id {quoted(document.id)} was already used; every document needs its own")
            documents[document.id] = document
        except ValueError as error:  # DocumentError is one
            which = "" if found.layout == "lines" else f"record {record.number}: "
            problems.append(Problem(record.line, f"{which}{error}"))
    return Reading(tuple(documents.values()), tuple(problems), "records")


def records(source: Source) -> Records:
    """The records of a JSON list, of JSON lines, or of JSON objects one after another of which the first takes several lines.

    Raises DocumentError for a file that cannot be read, for UTF-16, and for a file, but never for bytes, that begins as no JSON lines do
    and goes on as neither of the others does; not where lines after a broken first one are objects, nor where its name promises lines and
    the first is broken by itself.
    """
    content = read_bytes(source)
    if is_utf_16(content):
        read_bytes_as_text(source)  # raises, once instead of for every line
    layout = _layout(content)
    if layout == "lines":
        return Records(layout, _lines(content))
    try:
        found = list(_within(decode(content), layout))
    except (ValueError, RecursionError) as error:
        if isinstance(source, bytes) or _are_broken_lines(content, layout, error, may_be_lines(source)):
            return Records("lines", _lines(content))
        if isinstance(error, DocumentError):  # not UTF-8, which is no matter of one place
            raise DocumentError(f"{source}: {error}") from error
        wanted = "list" if layout == "list" else "object"
        raise DocumentError(f"{source}: not a JSON {wanted}: {error}; mend it there, or write one object a line") from error
    # Where lines are promised, or nothing is, a list without an object is a line of its own.
    if layout == "list" and may_be_lines(source) and not _has_objects(found):
        return Records("lines", _lines(content))
    return Records(layout, iter(found))


def may_be_lines(source: Source) -> bool:
    """Whether a source is JSON lines by its name, or has none."""
    return isinstance(source, bytes) or Path(source).suffix.lower() in LINES


def json_value(text: str | bytes, **options: Any) -> Any:
    """A JSON text's value; bytes may be in UTF-8, 16 or 32. options: as `json.loads` takes them.

    Raises ValueError, a RepeatedKeyError for an object that has a key twice.
    """
    return json.loads(text, object_pairs_hook=_without_repeats, **options)


class RepeatedKeyError(ValueError):
    """Of an object that has a key twice: whichever value one took, the other would be lost."""


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    record = dict(pairs)
    if len(record) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        repeated = next(key for key, count in counts.items() if count > 1)
        raise RepeatedKeyError(f"the key {quoted(repeated)} occurs twice in one object; keep one of the two")
    return record


_STRICT = json.JSONDecoder(object_pairs_hook=_without_repeats)
_LENIENT = json.JSONDecoder()


def _layout(content: bytes) -> Layout:
    """What the first line says that the content is, if it is JSON."""
    begun = content.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if begun.startswith(b"["):
        return "list"
    if not begun.startswith(b"{"):
        return "lines"
    try:
        json.loads(decode(begun.split(b"\n", 1)[0]))
    except (ValueError, RecursionError):
        return "objects"
    return "lines"


def _within(text: str, layout: Layout) -> Iterator[Record]:
    """The records of a list, or of objects one after another. Raises ValueError where it is none of these."""
    number, line, at = 0, 1, 0
    start = _next(text, 0) + (layout == "list")
    while not _is_over(text, start := _next(text, start), layout, number):
        if layout == "list" and number:
            start = _next(text, start + 1)
        try:
            value, end = _STRICT.raw_decode(text, start)
        except RepeatedKeyError as error:
            value, end = error, _LENIENT.raw_decode(text, start)[1]
        number, line, at = number + 1, line + text.count("\n", at, start), start
        yield Record(number, line, value)
        start = end


def _is_over(text: str, at: int, layout: Layout, number: int) -> bool:
    """Whether the text ends here; what stands between it and its end, or the next of `number` records, is checked. Raises ValueError."""
    if layout == "objects":
        if at < len(text) and text[at] != "{":
            raise json.JSONDecodeError("Expecting an object", text, at)
        return at == len(text)
    if text[at : at + 1] == "]":
        if _next(text, at + 1) < len(text):
            raise json.JSONDecodeError("Extra data", text, _next(text, at + 1))
        return True
    if number and text[at : at + 1] != ",":
        raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    return False


def _next(text: str, at: int) -> int:
    """Where the white space that JSON knows ends."""
    found = _BLANKS.match(text, at)
    return found.end() if found else at


def _lines(content: bytes) -> Iterator[Record]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        try:
            text = decode(line, byte_order_mark=number == 1)
            if text.strip():
                yield Record(number, number, json_value(text))
        except (DocumentError, RepeatedKeyError) as error:
            yield Record(number, number, error)
        except (ValueError, RecursionError) as error:
            yield Record(number, number, ValueError(f"not JSON: {error}; wanted one object a line"))


def _are_broken_lines(content: bytes, layout: Layout, error: Exception, promised: bool) -> bool:
    """Whether content that is not of its layout is lines, the first of which is broken. promised: by the name."""
    if promised:
        return _is_in_first_line(error) or _has_objects(_lines(content))
    # Objects of several lines may hold a whole one on a line, which is indented.
    unindented = b"\n".join(line for line in content.split(b"\n") if line.startswith(b"{"))
    return layout == "objects" and _has_objects(_lines(unindented))


def _is_in_first_line(error: Exception) -> bool:
    """Whether what is no JSON is so in the first line that holds anything."""
    return not isinstance(error, json.JSONDecodeError) or "\n" not in error.doc[: error.pos].strip()


def _has_objects(each: Iterable[Record]) -> bool:
    return any(isinstance(record.value, (dict, RepeatedKeyError)) for record in each)


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
