"""Reads what Label Studio exports for labelled text: a JSON list (JSON or JSON-MIN). Knows no other format.

Label Studio runs in a browser and counts UTF-16 code units; they are turned into code points here. Where an export carries the
marked text too, it is compared, and offsets that fit only in code points, as some programs bring them in, are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.offsets import Unit, in_code_points, recognise
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Reading, Source
from seqgpt_lab.documents.records import identifier, integer, read_records, records, required, typed
from seqgpt_lab.documents.tables import TEXT_COLUMNS

_UNIT: Unit = "UTF-16 code units"
_Value = tuple[str, Mapping[str, Any], bool]
"""Where a result is, its value, and whether its labels are read."""


def read_label_studio(source: Source, text: str = "", labelled: bool = False) -> Reading:
    """The export's documents; a task that cannot be used becomes a Problem. labelled: so does one that nobody has labelled.

    text: the key under which tasks hold their text; empty: the first of the names that tables use too, or the only text there is. A task
    that several people labelled differently is refused unless one annotation is marked as ground truth, and so is one with marks that are
    not read (`hypertextlabels`, say). Predictions and cancelled annotations are no gold; an annotation that marks nothing says that there
    is nothing. Raises DocumentError for a file that cannot be read.
    """
    return read_records(records(source), lambda record, default_id: _document(record, default_id, text, labelled))


def is_label_studio(record: Mapping[str, Any]) -> bool:
    """Whether a record can only be Label Studio's."""
    return (isinstance(record.get("data"), dict) and _annotations_key(record) != "") or any("labels" in mark for _, mark in _marks(record))


def _document(record: Mapping[str, Any], default_id: str, key: str, labelled: bool) -> Document:
    data = typed(record.get("data", record), dict, "'data'")
    text = _text(data, key)
    annotations = _annotations_key(record)
    found = _results(record, annotations) if annotations else _minimal(record)
    if found is None and labelled:
        raise ValueError("nobody has labelled the task, or only with annotations that were cancelled; label it, or leave it out")
    found = found or []
    read = [(where, value) for where, value, is_read in found if is_read]
    places = [(value.get("start"), value.get("end")) for _, value in read]
    for where, value, is_read in found:
        # A choice or a note on a marked place repeats the place; it says nothing of its own that is gold.
        if not is_read and (value.get("start"), value.get("end")) not in places:
            told = quoted(str(value), longest=120)
            raise ValueError(f"{where} marks a place that is not read: {told}; only 'labels' are, so label this place with those")
    gold = tuple(entity for where, value in read for entity in _entities(text, value, where))
    return Document(identifier(record, default_id), text, gold, {})


def _text(data: Mapping[str, Any], key: str) -> str:
    texts = {name: value for name, value in data.items() if isinstance(value, str)}
    usual = [name for name in TEXT_COLUMNS if name in texts] or (list(texts) if len(texts) == 1 else [])
    name = key or next(iter(usual), "")
    if name not in texts:
        wanted, there = key or " or ".join(TEXT_COLUMNS), quoted(", ".join(sorted(texts)))
        raise ValueError(
            f"the text is not under {wanted}; there are the texts {there}: call it so, or name one with read_label_studio(text=)"
        )
    return texts[name]


def _annotations_key(record: Mapping[str, Any]) -> str:
    """Where a task has its annotations, `completions` in old exports; empty where it has none."""
    return next((key for key in ("annotations", "completions") if key in record), "")


def _results(record: Mapping[str, Any], key: str) -> list[_Value] | None:
    """The values, those with a place in the text, of the one annotation that counts, or of several that say the same; None without any."""
    annotations = [typed(one, dict, f"{key}[{at}]") for at, one in enumerate(typed(record[key], list, f"'{key}'"))]
    annotations = [one for one in annotations if not one.get("was_cancelled")]
    counting = [one for one in annotations if one.get("ground_truth")] or annotations
    found = [_values(one) for one in counting]
    if any(_said(other) != _said(found[0]) for other in found[1:]):
        raise ValueError(f"the task has {len(found)} annotations that differ; mark one as ground truth, or export one for each task")
    return found[0] if found else None


def _values(annotation: Mapping[str, Any]) -> list[_Value]:
    found: list[_Value] = []
    for number, one in enumerate(typed(annotation.get("result") or [], list, "'result'"), start=1):
        where, kind = f"result {number}", typed(one, dict, f"result {number}").get("type", "labels")
        if kind == "labels":
            found.append((where, typed(required(one, "value", where), dict, f"'value' of {where}"), True))
        elif isinstance(one.get("value"), dict) and _is_mark(one["value"]):
            found.append((f"{where} of type {kind!r}", one["value"], False))
    return found


def _said(values: list[_Value]) -> list[str]:
    """What an annotation marks, in an order that does not depend on when it was marked."""
    return sorted(repr((is_read, value.get("start"), value.get("end"), value.get("labels"))) for _, value, is_read in values)


def _minimal(record: Mapping[str, Any]) -> list[_Value] | None:
    """The values of JSON-MIN, which has a list of marks for every control of the labelling page; None where it has no annotation."""
    found = [(where, mark, "labels" in mark) for where, mark in _marks(record)]
    # A task as it was imported has its text under `data`; JSON-MIN gives one that nobody labelled the annotation_id null.
    unlabelled = "data" in record or record.get("annotation_id", "") is None
    return None if unlabelled and not found else found


def _marks(record: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where and what every mapping with a start is, of those that a record's keys hold."""
    for key, content in record.items():
        for number, value in enumerate(content if isinstance(content, list) else [content], start=1):
            if isinstance(value, dict) and _is_mark(value):
                yield f"result {number} of {key!r}", value


def _is_mark(value: Mapping[str, Any]) -> bool:
    return any(key in value for key in ("start", "start_offset", "startOffset"))


def _entities(text: str, value: Mapping[str, Any], where: str) -> list[Entity]:
    start, end = (integer(required(value, key, where), where) for key in ("start", "end"))
    unit: Unit | None = _UNIT
    marked = value.get("text")
    if isinstance(marked, str):
        unit = recognise(text, start, end, marked, likeliest=_UNIT)
    place = in_code_points(text, start, end, unit) if unit else None
    if place is None:
        told = f", which should read {quoted(marked)}" if isinstance(marked, str) else ""
        raise ValueError(f"{where} is [{start}, {end}){told}, and the text does not fit in code points, UTF-16 code units or bytes")
    labels = typed(required(value, "labels", where), list, f"'labels' of {where}")
    return [Entity(typed(label, str, f"a label of {where}"), *place, text[place[0] : place[1]]) for label in labels]
