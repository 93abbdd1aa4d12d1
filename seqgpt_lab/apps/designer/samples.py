"""The sample documents a designer offers, kind by kind with their label sets. Knows no session and no page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqgpt_lab.documents.document import Document
from seqgpt_lab.extraction.labels import LabelSet


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents of one kind with the label set they are usually asked with."""

    name: str
    documents: tuple[Document, ...]
    labels: LabelSet


def sample_collections(
    documents: Sequence[str | Path] = (), kinds: Sequence[str] = (), split: str = "dev", labels: str | Path = ""
) -> list[Collection]:
    """Files of one's own or bundled kinds, found and refused as `find_sources` does.

    A table may lack columns of gold: nothing is scored but what label sets and gold share.
    """
    from seqgpt_lab.studies.sources import find_sources

    return [
        Collection(source.kind, tuple(source.load(complete=False)), LabelSet.load(source.labels))
        for source in find_sources(documents, kinds, split, labels)
    ]
