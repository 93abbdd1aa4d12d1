"""Sets one document's extraction against its gold, value by value; knows nothing of averages or of why a value is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span


@dataclass(frozen=True, slots=True)
class Answer:
    """A value the model gave for a label."""

    label: str
    span: Span


@dataclass(frozen=True, slots=True)
class Comparison:
    """The asked labels' values of one document: right ones, wrong ones (false positives) and gold ones not given (false negatives)."""

    right: tuple[Answer, ...]
    wrong: tuple[Answer, ...]
    missing: tuple[Entity, ...]


def compare(document: Document, extraction: Extraction, labels: Sequence[str]) -> Comparison:
    """Compare by (label, start, end).

    A gold value marked twice counts once. An answer is right when a gold value of its label has exactly its offsets and no earlier
    answer took it; so a repeated answer and an unaligned one are wrong. Other labels than `labels` are left out of both sides.
    Raises DocumentError when the extraction is of another document or text, LabelError when labels are empty or repeated.
    """
    check_same(document, extraction)
    check_labels(labels)
    # None only so that an unaligned answer can be looked up, and is not found.
    gold: dict[tuple[str, int | None, int | None], Entity] = {
        (entity.label, entity.start, entity.end): entity for entity in reversed(document.gold) if entity.label in labels
    }
    right: list[Answer] = []
    wrong: list[Answer] = []
    for field in asked_fields(extraction, labels):
        for span in field.spans:
            found = gold.pop((field.label, span.start, span.end), None)
            (right if found else wrong).append(Answer(field.label, span))
    return Comparison(tuple(right), tuple(wrong), tuple(sorted(gold.values(), key=lambda entity: (entity.start, entity.end, entity.label))))


def asked_fields(extraction: Extraction, labels: Sequence[str]) -> tuple[Field, ...]:
    """The extraction's fields whose label is among `labels`."""
    return tuple(field for field in extraction.fields if field.label in labels)


def check_same(document: Document, extraction: Extraction) -> None:
    """Raise DocumentError unless the extraction was made from this very document."""
    if extraction.document_id != document.id:
        raise DocumentError(
            f"the extraction of {quoted(extraction.document_id)} was paired with the document {quoted(document.id)}; "
            "keep both in the same order"
        )
    if extraction.text != document.text:
        raise DocumentError(
            f"document {quoted(document.id)} has {len(document.text)} characters but its extraction refers to another text of "
            f"{len(extraction.text)}; offsets must refer to the document's whole text"
        )


def check_labels(labels: Sequence[str]) -> None:
    """Raise LabelError for no labels, for a repeated one, and for one string where a sequence of labels is wanted."""
    if isinstance(labels, str) or not labels:
        raise LabelError(f"labels are {labels!r}; wanted a sequence of at least one label")
    repeated = sorted(label for label, count in Counter(labels).items() if count > 1)
    if repeated:
        raise LabelError(f"the labels {repeated} occur several times; ask each label once")
