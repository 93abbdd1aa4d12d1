"""Runs an extractor over gold documents and scores what comes back; knows neither the extractor's workings nor any report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.evaluation.comparison import check_labels
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.mistakes import Mistake, classify
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.progress import Progress


class NamesLabels(Protocol):
    """A label set, as far as scoring cares."""

    @property
    def names(self) -> tuple[str, ...]:
        """The fields' names in the user's order; gold entities carry the same names."""
        ...


Labels = TypeVar("Labels", bound=NamesLabels)
LabelsWanted = TypeVar("LabelsWanted", bound=NamesLabels, contravariant=True)


class Extracts(Protocol[LabelsWanted]):
    """Whatever gives one extraction a document, in the same order, with fields called as in the label set."""

    def extract(self, documents: Sequence[Document], labels: LabelsWanted, /, *, progress: Progress | None = None) -> list[Extraction]: ...


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Scores with everything they were computed from; extractions[i] was made from documents[i]."""

    scores: Scores
    extractions: tuple[Extraction, ...]
    mistakes: tuple[Mistake, ...]
    documents: tuple[Document, ...]


def evaluate(extractor: Extracts[Labels], documents: Sequence[Document], label_set: Labels, progress: Progress | None = None) -> Evaluation:
    """Extract every document with `label_set` and score the results against its gold.

    progress: handed to the extractor. Raises DocumentError without documents (a perfect score of nothing would mislead), for
    repeated ids, and when the extractor returns other documents than it was given; LabelError for empty or repeated labels, and for what
    is no label set.
    """
    if not hasattr(label_set, "names"):
        raise LabelError(f"labels are {label_set!r}; results are scored by the names of a label set: give LabelSet.of({label_set!r})")
    check_labels(label_set.names)
    _check_documents(documents)
    return score(documents, extractor.extract(documents, label_set, progress=progress), label_set.names)


def score(documents: Sequence[Document], extractions: Sequence[Extraction], labels: Sequence[str]) -> Evaluation:
    """Score extractions, the i-th made from the i-th document, on these fields. Raises as `evaluate` does."""
    _check_documents(documents)
    if len(extractions) != len(documents):
        raise DocumentError(
            f"the extractor returned {len(extractions)} extractions for {len(documents)} documents; it must return one each"
        )
    pairs = list(zip(documents, extractions, strict=True))
    return Evaluation(
        scores=Scores.from_pairs(pairs, labels),
        extractions=tuple(extractions),
        mistakes=tuple(mistake for pair in pairs for mistake in classify(*pair, labels)),
        documents=tuple(documents),
    )


def _check_documents(documents: Sequence[Document]) -> None:
    if not documents:
        raise DocumentError("there are no documents to evaluate; give at least one with gold entities")
    met: set[str] = set()
    for document in documents:
        if document.id in met:
            raise DocumentError(
                f"several documents have the id {quoted(document.id)}; give every document its own, or its mistakes cannot be told apart"
            )
        met.add(document.id)
