"""The file in which an evaluation leaves what it read in every document; scores and judges nothing.

JSON lines: a header with the labels of each kind of document, then one line a document with its text, its gold and what was
extracted. Metrics can be computed again from it, and two of them can be compared document by document.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError
from seqgpt_lab.evaluation.evaluate import Evaluation
from seqgpt_lab.evaluation.records import document_record, extraction_record, read_document, read_extraction
from seqgpt_lab.evaluation.resampling import Outcomes, some_of
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.files import write_atomically

OUTCOMES = "outcomes.jsonl"
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class KindOutcomes:
    """What was read in the documents of one kind: the labels that were asked, and each document with its extraction."""

    labels: tuple[str, ...]
    pairs: tuple[tuple[Document, Extraction], ...]

    def outcomes(self, name: str) -> Outcomes:
        """Right, wrong and missing values by document and label. Raises DocumentError for no documents."""
        return Outcomes.from_pairs(name, self.pairs, self.labels)


def check_same(names: tuple[str, str], first: KindOutcomes, second: KindOutcomes, labels: Sequence[str]) -> None:
    """Raise DocumentError, naming some, for ids that both have and that stand for other texts, or other gold of these labels.

    names: those of the two systems, for the message. An id such as `line-3` says nothing of what is in the line.
    """
    known = {document.id: document for document, _ in second.pairs}
    both = [(document, known[document.id]) for document, _ in first.pairs if document.id in known]
    for what, fix, odd in (
        ("text", "compare both on the same documents", [one.id for one, other in both if one.text != other.text]),
        ("gold", "use one gold for both", [one.id for one, other in both if _gold(one, labels) != _gold(other, labels)]),
    ):
        if odd:
            raise DocumentError(f"the {what} of {some_of(odd)} is not the same for {names[0]!r} and {names[1]!r}; {fix}")


def _gold(document: Document, labels: Sequence[str]) -> list[tuple[str, int, int]]:
    return sorted((entity.label, entity.start, entity.end) for entity in document.gold if entity.label in labels)


def write_outcomes(path: str | Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Write the evaluations by kind of document, atomically. Raises OSError."""
    kinds = {kind: {"labels": list(one.scores.strict.per_label)} for kind, one in evaluations.items()}
    records: list[object] = [{"format": _FORMAT, "kinds": kinds}]
    for kind, evaluation in evaluations.items():
        for document, extraction in zip(evaluation.documents, evaluation.extractions, strict=True):
            records.append({"kind": kind, "document": document_record(document), "extraction": extraction_record(extraction)})
    write_atomically(path, "".join(json.dumps(record) + "\n" for record in records))


def read_outcomes(path: str | Path) -> dict[str, KindOutcomes]:
    """What an evaluation read, by kind, documents in their order. Raises DocumentError for a file that is missing or broken."""
    try:
        header, *lines = Path(path).read_text(encoding="utf-8").splitlines()
        about = json.loads(header)
        if about["format"] != _FORMAT:
            raise ValueError(f"format is {about['format']!r}, this version reads {_FORMAT}")
        labels = {kind: tuple(one["labels"]) for kind, one in about["kinds"].items()}
        pairs: dict[str, list[tuple[Document, Extraction]]] = {kind: [] for kind in labels}
        for line in lines:
            record = json.loads(line)
            document = read_document(record["document"])
            pairs[record["kind"]].append((document, read_extraction(record["extraction"], document.text)))
    except OSError as error:
        raise DocumentError(f"the outcomes {path} cannot be read: {error.strerror}; give the folder of an evaluation's run") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DocumentError(f"{path} does not hold the outcomes of an evaluation ({error!r}); run the evaluation again") from error
    return {kind: KindOutcomes(labels[kind], tuple(found)) for kind, found in pairs.items()}
