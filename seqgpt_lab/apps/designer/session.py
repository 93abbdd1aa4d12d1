"""One user's session of label design: the design and its past, what was run, A and B compared. Knows no widget and no page.

Holds no global state and starts no thread: whoever shows a session decides where its work runs. One call at a time.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from seqgpt_lab.apps.designer.contest import Contest, compare_on_documents
from seqgpt_lab.apps.designer.design import Design
from seqgpt_lab.apps.designer.samples import Collection
from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.evaluation.evaluate import Extracts
from seqgpt_lab.extraction.drafts import Draft
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.lint import Finding, lint
from seqgpt_lab.progress import TaskProgress

_KEPT_TRIALS = _KEPT_CHANGES = 50  # each may hold a whole text


class Stopped(Exception):  # noqa: N818 - not an error: the user asked for it
    """Raised by a progress callback to end what is being done; the session stays as it was."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A design that was run: what came out under label set A (and B, where it was compared), and how long each took in seconds."""

    design: Design
    extractions: tuple[Extraction, ...]
    seconds: tuple[float, ...]

    @property
    def title(self) -> str:
        """The trial in a line: labels, the text's beginning, how long it took."""
        sets = [self.design.labels, *([self.design.rival] if len(self.extractions) > 1 else [])]
        labels = " / ".join("、".join(draft.written for draft in drafts) for drafts in sets)
        return f"{labels} · {' '.join(self.design.text.split())[:40]} · {sum(self.seconds):.2f} s"


class Session:
    """The model of a designer. extractor: asked for extractions; collections: sample documents to choose from, may be none."""

    def __init__(self, extractor: Extracts[LabelSet], collections: Sequence[Collection] = (), design: Design | None = None) -> None:
        self.extractor, self.collections = extractor, {one.name: one for one in collections}
        self.design = design or Design()
        self.trials: tuple[Trial, ...] = ()
        self._past: list[Design] = []
        self._future: list[Design] = []
        # Which labels were typed last, and how many there were then; None after any other change.
        self._typing: tuple[bool, int] | None = None
        self._place: dict[str, int] = {}

    def write(self, text: str) -> None:
        """Replace the text."""
        self._change(replace(self.design, text=text))

    def relabel(self, typed: str, rival: bool = False) -> None:
        """Replace the labels of A, or of B, by what was typed; letter after letter of one label is one change. Raises LabelError."""
        design = self.design.relabelled(typed, rival)
        before = self.design.rival if rival else self.design.labels
        after = design.rival if rival else design.labels
        self._change(design, goes_on=(rival, len(after)) == self._typing and len(after) == len(before))
        self._typing = (rival, len(after))

    def findings(self, rival: bool = False) -> tuple[Finding, ...]:
        """What lint says of the labels of A, or of B."""
        return lint(self._drafts(rival))

    def accept(self, finding: Finding, rival: bool = False) -> None:
        """Change the labels as a finding proposes. Raises LabelError when it proposes nothing or is no longer true."""
        if finding.fix is None or finding not in self.findings(rival):
            raise LabelError(f"the labels have changed since {finding.label!r} was found wanting, or there is no fix; look at them again")
        drafts = finding.fix.apply(self._drafts(rival))
        self._change(replace(self.design, rival=drafts) if rival else replace(self.design, labels=drafts))

    def copy_to_rival(self) -> None:
        """Make B the same as A, to change a word and compare."""
        self._change(replace(self.design, rival=self.design.labels))

    def use(self, labels: LabelSet) -> None:
        """Take a whole label set as A."""
        self._change(replace(self.design, labels=labels.labels, name=labels.name))

    def load(self, path: str | Path) -> None:
        """Take the label set of a YAML file as A. Raises LabelError."""
        self.use(LabelSet.load(path))

    def use_labels_of(self, collection: str) -> None:
        """Take a collection's label set as A. Raises DocumentError for a collection that does not exist."""
        self.use(self._collection(collection).labels)

    def next_document(self, collection: str) -> Document:
        """Put the collection's next document into the text, and its labels where none were typed; begins again after the last.

        Raises DocumentError for a collection that does not exist or is empty.
        """
        chosen = self._collection(collection)
        place = self._place.get(collection, -1) + 1
        self._place[collection] = place % len(chosen.documents)
        document = chosen.documents[self._place[collection]]
        labels = self.design.labels or chosen.labels.labels
        self._change(replace(self.design, text=document.text, labels=labels))
        return document

    def document_of(self, design: Design) -> Document:
        """The design's text as a document: the sample that reads the same, with its gold, else one without gold."""
        samples = (document for one in self.collections.values() for document in one.documents)
        return next((document for document in samples if document.text == design.text), Document("text", design.text))

    @property
    def can_undo(self) -> bool:
        """Whether `undo` changes anything."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether `redo` changes anything."""
        return bool(self._future)

    def undo(self) -> None:
        """Back to the design before the last change, of which 50 are kept; nothing without one."""
        if self._past:
            self._typing = None
            self._future.append(self.design)
            self.design = self._past.pop()

    def redo(self) -> None:
        """Forward again after an undo; nothing without one."""
        if self._future:
            self._past.append(self.design)
            self.design = self._future.pop()

    def return_to(self, trial: Trial) -> None:
        """Take up the design of a trial again; an undo leads back."""
        self._change(trial.design)

    def run(self, progress: TaskProgress, with_rival: bool = False) -> Trial:
        """Ask the text with label set A, and with B too where wanted; the trial joins the history, newest first.

        progress: told how many of a label set's prompts are done, before the first and whenever some are; may raise Stopped. Raises
        DocumentError for an empty text, LabelError for labels that cannot be asked, and what the extractor raises.
        """
        if not self.design.text.strip():
            raise DocumentError("the text is empty; paste one, or press Sample for a bundled document")
        design, document = self.design, self.document_of(self.design)
        label_sets = [design.label_set(), *([design.label_set(rival=True)] if with_rival else [])]
        extractions, seconds = [], []
        for name, labels in zip(("label set A", "label set B"), label_sets, strict=False):
            progress(name, 0, 1)
            begun = time.perf_counter()
            extractions += self.extractor.extract([document], labels, progress=partial(progress, name))
            seconds.append(time.perf_counter() - begun)
        trial = Trial(design, tuple(extractions), tuple(seconds))
        self.trials = (trial, *self.trials)[:_KEPT_TRIALS]
        return trial

    def compare(self, collection: str, limit: int, progress: TaskProgress) -> Contest:
        """A against B on the first `limit` documents of a collection (0: all). Raises as `run`, `first` and `compare_on_documents` do."""
        from seqgpt_lab.studies.sources import first

        documents = first(self._collection(collection).documents, limit)
        return compare_on_documents(self.extractor, documents, self.design.label_set(), self.design.label_set(rival=True), progress)

    def _drafts(self, rival: bool) -> tuple[Draft, ...]:
        return self.design.rival if rival else self.design.labels

    def _collection(self, name: str) -> Collection:
        found = self.collections.get(name)
        if found is None or not found.documents:
            known = "、".join(one.name for one in self.collections.values() if one.documents) or "none"
            raise DocumentError(f"there are no documents called {name!r}; there are {known}")
        return found

    def _change(self, design: Design, goes_on: bool = False) -> None:
        """goes_on: the change belongs to the one before, and an undo takes both back."""
        self._typing = None
        if design != self.design:
            if not goes_on:
                self._past = [*self._past, self.design][-_KEPT_CHANGES:]
            self._future.clear()
            self.design = design
