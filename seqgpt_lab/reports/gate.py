"""Says whether a run reads documents worse than a baseline run, overall and field by field; runs and draws nothing.

One-sided: only what got worse counts. The accepted share of false alarms, alpha, is split in halves: one for the micro F1 of all
fields together, one for the fields, whose p values are corrected for their number (Holm). The swap test is symmetric, so a two-sided
p value of at most alpha with a negative difference is a one-sided one of at most alpha / 2; hence each half is tested two-sided at
alpha, and together they give a false alarm in at most alpha of the comparisons without a real change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError, RunError
from seqgpt_lab.evaluation.metrics import strict_counts
from seqgpt_lab.evaluation.outcome_file import OUTCOMES, KindOutcomes, check_same, read_outcomes
from seqgpt_lab.evaluation.resampling import Outcomes, paired
from seqgpt_lab.evaluation.significance import judge, judge_pairs
from seqgpt_lab.evaluation.verdict import Settings, Verdict
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.reports.masking import Masker
from seqgpt_lab.reports.runs import Run

ALPHA = 0.05
_NAMED_WITHOUT_PROOF = 3


@dataclass(frozen=True, slots=True)
class Field:
    """One field of one kind of document, and how the run compares with the baseline in it."""

    kind: str
    label: str
    verdict: Verdict

    @property
    def worse(self) -> bool:
        """Whether it really got worse."""
        return self.verdict.real and self.verdict.difference < 0


@dataclass(frozen=True, slots=True)
class Change:
    """A document whose values of a field were right in the baseline and are not in the run."""

    kind: str
    label: str
    document_id: str
    text: str
    gold: tuple[str, ...]
    baseline: tuple[str, ...]
    run: tuple[str, ...]

    def from_documents(self) -> dict[str, Any]:
        """All of it but the label, which comes from a label set."""
        return {name: getattr(self, name) for name in Change.__slots__ if name != "label"}


@dataclass(frozen=True, slots=True)
class Gate:
    """The comparison. overall: micro F1 of all fields of all kinds; fields: by kind, then as the label set has them.

    changes: of the fields that are named, in the documents' order. lost, new: kinds and fields that only the baseline, only the run has.
    single: kinds with one document, which says nothing about how documents vary; it counts in `overall` only.
    """

    overall: Verdict
    fields: tuple[Field, ...]
    changes: tuple[Change, ...]
    lost: tuple[str, ...]
    new: tuple[str, ...]
    single: tuple[str, ...]

    @property
    def regression(self) -> bool:
        """Whether the run is really worse, overall or in a field."""
        return self._overall_worse or any(field.worse for field in self.fields)

    @property
    def named(self) -> tuple[Field, ...]:
        """The fields that got worse for certain; where only the whole did, the three that fell most."""
        certain = tuple(field for field in self.fields if field.worse)
        if certain or not self._overall_worse:
            return certain
        fallen = sorted(self.fields, key=lambda field: field.verdict.difference)[:_NAMED_WITHOUT_PROOF]
        return tuple(field for field in fallen if field.verdict.difference < 0)

    @property
    def _overall_worse(self) -> bool:
        return self.overall.real and self.overall.difference < 0

    def masked(self, masker: Masker) -> Gate:
        """With masks for what is personal in documents and in the kinds, which are names of files; runs, fields and numbers stay."""
        return replace(
            self,
            fields=tuple(replace(field, kind=masker.mask(field.kind)) for field in self.fields),
            changes=tuple(replace(change, **masker.mask_within(change.from_documents())) for change in self.changes),
            lost=masker.mask_within(self.lost),
            new=masker.mask_within(self.new),
            single=masker.mask_within(self.single),
        )

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready."""
        return {
            "regression": self.regression,
            "overall": self.overall.to_dict(),
            "named": [[field.kind, field.label] for field in self.named],
            "fields": [{"kind": field.kind, "label": field.label, **field.verdict.to_dict()} for field in self.fields],
            "changes": [{name: getattr(change, name) for name in Change.__slots__} for change in self.changes],
            "lost": list(self.lost),
            "new": list(self.new),
            "single": list(self.single),
        }


def compare_runs(baseline: Run, run: Run, settings: Settings | None = None, *, partial: bool = False) -> Gate:
    """Compare what two runs left in their outcomes.jsonl.

    settings: alpha is the accepted share of false alarms; without any, 0.05 and 10,000 resamples. partial: also where the run lacks
    kinds or fields of the baseline. Raises RunError for a run that did not complete or left no outcomes, DocumentError and LabelError
    when they did not read the same documents with the same gold.
    """
    return compare(baseline.id, _outcomes_of(baseline), run.id, _outcomes_of(run), settings, partial=partial)


