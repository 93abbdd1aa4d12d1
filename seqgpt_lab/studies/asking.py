"""Puts questions (labels of one prompt) to documents, remembers how each was answered, and keeps that in a file; chooses nothing.

All questions about a text are asked next to one another, so that an engine which keeps the work of a common beginning does it once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.evaluation.journal import differences
from seqgpt_lab.evaluation.metrics import strict_counts
from seqgpt_lab.evaluation.resampling import Outcomes
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor, Prepared
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.prompt import LABELS_PER_PROMPT, split_evenly
from seqgpt_lab.files import write_atomically
from seqgpt_lab.progress import Progress
from seqgpt_lab.studies.models import answered_with

Question = tuple[Label, ...]
Counts = NDArray[np.int64]

# Prompts between two writes of the journal: what a kill can cost.
_PROMPTS_A_WRITE = 256


@dataclass(frozen=True, slots=True)
class Variant:
    """One way of asking: labels with their phrases, in an order, at most `labels_per_prompt` together. name: for tables and verdicts.

    Raises OptionError for fewer than one label a prompt.
    """

    name: str
    labels: LabelSet
    labels_per_prompt: int = LABELS_PER_PROMPT

    def __post_init__(self) -> None:
        if self.labels_per_prompt < 1:
            raise OptionError(f"{self.name!r} asks {self.labels_per_prompt} labels a prompt; at least 1 is needed")

    @property
    def questions(self) -> tuple[Question, ...]:
        """The prompts' labels, split as an extractor splits them.

        Only what an answer rests on is kept: field, phrase, and whether the label takes one value, of which all others are dropped.
        """
        by_phrase = {label.phrase: _asked(label.field, label.phrase, label.multiple) for label in self.labels.labels}
        groups = split_evenly(self.labels.phrases, self.labels_per_prompt)
        return tuple(tuple(by_phrase[phrase] for phrase in phrases) for phrases in groups)


class Ledger:
    """The answers of one extractor on some documents with gold, as counts of right, wrong and missing values.

    journal: a file in which answers are kept between runs; None for none. A call is one question put to one document (a text too long
    for one prompt takes several). asked: calls that this ledger's users wanted, known answers included; made: those that reached the
    model. Raises DocumentError for fewer than two documents or repeated ids, LabelError for a journal that cannot be read, or that was
    made of other documents or gold or with another model or other settings: what a kept answer rests on must be the same.
    """

    def __init__(self, extractor: Extractor, documents: Sequence[Document], journal: Path | None = None) -> None:
        check_documents(documents)
        self.extractor, self.documents, self.journal = copy(extractor), tuple(documents), journal
        self.asked = self.made = 0
        self._counts: dict[Question, Counts] = {}
        self._wanted: set[Question] = set()
        self._made_with = {**answered_with(extractor), "documents": _fingerprint(documents)} if journal else {}
        if journal and journal.exists():
            self._counts = _read(journal, self._made_with)

    def cost(self, questions: Sequence[Question]) -> int:
        """How many calls more it takes to have asked these questions."""
        return len(set(questions) - self._wanted) * len(self.documents)

    def ask(self, questions: Sequence[Question], progress: Progress | None = None) -> None:
        """Put the questions to every document, but for those whose answers are known. progress: called with prompts done and in all."""
        self.asked += self.cost(questions)
        self._wanted |= set(questions)
        new = [question for question in dict.fromkeys(questions) if question not in self._counts]
        step = max(1, _PROMPTS_A_WRITE // len(self.documents))
        for at in range(0, len(new), step):
            group = new[at : at + step]
            told = progress and partial(_shifted, progress, at * len(self.documents), len(new) * len(self.documents))
            self._counts |= zip(group, self._answers(group, told), strict=True)
            self.made += len(group) * len(self.documents)
            if self.journal:
                _write(self.journal, self._made_with, self._counts)

    def outcomes(self, variant: Variant) -> Outcomes:
        """How the variant did on every document, fields in the order of their names (the same for every order of asking)."""
        self.ask(variant.questions)
        names = [label.field for question in variant.questions for label in question]
        counts = np.concatenate([self._counts[question] for question in variant.questions], axis=1)
        order = sorted(range(len(names)), key=names.__getitem__)
        ids = tuple(document.id for document in self.documents)
        return Outcomes(variant.name, ids, tuple(names[place] for place in order), counts[:, order])

    def _answers(self, questions: Sequence[Question], progress: Progress | None) -> list[Counts]:
        """Counts [documents, labels, 3] of each question."""
        self.extractor.labels_per_prompt = max(map(len, questions))
        label_sets = [LabelSet(question) for question in questions]
        prepared = [[self.extractor.prepare(document, labels) for labels in label_sets] for document in self.documents]
        requests = [request for row in prepared for one in row for request in one.requests]
        completions = iter(self.extractor.engine.generate(requests, progress) if requests else [])
        extractions = [[_finished(one, completions) for one in row] for row in prepared]
        rows = [
            [_numbers(document, extraction, labels.names) for extraction, labels in zip(row, label_sets, strict=True)]
            for document, row in zip(self.documents, extractions, strict=True)
        ]
        return [np.array(column, dtype=np.int64) for column in zip(*rows, strict=True)]


def check_documents(documents: Sequence[Document]) -> None:
    """Raise DocumentError for fewer than two documents, which nothing can be compared on, and for repeated ids."""
    if len(documents) < 2 or len({document.id for document in documents}) < len(documents):
        raise DocumentError(f"there are {len(documents)} documents; wanted at least 2, each with an id of its own")


def _asked(field: str, phrase: str, multiple: bool | None = None) -> Label:
    """A label as far as its answer goes: one that may have several values is answered as one of which nobody said."""
    return Label(field, phrase, multiple=False if multiple is False else None)


def _finished(prepared: Prepared[Extraction], completions: Iterator[Any]) -> Extraction:
    return prepared.finish([next(completions) for _ in prepared.requests])


def _numbers(document: Document, extraction: Extraction, names: Sequence[str]) -> list[tuple[int, int, int]]:
    counts = strict_counts(document, extraction, names)
    return [(counts[name].true_positives, counts[name].false_positives, counts[name].false_negatives) for name in names]


def _shifted(progress: Progress, before: int, total: int, done: int, _total: int) -> None:
    progress(min(before + done, total), total)


def _fingerprint(documents: Sequence[Document]) -> str:
    """SHA-256 over the documents with their gold, which decides what counts as right."""
    gold = [[one.id, one.text, [[entity.label, entity.start, entity.end] for entity in one.gold]] for one in documents]
    return hashlib.sha256(json.dumps(gold).encode()).hexdigest()


def _write(path: Path, made_with: Mapping[str, Any], counts: dict[Question, Counts]) -> None:
    answers = [
        {"labels": [[label.field, label.phrase, label.multiple] for label in question], "counts": one.tolist()}
        for question, one in counts.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"made_with": made_with, "answers": answers}, ensure_ascii=False))


def _read(path: Path, made_with: Mapping[str, Any]) -> dict[Question, Counts]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        differing, answers = differences(found["made_with"], made_with), found["answers"]
        counts = {tuple(_asked(*label) for label in one["labels"]): np.array(one["counts"], dtype=np.int64) for one in answers}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LabelError(f"the journal {path} cannot be read ({error!r}); delete it, or name another") from error
    if differing:
        raise LabelError(f"the journal {path} was made otherwise: {differing}; delete it, or name another")
    return counts
