"""Tells the formats of JSON documents apart by all of their records, and reads them; knows no format itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, Literal

from seqgpt_lab.documents.doccano import is_doccano, may_be_doccano, read_doccano
from seqgpt_lab.documents.jsonl import read_jsonl
from seqgpt_lab.documents.label_studio import is_label_studio, read_label_studio
from seqgpt_lab.documents.reading import Reading, Source, read_bytes
from seqgpt_lab.documents.records import json_list, may_be_lines, numbered

JsonFormat = Literal["jsonl", "doccano", "label-studio"]


def detect_json(source: Source) -> JsonFormat:
    """The format of JSON documents, in a file or in bytes: the one that most records show to be theirs.

    A record without gold shows nothing. Where none shows anything: doccano's if all have keys of its own, else the lab's own for lines
    and Label Studio's for a list and a .json file. Raises DocumentError for a file that cannot be read.
    """
    content = read_bytes(source)
    listed = json_list(source, content)
    shown: Counter[JsonFormat] = Counter()
    objects = perhaps_doccano = 0
    for _, record in numbered(listed, content):
        if isinstance(record, dict):
            objects += 1
            perhaps_doccano += may_be_doccano(record)
            shown.update([kind for kind, shows in _SHOWS.items() if shows(record) and (listed is None or kind != "jsonl")])
    if shown:
        return shown.most_common(1)[0][0]
    if objects and perhaps_doccano == objects:
        return "doccano"
    return "jsonl" if may_be_lines(source) and listed is None else "label-studio"


def holds_json(content: bytes) -> bool:
    """Whether bytes without a name are JSON documents: a list with an object in it, or a line that is a document."""
    listed = json_list(content, content)
    return listed is not None or any(
        isinstance(record, dict) and ("text" in record or any(shows(record) for shows in _SHOWS.values()))
        for _, record in numbered(listed, content)
    )


def read_json(source: Source, kind: JsonFormat, labelled: bool = False) -> Reading:
    """The documents of a file, or of bytes, in one of the formats. Raises DocumentError for a file that cannot be read.

    labelled: what a format can tell that nobody has labelled becomes a Problem.
    """
    if kind == "jsonl":
        return read_jsonl(BytesIO(source) if isinstance(source, bytes) else source)
    return read_doccano(source) if kind == "doccano" else read_label_studio(source, labelled=labelled)


def _is_own(record: Mapping[str, Any]) -> bool:
    entities = record.get("entities")
    return isinstance(entities, list) and any(isinstance(one, dict) and "start" in one and "labels" not in one for one in entities)


_SHOWS: Mapping[JsonFormat, Callable[[Mapping[str, Any]], bool]] = {
    "label-studio": is_label_studio,
    "doccano": is_doccano,
    "jsonl": _is_own,
}