def compare(
    baseline_name: str,
    baseline: Mapping[str, KindOutcomes],
    run_name: str,
    run: Mapping[str, KindOutcomes],
    settings: Settings | None = None,
    *,
    partial: bool = False,
) -> Gate:
    """The same for outcomes by kind of document, under names that tell the runs apart.

    Raises DocumentError when nothing is common, where the run lacks something of the baseline and `partial` does not allow it, or where
    the same id stands for another text or other gold of the common fields; OptionError for resamples too few to find anything among so
    many fields.
    """
    settings = settings or Settings(alpha=ALPHA)
    lost, new = _only_in(baseline, run), _only_in(run, baseline)
    before, after, names = [], [], []
    for kind in (kind for kind in baseline if kind in run):
        common = [label for label in baseline[kind].labels if label in run[kind].labels]
        if common:
            check_same((baseline_name, run_name), baseline[kind], run[kind], common)
            before.append(_of_labels(baseline[kind].outcomes(baseline_name), common))
            after.append(_of_labels(run[kind].outcomes(run_name), common))
            names.append(kind)
    if not names:
        raise DocumentError(f"{baseline_name!r} and {run_name!r} have no kind of document with a field in common; compare like with like")
    if lost and not partial:
        raise DocumentError(
            f"{run_name!r} lacks what the baseline {baseline_name!r} has: {', '.join(lost)}; evaluate that too, take another baseline, or "
            "allow it to be missing with --partial"
        )
    after = [paired(first, second) for first, second in zip(before, after, strict=True)]
    overall = judge(_pooled(names, before), _pooled(names, after), "micro_f1", settings)
    fields = _fields(names, before, after, settings)
    single = tuple(kind for kind, outcomes in zip(names, before, strict=True) if len(outcomes.ids) == 1)
    gate = Gate(overall, fields, (), lost, new, single)
    changes = tuple(change for field in gate.named for change in _changes(field, baseline[field.kind], run[field.kind]))
    return replace(gate, changes=changes)


def _only_in(one: Mapping[str, KindOutcomes], other: Mapping[str, KindOutcomes]) -> tuple[str, ...]:
    """Kinds, and fields of common kinds, that only the first has."""
    kinds = sorted(one.keys() - other.keys())
    fields = [f"{kind} · {label}" for kind in one if kind in other for label in one[kind].labels if label not in other[kind].labels]
    return (*kinds, *fields)


def _outcomes_of(run: Run) -> dict[str, KindOutcomes]:
    if not run.ok:
        raise RunError(f"run {run.id} {run.status}; only completed runs can be compared")
    if not (run.folder / OUTCOMES).is_file():
        raise RunError(f"run {run.id} left no {OUTCOMES}; compare runs of an evaluation notebook, made by this version of the lab")
    return read_outcomes(run.folder / OUTCOMES)


def _of_labels(outcomes: Outcomes, labels: Sequence[str]) -> Outcomes:
    places = [outcomes.labels.index(label) for label in labels]
    return Outcomes(outcomes.name, outcomes.ids, tuple(labels), outcomes.counts[:, places])


def _pooled(kinds: Sequence[str], outcomes: Sequence[Outcomes]) -> Outcomes:
    """All kinds' documents, all their fields added up to one."""
    ids = tuple(f"{kind}/{name}" for kind, one in zip(kinds, outcomes, strict=True) for name in one.ids)
    counts = np.concatenate([one.counts.sum(axis=1, keepdims=True) for one in outcomes])
    return Outcomes(outcomes[0].name, ids, ("all fields",), counts)


def _fields(kinds: Sequence[str], before: Sequence[Outcomes], after: Sequence[Outcomes], settings: Settings) -> tuple[Field, ...]:
    """Every field of the kinds that have several documents."""
    compared = [
        (kind, label, (_of_labels(first, [label]), _of_labels(second, [label])))
        for kind, first, second in zip(kinds, before, after, strict=True)
        if len(first.ids) > 1
        for label in first.labels
    ]
    verdicts = judge_pairs([pair for _, _, pair in compared], "micro_f1", settings)
    return tuple(Field(kind, label, verdict) for (kind, label, _), verdict in zip(compared, verdicts, strict=True))


def _changes(field: Field, baseline: KindOutcomes, run: KindOutcomes) -> list[Change]:
    """The documents in which the field was right and is not any more."""
    after = {document.id: (document, extraction) for document, extraction in run.pairs}
    changes = []
    for document, extraction in baseline.pairs:
        now = after[document.id]
        if _right(document, extraction, field.label) and not _right(*now, field.label):
            gold = tuple(entity.text for entity in document.gold if entity.label == field.label)
            values = (_values(extraction, field.label), _values(now[1], field.label))
            changes.append(Change(field.kind, field.label, document.id, document.text, gold, *values))
    return changes


def _right(document: Document, extraction: Extraction, label: str) -> bool:
    return strict_counts(document, extraction, [label])[label].exact


def _values(extraction: Extraction, label: str) -> tuple[str, ...]:
    return tuple(span.text for field in extraction.fields if field.label == label for span in field.spans)
