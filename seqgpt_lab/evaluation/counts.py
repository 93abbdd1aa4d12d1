"""Turns right, wrong and missing values into precision, recall and F1; knows nothing of documents or labels' meaning.

What to do with 0/0: where nothing was wanted and nothing was given (all three counts are 0), precision, recall and F1 are 1.0,
for the answer is perfect; every other 0/0 is 0.0 (values were wanted but none given, or given but none wanted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives, false negatives."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def support(self) -> int:
        """How many values the gold holds: true positives + false negatives."""
        return self.true_positives + self.false_negatives

    @property
    def empty(self) -> bool:
        """Whether nothing was wanted and nothing given."""
        return not (self.true_positives or self.false_positives or self.false_negatives)

    @property
    def exact(self) -> bool:
        """Whether nothing was wrong and nothing missing."""
        return not (self.false_positives or self.false_negatives)

    @property
    def precision(self) -> float:
        """TP / (TP + FP); 0/0 as the module says."""
        return self._share(self.true_positives + self.false_positives)

    @property
    def recall(self) -> float:
        """TP / (TP + FN); 0/0 as the module says."""
        return self._share(self.support)

    @property
    def f1(self) -> float:
        """2 TP / (2 TP + FP + FN), the harmonic mean of precision and recall; 0/0 as the module says."""
        return 1.0 if self.empty else 2 * self.true_positives / (2 * self.true_positives + self.false_positives + self.false_negatives)

    def to_dict(self) -> dict[str, float]:
        """Precision, recall, F1, support and the three counts, JSON-ready."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "support": self.support,
            "true_positives": self.true_positives,
            "false_positives": self.false_positives,
            "false_negatives": self.false_negatives,
        }

    def _share(self, whole: int) -> float:
        if self.empty:
            return 1.0
        return self.true_positives / whole if whole else 0.0


@dataclass(frozen=True, slots=True)
class Averages:
    """Unweighted means over `labels` labels."""

    precision: float
    recall: float
    f1: float
    labels: int

    def to_dict(self) -> dict[str, float]:
        """The three means and how many labels they are over, JSON-ready."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "labels": self.labels}


@dataclass(frozen=True, slots=True)
class Measure:
    """Counts a label for one way of comparing values, and in how many of `documents` all labels were exactly right."""

    per_label: Mapping[str, Counts]
    exact_records: int
    documents: int

    @property
    def micro(self) -> Counts:
        """All labels' counts added up."""
        return sum(self.per_label.values(), Counts())

    @property
    def macro(self) -> Averages:
        """Means over the labels that were wanted or given at least once (the others would raise them for nothing); 1.0 without any."""
        seen = [counts for counts in self.per_label.values() if not counts.empty] or [Counts()]
        total = len(seen)
        precision, recall, f1 = (sum(values) / total for values in zip(*((one.precision, one.recall, one.f1) for one in seen), strict=True))
        return Averages(precision, recall, f1, 0 if seen[0].empty else total)

    @property
    def exact_record_rate(self) -> float:
        """Documents with all labels exactly right / documents; 1.0 without documents."""
        return self.exact_records / self.documents if self.documents else 1.0

    def to_dict(self) -> dict[str, object]:
        """micro, macro, per_label (label -> counts), exact_records and exact_record_rate, JSON-ready."""
        return {
            "micro": self.micro.to_dict(),
            "macro": self.macro.to_dict(),
            "per_label": {label: counts.to_dict() for label, counts in self.per_label.items()},
            "exact_records": self.exact_records,
            "exact_record_rate": self.exact_record_rate,
        }
