"""Reads what Label Studio exports for labelled text: a JSON list (JSON or JSON-MIN). Knows no other format.

Label Studio runs in a browser and counts UTF-16 code units; they are turned into code points here. Where an export carries the
marked text too, it is compared, and offsets that fit in code points already are taken as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.offsets import Unit, in_code_points, recognise
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Reading
from seqgpt_lab.documents.records import integer, read_records, required, typed


def read_label_studio(path: str | Path, text: str = "") -> Reading:
    """The export's documents; a task that cannot be used becomes a Problem.

    text: the key under which tasks hold their text; empty: `text`, or the only text there is. A task that several people labelled is
    refused unless one annotation is marked as ground truth. Raises DocumentError for a file that cannot be read.
    """
    return read_records(path, lambda record, default_id: _document(record, default_id, text))


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """Whether a record can only be Label Studio's."""
    return isinstance(record.get("data"), dict) and ("annotations" in record or "completions" in record)


def _document(record: Mapping[str, Any], default_id: str, key: str) -> Document:
    data = typed(record.get("data", record), dict, "'data'")
    text = _text(data, key)
    results = _results(record) if "annotations" in record else _minimal(record)
    gold = tuple(entity for number, value in enumerate(results, start=1) for entity in _entities(text, value, f"result {number}"))
    return Document(str(record.get("id", default_id)), text, gold, {})


def _text(data: Mapping[str, Any], key: str) -> str:
    texts = {name: value for name, value in data.items() if isinstance(value, str)}
    name = key or ("text" if "text" in texts else next(iter(texts), "") if len(texts) == 1 else "")
    if name not in texts:
        there = quoted(", ".join(sorted(texts)))
        raise ValueError(f"the text is not under {key or 'text'!r}; there are the texts {there}: name one with text=")
    return texts[name]


def _results(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The values of the one annotation that counts."""
    annotations = [one for one in typed(record["annotations"], list, "'annotations'") if not one.get("was_cancelled")]
    truth = [one for one in annotations if one.get("ground_truth")] or annotations
    if len(truth) > 1:
        raise ValueError(f"the task has {len(truth)} annotations; mark one as ground truth, or export one for each task")
    results = typed(truth[0].get("result") or [], list, "'result'") if truth else []
    return [typed(required(one, "value", "a result"), dict, "'value'") for one in results if one.get("type", "labels") == "labels"]


def _minimal(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The values of JSON-MIN: the first list of mappings with a start and an end."""
    lists = [value for value in record.values() if isinstance(value, list) and value and isinstance(value[0], dict) and "start" in value[0]]
    return lists[0] if lists else []


def _entities(text: str, value: Mapping[str, Any], where: str) -> list[Entity]:
    start, end = (integer(required(value, key, where), where) for key in ("start", "end"))
    unit: Unit | None = "UTF-16 code units"
    marked = value.get("text")
    if isinstance(marked, str):
        unit = recognise(text, start, end, marked)
    place = in_code_points(text, start, end, unit) if unit else None
    if place is None:
        told = f", which should read {quoted(marked)}" if isinstance(marked, str) else ""
        raise ValueError(f"{where} is [{start}, {end}){told}, and the text does not fit in code points, UTF-16 code units or bytes")
    labels = typed(required(value, "labels", where), list, f"'labels' of {where}")
    return [Entity(typed(label, str, f"a label of {where}"), *place, text[place[0] : place[1]]) for label in labels]
