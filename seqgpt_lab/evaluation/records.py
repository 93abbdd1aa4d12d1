"""Writes documents and extractions as JSON-ready records and reads them back; knows no file and no score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span


def extraction_record(extraction: Extraction) -> dict[str, Any]:
    """Everything of an extraction but its text, which its document has: id, fields with their spans, raw, truncated, problems."""
    return {
        "id": extraction.document_id,
        "fields": {field.label: [asdict(span) for span in field.spans] for field in extraction.fields},
        "raw": extraction.raw,
        "truncated": extraction.truncated,
        "problems": list(extraction.problems),
    }


def read_extraction(record: Mapping[str, Any], text: str) -> Extraction:
    """The extraction of a record, made from `text`. Raises KeyError, TypeError or ValueError for what is no such record."""
    fields = tuple(Field(label, tuple(Span(**span) for span in spans)) for label, spans in record["fields"].items())
    return Extraction(record["id"], text, fields, record["raw"], record["truncated"], tuple(record["problems"]))


def document_record(document: Document) -> dict[str, Any]:
    """The id, text and gold of a document; its metadata are left out."""
    return {"id": document.id, "text": document.text, "gold": [asdict(entity) for entity in document.gold]}


def read_document(record: Mapping[str, Any]) -> Document:
    """The document of a record. Raises KeyError, TypeError or DocumentError for what is no such record."""
    return Document(record["id"], record["text"], tuple(Entity(**entity) for entity in record["gold"]))
