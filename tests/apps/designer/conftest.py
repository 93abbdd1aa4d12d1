"""A stand-in for an extractor that finds known values, with sessions over it, so that pages are tested without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from seqgpt_lab.apps.designer.design import Design
from seqgpt_lab.apps.designer.samples import Collection
from seqgpt_lab.apps.designer.session import Session
from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.extraction.drafts import drafts_of
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.progress import Progress

KNOWN = {"姓名": "张伟", "年龄": "35岁", "公司": "云智科技"}
TEXT = "张伟，35岁，现任云智科技工程师"


@dataclass
class KnownValues:
    """Finds the values above by the phrase asked; keeps how many documents came at once and what raised."""

    asked: list[int] = field(default_factory=list)
    raises: Exception | None = None

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        if self.raises:
            raise self.raises
        self.asked.append(len(documents))
        if progress:
            progress(len(documents), len(documents))
        return [self._extraction(document, labels) for document in documents]

    def _extraction(self, document: Document, labels: LabelSet) -> Extraction:
        fields = []
        for label in labels.labels:
            value = KNOWN.get(label.phrase, "")
            start = document.text.find(value) if value else -1
            fields.append(Field(label.field, (Span(value, start, start + len(value), 0.9),) if start >= 0 else ()))
        return Extraction(document.id, document.text, tuple(fields), raw="raw <b>answer</b>")


def sample(number: int) -> Document:
    text = f"{number}号：{TEXT}"
    gold = [(label, value) for label, value in KNOWN.items()]
    return Document(
        f"s{number}", text, tuple(Entity(label, text.index(value), text.index(value) + len(value), value) for label, value in gold)
    )


@pytest.fixture
def extractor() -> KnownValues:
    return KnownValues()


@pytest.fixture
def session(extractor: KnownValues) -> Session:
    samples = Collection("resume", tuple(sample(number) for number in range(20)), LabelSet.of("姓名,年龄,公司"))
    return Session(extractor, [samples, Collection("empty", (), LabelSet.of("姓名"))], Design(TEXT, drafts_of("姓名,年龄")))
