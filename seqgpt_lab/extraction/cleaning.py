"""An extractor that reads texts after preprocessing and gives values with their places in the original text. Knows no scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.preprocess import Cleaned, check_steps, clean
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.progress import Progress

UNMAPPED_PROBLEM = "unmapped:"


class CleaningExtractor:
    """Extracts as `extractor` does, from texts after `steps`. Raises OptionError for unknown steps."""

    def __init__(self, extractor: Extractor, steps: Sequence[str]) -> None:
        check_steps(steps)
        self.extractor, self.steps = extractor, tuple(steps)

    def extract(
        self, documents: Sequence[Document], labels: str | Sequence[str] | LabelSet, *, progress: Progress | None = None
    ) -> list[Extraction]:
        """One extraction a document, in its order, of the document's original text."""
        cleaned = [clean(document.text, self.steps) for document in documents]
        readable = [Document(document.id, one.text) for document, one in zip(documents, cleaned, strict=True)]
        extractions = self.extractor.extract(readable, labels, progress=progress)
        return [restored(extraction, one) for extraction, one in zip(extractions, cleaned, strict=True)]


def restored(extraction: Extraction, cleaned: Cleaned) -> Extraction:
    """An extraction from `cleaned.text` as one of `cleaned.original`.

    A value is what stands in the original at its place; `approximate` where the model wrote it otherwise. A value that stands for
    nothing in the original is `unaligned`, and a problem says so. Places that problems name are those of the original too.
    """
    recounted = {str(told): told.recounted(cleaned.original_offset) for told in extraction.told}
    problems = [str(recounted.get(problem, problem)) for problem in extraction.problems]
    fields = []
    for field in extraction.fields:
        spans = [_restored(span, cleaned) for span in field.spans]
        lost = [span.text for span, before in zip(spans, field.spans, strict=True) if span.match == "unaligned" != before.match]
        problems += [f"{UNMAPPED_PROBLEM} {quoted(value)} stands for nothing in the text before preprocessing" for value in lost]
        fields.append(Field(field.label, tuple(spans)))
    return replace(extraction, text=cleaned.original, fields=tuple(fields), problems=tuple(problems), told=tuple(recounted.values()))


def _restored(span: Span, cleaned: Cleaned) -> Span:
    if span.start is None or span.end is None:
        return span
    place = cleaned.original_range(span.start, span.end)
    if place is None:
        return Span(span.text, None, None, span.confidence, "unaligned")
    text = cleaned.original[slice(*place)]
    return Span(text, *place, span.confidence, span.match if text == span.text else "approximate")
