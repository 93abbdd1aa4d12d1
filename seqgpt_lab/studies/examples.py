"""Documents with their extractions marked in the text and their mistakes in words, the most mistaken first; scores nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TypeVar

from seqgpt_lab.documents.document import Document
from seqgpt_lab.evaluation.evaluate import Evaluation
from seqgpt_lab.evaluation.mistakes import Mistake
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.studies.display import Html, counted

Item = TypeVar("Item")


def most_mistaken(evaluations: Mapping[str, Evaluation], number: int) -> Html:
    """Up to `number` documents by kind of document: of each kind those with most mistakes first, kinds taking turns."""
    chosen = list(_in_turns([_of_kind(kind, evaluation) for kind, evaluation in evaluations.items()]))[:number]
    return Html("".join(_example(*example) for example in chosen))


def _of_kind(kind: str, evaluation: Evaluation) -> list[tuple[str, Document, Extraction, list[Mistake]]]:
    """A kind's documents, those with most mistakes first, otherwise in order."""
    by_document: dict[str, list[Mistake]] = {}
    for mistake in evaluation.mistakes:
        by_document.setdefault(mistake.document_id, []).append(mistake)
    pairs = zip(evaluation.documents, evaluation.extractions, strict=True)
    rows = [(kind, document, extraction, by_document.get(document.id, [])) for document, extraction in pairs]
    return sorted(rows, key=lambda row: -len(row[3]))


def _in_turns(queues: Sequence[Sequence[Item]]) -> Iterator[Item]:
    """The first of every queue, then the second of every queue, and so on."""
    for place in range(max(map(len, queues), default=0)):
        yield from (queue[place] for queue in queues if place < len(queue))


def _example(kind: str, document: Document, extraction: Extraction, mistakes: Sequence[Mistake]) -> str:
    heading = f"{escape(kind)} · {escape(document.id)} · {counted(len(mistakes), 'mistake') if mistakes else 'wholly right'}"
    items = "".join(f"<li>{escape(_in_words(mistake))}</li>" for mistake in mistakes)
    return f"<h3>{heading}</h3>{extraction._repr_html_()}" + (f"<ul>{items}</ul>" if items else "")


def _in_words(mistake: Mistake) -> str:
    """A sentence. A value that was missed and another one given elsewhere are two mistakes: neither says what the other should be."""
    gold, predicted = (" | ".join(one.text for one in values) for values in (mistake.gold, mistake.predicted))
    if mistake.kind == "wrong label":
        told = f"the model gave {predicted}, which is {' | '.join(entity.label for entity in mistake.gold)}"
    elif not gold:
        told = f"the model gave {predicted}, which is not to be found {'in the text' if mistake.kind == 'hallucinated' else 'there'}"
    else:
        told = f"should be {gold}, the model gave {predicted}" if predicted else f"the model did not give {gold}"
    return f"{mistake.label}, {mistake.kind}: {told}"
