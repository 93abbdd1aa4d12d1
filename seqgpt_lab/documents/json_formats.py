"""Tells the formats of JSON documents apart by all of their records, and reads them; knows no format itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Literal

from seqgpt_lab.documents.doccano import is_doccano, may_be_doccano, read_doccano
from seqgpt_lab.documents.jsonl import may_be_own, own_document, read_jsonl
from seqgpt_lab.documents.label_studio import is_label_studio, read_label_studio
from seqgpt_lab.documents.reading import Reading, Source, is_utf_16
from seqgpt_lab.documents.records import may_be_lines, read_records, records

JsonFormat = Literal["jsonl", "doccano", "label-studio"]


def detect_json(source: Source) -> JsonFormat:
    """The format of JSON documents, in a file or in bytes: the one that most records show to be theirs.

    A record without gold shows nothing. Where none shows anything: doccano's if all have keys of its own, else the lab's own where all
    have no keys but its own, or where the name promises lines, or there is none; else Label Studio's. Raises DocumentError as `records`.
    """
    found = records(source)
    shown: Counter[JsonFormat] = Counter()
    objects = perhaps_doccano = perhaps_own = 0
    for record in found.each:
        if isinstance(record.value, dict):
            objects += 1
            perhaps_doccano += may_be_doccano(record.value)
            perhaps_own += may_be_own(record.value)
            shown.update([kind for kind, shows in _SHOWS.items() if shows(record.value)])
    if shown:
        return shown.most_common(1)[0][0]
    if objects and perhaps_doccano == objects:
        return "doccano"
    own = (objects and perhaps_own == objects) or (may_be_lines(source) and found.layout != "list")
    return "jsonl" if own else "label-studio"


def holds_json(content: bytes) -> bool:
    """Whether bytes without a name are JSON documents: a list with an object in it, or an object, maybe on a line, that is a document."""
    if is_utf_16(content):
        return False
    found = records(content)
    return found.layout == "list" or any(
        isinstance(record.value, dict) and ("text" in record.value or any(shows(record.value) for shows in _SHOWS.values()))
        for record in found.each
    )


def read_json(source: Source, kind: JsonFormat, labelled: bool = False) -> Reading:
    """The documents of a file, or of bytes, in one of the formats. Raises DocumentError as `records` does.

    labelled: what a format can tell that nobody has labelled becomes a Problem.
    """
    if kind == "doccano":
        return read_doccano(source)
    if kind == "label-studio":
        return read_label_studio(source, labelled=labelled)
    found = records(source)
    if found.layout != "lines":
        return read_records(found, own_document)
    return read_jsonl(BytesIO(source) if isinstance(source, bytes) else source)


def _is_own(record: Mapping[str, Any]) -> bool:
    entities = record.get("entities")
    return isinstance(entities, list) and any(isinstance(one, dict) and "start" in one and "labels" not in one for one in entities)


_SHOWS: Mapping[JsonFormat, Callable[[Mapping[str, Any]], bool]] = {
    "label-studio": is_label_studio,
    "doccano": is_doccano,
    "jsonl": _is_own,
}
