"""Compares ways of asking for the same fields on the same documents, and says whether one is really better; draws and prints nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import LabelError, OptionError
from seqgpt_lab.evaluation.counts import Counts
from seqgpt_lab.evaluation.gold import check_gold, unscored
from seqgpt_lab.evaluation.resampling import Metric, Outcomes
from seqgpt_lab.evaluation.significance import judge_all
from seqgpt_lab.evaluation.verdict import METRIC_NAMES, Settings, Verdict
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.lint import lint
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.asking import Ledger, Variant
from seqgpt_lab.studies.display import Html, Prose, plain, table


@dataclass(frozen=True, slots=True)
class Comparison:
    """How variants did on the same documents; verdicts[i] holds variants[i + 1] against the first one. calls: that reached the model."""

    variants: tuple[Variant, ...]
    outcomes: tuple[Outcomes, ...]
    verdicts: tuple[Verdict, ...]
    metric: Metric
    calls: int
    notes: tuple[str, ...] = ()

    def frame(self) -> pandas.DataFrame:
        """One row a variant: variant, phrases, labels_per_prompt, micro_f1, macro_f1, exact_record_rate, and against the first one
        difference, low, high (bounds of its interval), p (corrected), real, documents_needed.
        """
        rows = [_row(variant, one) for variant, one in zip(self.variants, self.outcomes, strict=True)]
        for row, verdict in zip(rows[1:], self.verdicts, strict=True):
            row |= {"difference": verdict.difference, "low": verdict.low, "high": verdict.high, "p": verdict.adjusted_p}
            row |= {"real": verdict.real, "documents_needed": verdict.documents_needed}
        frame = pandas.DataFrame(rows)
        return frame.astype({"documents_needed": "Int64"}) if "documents_needed" in frame else frame

    def show(self) -> Html:
        """`frame` for people: differences in points, as the verdicts tell them, and phrases only where variants are not called by them."""
        frame = self.frame()
        points = {
            name: (100 * frame[name].astype(float)).map("{:+.2f}".format, na_action="ignore") for name in ("difference", "low", "high")
        }
        heads = {"micro_f1": "micro F1", "macro_f1": "macro F1", "exact_record_rate": "records wholly right (share)"}
        heads |= {"difference": "difference (points)", "low": "95% from", "high": "95% to"}
        named = (frame["variant"] == frame["phrases"]).all()
        return table(frame.assign(**points).drop(columns=["phrases"] * bool(named)).rename(columns=heads))

    def label_frame(self) -> pandas.DataFrame:
        """One row a variant and field: variant, field, phrase, support, precision, recall, f1."""
        rows = []
        for variant, one in zip(self.variants, self.outcomes, strict=True):
            phrases = dict(zip(variant.labels.names, variant.labels.phrases, strict=True))
            for field, counts in zip(one.labels, field_counts(one), strict=True):
                scores = {"support": counts.support, "precision": counts.precision, "recall": counts.recall, "f1": counts.f1}
                rows.append({"variant": variant.name, "field": field, "phrase": phrases[field], **scores})
        return pandas.DataFrame(rows)

    def field_frame(self) -> pandas.DataFrame:
        """One row a field, in the first variant's order: field, F1 of each variant, and the gold values that these rest on."""
        frame = pandas.DataFrame({"field": self.variants[0].labels.names})
        for variant, one in zip(self.variants, self.outcomes, strict=True):
            counts = dict(zip(one.labels, field_counts(one), strict=True))
            frame[f"F1 of {variant.name}"] = [counts[field].f1 for field in frame["field"]]
            frame["gold_values"] = [counts[field].support for field in frame["field"]]
        return frame[[*(name for name in frame if name != "gold_values"), "gold_values"]]

    def about(self) -> Prose:
        """The verdict on every variant, and what the scores do not show, in sentences."""
        return Prose("\n\n".join([*(plain(verdict.sentence()) for verdict in self.verdicts), *map(plain, self.notes)]))

    def to_dict(self) -> dict[str, Any]:
        """Variants with their scores, and the verdicts, JSON-ready."""
        frame = self.frame()[["variant", "labels_per_prompt", "micro_f1", "macro_f1", "exact_record_rate"]]
        return {
            "metric": self.metric,
            "calls": self.calls,
            "variants": frame.to_dict("records"),
            "verdicts": [verdict.to_dict() for verdict in self.verdicts],
            "notes": list(self.notes),
        }


