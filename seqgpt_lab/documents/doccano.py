"""Reads what doccano exports for sequence labelling: JSON lines or one JSON list. Knows no other format.

A record is `{"text", "label" or "labels": [[start, end, label], …]}` or `{"text", "entities": [{"label", "start_offset",
"end_offset"}, …]}`; offsets are code points, end exclusive. Everything else of a record (comments, relations) becomes metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Reading, Source
from seqgpt_lab.documents.records import identifier, integer, read_records, records, required, typed

_SPANS = ("label", "labels", "entities")
_READ = {"id", "text", "data", *_SPANS}


def read_doccano(source: Source) -> Reading:
    """The export's documents; a record that cannot be used becomes a Problem. Raises DocumentError for a file that cannot be read."""
    return read_records(records(source), _document)


def is_doccano(record: Mapping[str, Any]) -> bool:
    """Whether a record has a span that only doccano writes."""
    return any(isinstance(span, list) or (isinstance(span, dict) and "start_offset" in span) for span in _spans(record))


def may_be_doccano(record: Mapping[str, Any]) -> bool:
    """Whether a record looks like doccano's though no span shows it: keys of its own, and nothing labelled."""
    return any(isinstance(record.get(key), list) for key in ("label", "labels", "relations"))


def _spans(record: Mapping[str, Any]) -> list[object]:
    return [span for key in _SPANS for span in (record[key] if isinstance(record.get(key), list) else [])]


def _document(record: Mapping[str, Any], default_id: str) -> Document:
    text = typed(record.get("text", record.get("data")), str, "'text'")
    spans = [span for key in _SPANS for span in typed(record.get(key) or [], list, f"'{key}'")]
    gold = tuple(_entity(text, span, f"span {number}") for number, span in enumerate(spans, start=1))
    meta = {key: value for key, value in record.items() if key not in _READ}
    return Document(identifier(record, default_id), text, gold, meta)


def _entity(text: str, span: object, where: str) -> Entity:
    if isinstance(span, dict):
        found = [required(span, key, where) for key in ("start_offset", "end_offset", "label")]
    else:
        found = typed(span, list, where)
    if len(found) != 3:
        raise ValueError(f"{where} is {quoted(span)}; wanted [start, end, label]")
    start, end = integer(found[0], where), integer(found[1], where)
    label = typed(found[2], str, f"the label of {where}")
    if not 0 <= start < end <= len(text):
        raise ValueError(
            f"{where} is [{start}, {end}), the text has {len(text)} characters; offsets must be code points within it, end exclusive"
        )
    return Entity(label, start, end, text[start:end])
