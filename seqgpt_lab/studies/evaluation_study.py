"""The evaluations of a model on several kinds of documents, in tables and sentences; asks no model, draws and prints nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas

from seqgpt_lab.evaluation.calibration import Calibration
from seqgpt_lab.evaluation.counts import Counts
from seqgpt_lab.evaluation.evaluate import Evaluation
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.mistakes import Mistake, count
from seqgpt_lab.evaluation.outcome_file import OUTCOMES, write_outcomes
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.studies.display import Html, Prose, counted, plain, short
from seqgpt_lab.studies.examples import most_mistaken
from seqgpt_lab.studies.personal import record_personal
from seqgpt_lab.studies.run_files import JOURNALS, write_metrics

ALL = "all"
_NAMED_LABELS = 10


@dataclass(frozen=True, slots=True)
class EvaluationStudy:
    """The evaluations of one model by kind of document, in the order they were asked for.

    seconds: wall time of extraction and scoring. label_sets: what was asked of each kind, where it is known. taken_over: documents that
    an earlier run had extracted, which took none of these seconds.
    """

    evaluations: Mapping[str, Evaluation]
    seconds: float
    label_sets: Mapping[str, LabelSet] = field(default_factory=dict)
    taken_over: int = 0

    @property
    def documents(self) -> int:
        """How many documents were evaluated."""
        return sum(len(evaluation.documents) for evaluation in self.evaluations.values())

    @property
    def overall(self) -> Counts:
        """Strict counts of all kinds and labels added up."""
        return sum((evaluation.scores.strict.micro for evaluation in self.evaluations.values()), Counts())

    @property
    def mistakes(self) -> list[Mistake]:
        """All mistakes, by kind, then as `classify` orders them."""
        return [mistake for evaluation in self.evaluations.values() for mistake in evaluation.mistakes]

    def summary(self) -> pandas.DataFrame:
        """One row a kind and one for all: documents, support, strict micro precision, recall, F1, string F1, exact-record rate, faults."""
        rows = [_row(kind, [evaluation.scores]) for kind, evaluation in self.evaluations.items()]
        everything = [evaluation.scores for evaluation in self.evaluations.values()]
        return pandas.DataFrame([*rows, _row(ALL, everything)] if len(rows) > 1 else rows)

    def label_scores(self) -> pandas.DataFrame:
        """One row a kind and label: kind, label, support, precision, recall, f1, the three counts, the same by string."""
        frames = [evaluation.scores.to_frame().assign(kind=kind) for kind, evaluation in self.evaluations.items()]
        frame = pandas.concat(frames, ignore_index=True)
        return frame[["kind", *(name for name in frame.columns if name != "kind")]]

    def mistake_counts(self) -> pandas.DataFrame:
        """One row a kind of mistake, those that did not occur included: kind, mistakes, false_positives, false_negatives."""
        return count(self.mistakes)

    def mistake_list(self, limit: int | None = None) -> pandas.DataFrame:
        """One row a mistake, at most `limit`: document kind, document, mistake, label, gold values, predicted values."""
        rows = [
            {
                "kind": kind,
                "document": mistake.document_id,
                "mistake": mistake.kind,
                "label": mistake.label,
                "gold": " | ".join(entity.text for entity in mistake.gold),
                "predicted": " | ".join(span.text for span in mistake.predicted),
            }
            for kind, evaluation in self.evaluations.items()
            for mistake in evaluation.mistakes
        ]
        columns = ["kind", "document", "mistake", "label", "gold", "predicted"]
        return pandas.DataFrame(rows[:limit], columns=columns, dtype=object)  # Arrow-backed strings hold no lone surrogates

    def examples(self, number: int = 8) -> Html:
        """Up to `number` documents with their extractions marked in the text: those with most mistakes first, kinds taking turns."""
        return most_mistaken(self.evaluations, number)

    def about_summary(self) -> Prose:
        """What the summary says, in sentences."""
        exact = sum(evaluation.scores.strict.exact_records for evaluation in self.evaluations.values())
        text = (
            f"Of {counted(self.documents, 'document')}, {exact:,} came out wholly right ({exact / self.documents:.1%}); over all labels "
            f"the model reached a strict micro F1 of **{self.overall.f1:.3f}**{self._rate()}."
        )
        by_kind = sorted((evaluation.scores.strict.micro.f1, kind) for kind, evaluation in self.evaluations.items())
        if len(by_kind) > 1:
            (lowest, worst), (highest, best) = by_kind[0], by_kind[-1]
            told = f"Best: {plain(best)} ({highest:.3f}); worst: {plain(worst)} ({lowest:.3f})."
            text += f" {told if highest > lowest else 'It is the same for every kind.'}"
        return Prose(text + _faults([evaluation.scores for evaluation in self.evaluations.values()]) + self._unmarked())

    def _unmarked(self) -> str:
        """A sentence on fields of which no document has gold though values were given: not the model, but the gold may be wrong there."""
        scores = {kind: evaluation.scores.strict.per_label for kind, evaluation in self.evaluations.items()}
        wrong = {
            f"{plain(kind)} · {plain(label)}": counts.false_positives
            for kind, per_label in scores.items()
            for label, counts in per_label.items()
            if not counts.support and counts.false_positives
        }
        if not wrong:
            return ""
        given = "1 value given for it counts" if sum(wrong.values()) == 1 else f"{sum(wrong.values()):,} values given there count"
        return f" No document here has gold for {', '.join(wrong)}: the {given} as wrong."

    def _rate(self) -> str:
        """How quickly this run read, of what it read itself; nothing where it took everything over."""
        read = self.documents - self.taken_over
        rest = f" ({counted(self.taken_over, 'document')} had been read before)" if self.taken_over else ""
        return f", at {short(read / self.seconds)} documents/s{rest}" if read else ""

    def about_labels(self, below: float = 0.9) -> Prose:
        """Which labels score under `below`, the lowest ten by name, in sentences. Those of no value wanted or given are no evidence."""
        every = self.label_scores()
        frame = every[every["support"] + every["false_positives"] > 0]
        idle = len(every) - len(frame)
        left_out = f" Left out, for no value was to be found or was given: {counted(idle, 'label')}." if idle else ""
        if frame.empty:
            return Prose(f"No label can be judged.{left_out}")
        weak = frame[frame["f1"] < below].sort_values("f1")
        if weak.empty:
            return Prose(f"All {counted(len(frame), 'label')} reach a strict F1 of {below:g}.{left_out}")
        lowest = weak.head(_NAMED_LABELS)
        names = [f"{plain(row['kind'])} · {plain(row['label'])} ({row['f1']:.3f}, n = {row['support']})" for _, row in lowest.iterrows()]
        rest = f", and {len(weak) - len(names)} more" if len(weak) > len(names) else ""
        return Prose(
            f"{len(weak)} of {counted(len(frame), 'label')} stay under a strict F1 of {below:g}: {', '.join(names)}{rest}.{left_out}"
        )

    def about_mistakes(self, shown: int | None = None) -> Prose:
        """How many mistakes there are and of which kinds, in sentences; shown: how many a table beside it lists."""
        counts = Counter(mistake.kind for mistake in self.mistakes)
        if not counts:
            return Prose("No mistake was made.")
        kinds = ", ".join(f"{number} {plain(kind)}" for kind, number in counts.most_common())
        rest = f" The table shows the first {shown}." if shown is not None and shown < counts.total() else ""
        return Prose(f"{counted(counts.total(), 'mistake')}: {kinds}.{rest}")

    def calibration(self) -> Calibration:
        """How sure the model was of every value, and whether it was right."""
        return Calibration.of_all(
            [
                Calibration.from_pairs(zip(one.documents, one.extractions, strict=True), list(one.scores.strict.per_label))
                for one in self.evaluations.values()
            ]
        )

    def about_calibration(self) -> Prose:
        """How far confidences are from shares of right values, in a sentence."""
        met = self.calibration()
        if not len(met.right):
            return Prose("The model gave no values, so there is nothing to say about its confidence.")
        return Prose(
            f"Over {counted(len(met.right), 'value')} the model is sure by {met.confidences.mean():.3f} on average, and "
            f"{met.right.mean():.1%} are right; expected calibration error **{met.expected_error():.3f}**."
        )

    def about_examples(self, number: int = 8) -> Prose:
        """How many documents `examples(number)` shows, and how many have mistakes, in a sentence."""
        wrong = len({(kind, mistake.document_id) for kind, one in self.evaluations.items() for mistake in one.mistakes})
        shown = min(number, self.documents)
        turns = ", the most mistaken of each kind in turn" if len(self.evaluations) > 1 else ", the most mistaken first"
        return Prose(
            f"Shown: {shown} of {counted(self.documents, 'document')}{turns if shown < self.documents else ''}; "
            f"{counted(wrong, 'document')} of them all {'has' if wrong == 1 else 'have'} mistakes."
        )

    def to_dict(self) -> dict[str, Any]:
        """All scores, JSON-ready: seconds, documents, taken_over (those that took none of the seconds), overall (strict micro, exact
        records), mistakes by kind, scores by document kind."""
        exact = sum(evaluation.scores.strict.exact_records for evaluation in self.evaluations.values())
        return {
            "seconds": round(self.seconds, 3),
            "documents": self.documents,
            "taken_over": self.taken_over,
            "overall": {**self.overall.to_dict(), "exact_records": exact, "exact_record_rate": exact / self.documents},
            "expected_calibration_error": self.calibration().expected_error(),
            "mistakes": dict(Counter(mistake.kind for mistake in self.mistakes)),
            "kinds": {kind: evaluation.scores.to_dict() for kind, evaluation in self.evaluations.items()},
        }

    def write_metrics(self, run_dir: str | Path) -> None:
        """Write `to_dict()` as metrics.json into `run_dir`, what was read in each document as outcomes.jsonl, and what is personal in it.

        Each file is written whole or not at all; an empty `run_dir` means nowhere. Raises OSError.
        """
        if not run_dir:
            return
        for kind, label_set in self.label_sets.items():
            record_personal(run_dir, label_set, self.evaluations[kind].documents, self.evaluations[kind].extractions)
        write_outcomes(Path(run_dir) / OUTCOMES, self.evaluations)
        write_metrics(run_dir, self.to_dict())
        # The outcomes hold all that the journals do.
        shutil.rmtree(Path(run_dir) / JOURNALS, ignore_errors=True)


def _row(kind: str, scores: Sequence[Scores]) -> dict[str, object]:
    strict = sum((one.strict.micro for one in scores), Counts())
    documents, values = sum(one.documents for one in scores), sum(one.values for one in scores)
    return {
        "kind": kind,
        "documents": documents,
        "support": strict.support,
        "precision": strict.precision,
        "recall": strict.recall,
        "f1": strict.f1,
        "string_f1": sum((one.string.micro for one in scores), Counts()).f1,
        "exact_record_rate": _share(sum(one.strict.exact_records for one in scores), documents),
        "hallucination_rate": _share(sum(one.invented for one in scores), values),
        "parse_failure_rate": _share(sum(one.malformed for one in scores), documents),
        "truncated_share": _share(sum(one.truncated for one in scores), documents),
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _faults(scores: Sequence[Scores]) -> str:
    """A sentence on answers that no score shows by itself."""
    faults = [
        (sum(one.invented for one in scores), "value that is not in the text", "values that are not in the text"),
        (sum(one.malformed for one in scores), "document with an unreadable answer", "documents with an unreadable answer"),
        (sum(one.truncated for one in scores), "document of which text or answer was cut", "documents of which text or answer was cut"),
    ]
    met = [counted(number, one, several) for number, one, several in faults if number]
    text = f" Faults: {', '.join(met)}." if met else " No value was invented, no answer was unreadable, nothing was cut."
    unasked = sum(number for one in scores for number in one.gold_not_asked.values())
    return text + (f" Not counted: {counted(unasked, 'gold value')} of labels that no label set asks for." if unasked else "")