def compare(
    extractor: Extractor,
    documents: Sequence[Document],
    variants: Sequence[Variant],
    *,
    metric: Metric = "micro_f1",
    settings: Settings | None = None,
    journal: Path | None = None,
    progress: TaskProgress | None = None,
) -> Comparison:
    """Ask every variant of every document and hold each against the first one, Holm-corrected.

    journal: a file that keeps the answers, so that a comparison that was killed goes on where it was. Raises, before anything is
    asked, OptionError for fewer than two variants and for a name used twice, LabelError for variants that do not ask for the same
    fields, what `Ledger` raises, such as DocumentError for fewer than two documents, and what `check_gold` raises, in this order.
    """
    _check_variants(variants)
    ledger, names = Ledger(extractor, documents, journal), variants[0].labels.names
    check_gold(documents, names)
    ledger.ask([question for variant in variants for question in variant.questions], progress and partial(progress, "compare"))
    return judged(ledger, variants, metric, settings, unscored(documents, names))


def judged(
    ledger: Ledger, variants: Sequence[Variant], metric: Metric, settings: Settings | None = None, notes: Sequence[str] = ()
) -> Comparison:
    """The comparison of at least two variants, of which `compare` would refuse none, on a ledger's documents."""
    outcomes = tuple(ledger.outcomes(variant) for variant in variants)
    verdicts = judge_all(outcomes[0], outcomes[1:], metric, settings)
    return Comparison(tuple(variants), outcomes, verdicts, metric, ledger.made, tuple(notes))


def variants_of(wordings: Sequence[str], known: LabelSet) -> list[Variant]:
    """Ways of asking as people type them (`供应商->公司,合同金额`), named by their phrases; synonyms and flags come from the known labels.

    Raises LabelError for fields that are not known, and as `LabelSet.of` does.
    """
    by_name = {label.field: label for label in known.labels}
    variants = []
    for wording in wordings:
        typed = LabelSet.of(wording)
        known.check_known(typed.names)
        labels = tuple(replace(by_name[label.field], phrase=label.phrase) for label in typed.labels)
        variants.append(Variant("、".join(typed.phrases), LabelSet(labels, known.name)))
    return variants


def fields_of(variants: Sequence[Variant]) -> tuple[str, ...]:
    """The fields that the first variant asks for; none where there is no variant, which `compare` then refuses."""
    return variants[0].labels.names if variants else ()


def with_first_synonyms(labels: LabelSet) -> LabelSet:
    """The label set with each field asked for by its first synonym, where it has one."""
    return labels.reworded({label.field: label.synonyms[0] for label in labels.labels if label.synonyms})


def faults(labels: LabelSet | str) -> pandas.DataFrame:
    """One row a fault that lint finds in labels, as a set or as typed: label, fault, reason, fix (in words; empty where there is none)."""
    rows = [[one.label, one.code, one.reason, one.fix.what if one.fix else ""] for one in lint(labels)]
    return pandas.DataFrame(rows, columns=["label", "fault", "reason", "fix"])


def lint_frame(variants: Sequence[Variant]) -> pandas.DataFrame:
    """`faults` of every variant's labels, with the variant's name before them."""
    rows = [{"variant": variant.name, **row} for variant in variants for row in faults(variant.labels).to_dict("records")]
    return pandas.DataFrame(rows, columns=["variant", "label", "fault", "reason", "fix"])


def show_faults(frame: pandas.DataFrame) -> Html | Prose:
    """What `faults` or `lint_frame` found for people. Where that is nothing it is said: heads alone leave open whether anything was looked
    at."""
    return Prose("Lint finds no fault in these labels.") if frame.empty else table(frame)


def field_counts(outcomes: Outcomes) -> list[Counts]:
    """Counts of all documents, a field each, in the outcomes' order."""
    return [Counts(*map(int, row)) for row in np.asarray(outcomes.counts).sum(axis=0)]


def _check_variants(variants: Sequence[Variant]) -> None:
    if len(variants) < 2:
        raise OptionError(f"there is nothing to compare among {len(variants)} variants; give at least two")
    repeated = [name for name, times in Counter(variant.name for variant in variants).items() if times > 1]
    if repeated:
        raise OptionError(f"the variants {repeated} are given twice; give each wording once, or no verdict says which it means")
    first = variants[0]
    for other in variants[1:]:
        if set(other.labels.names) != set(first.labels.names):
            raise LabelError(
                f"{first.name!r} asks for the fields {list(first.labels.names)}, {other.name!r} for {list(other.labels.names)}; "
                "give ways of asking for the same fields"
            )


def _row(variant: Variant, outcomes: Outcomes) -> dict[str, object]:
    row: dict[str, object] = {"variant": variant.name, "phrases": "、".join(variant.labels.phrases)}
    row["labels_per_prompt"] = variant.labels_per_prompt
    return row | {metric: outcomes.score(metric) for metric in METRIC_NAMES}
