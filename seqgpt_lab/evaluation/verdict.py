"""Tells in numbers and in words how a variant compares with a baseline; knows neither how that was computed nor any document."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.resampling import Metric

METRIC_NAMES: dict[Metric, str] = {"micro_f1": "micro F1", "macro_f1": "macro F1", "exact_record_rate": "exact-record rate"}


@dataclass(frozen=True, slots=True)
class Settings:
    """How to test. resamples: draws for the interval and again for the p value, at least 100; seed: not below 0, fixes all draws.

    alpha: the share of false alarms accepted, power: the share of real differences to be found; both between 0 and 1, exclusive,
    and power above alpha. Raises OptionError for anything else.
    """

    resamples: int = 10_000
    seed: int = 0
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        if self.resamples < 100 or self.seed < 0:
            raise OptionError(
                f"resamples = {self.resamples} and seed = {self.seed}; wanted at least 100 resamples and a seed of at least 0"
            )
        if not 0 < self.alpha < self.power < 1:
            raise OptionError(f"alpha = {self.alpha} and power = {self.power}; wanted 0 < alpha < power < 1, such as 0.05 and 0.8")


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a variant compares with a baseline on the same documents.

    difference: the variant's score minus the baseline's, scores being 0.0 to 1.0. low, high: the percentile bootstrap interval of the
    difference over documents, bounds inclusive, that holds 1 - alpha of the resamples, not widened for several comparisons.
    p_value: of this comparison alone; adjusted_p: after Holm's correction for `comparisons`. changed: documents whose counts
    (for the exact-record rate: whose exactness) differ.
    documents_needed: how many documents like these would tell a true difference of this size apart with the settings' power at
    alpha / comparisons, more than these where they did not; None when the scores are the same.
    """

    baseline: str
    variant: str
    metric: Metric
    baseline_score: float
    variant_score: float
    low: float
    high: float
    p_value: float
    adjusted_p: float
    comparisons: int
    documents: int
    changed: int
    documents_needed: int | None
    settings: Settings

    @property
    def difference(self) -> float:
        """Variant minus baseline, -1.0 to 1.0."""
        return self.variant_score - self.baseline_score

    @property
    def real(self) -> bool:
        """Whether the adjusted p value is at most alpha."""
        return self.adjusted_p <= self.settings.alpha

    @property
    def better(self) -> str | None:
        """The name of the system that is really better, None when there is no real difference."""
        if not self.real:
            return None
        return self.variant if self.difference > 0 else self.baseline

    def sentence(self) -> str:
        """The verdict in words; contains "no real difference" exactly when it is not real. Differences are in points of 0.01."""
        metric, scores = METRIC_NAMES[self.metric], f"{self.variant_score:.3f} against {self.baseline_score:.3f}"
        low, high = _points(self.low), _points(self.high)
        # Where no document differs the bootstrap has nothing to draw, and its interval is a point that says too much.
        interval = f"{100 * (1 - self.settings.alpha):g}% interval {low} to {high}, " if self.changed else ""
        facts = f"{_points(self.difference)} points, {interval}{self._p_in_words()}"
        if self.real:
            word = "higher" if self.difference > 0 else "lower"
            return f"{self.variant!r} has a {word} {metric} than {self.baseline!r} on {self.documents} documents: {scores} ({facts})."
        # Not that there is none: a large difference on a handful of documents proves as little as a small one.
        told = f"On {self.documents} documents no real difference in {metric} is shown between {self.variant!r} and {self.baseline!r}: "
        return f"{told}{scores} ({facts}).{self._needed_in_words() if self.changed else self._alike_in_words()}"

    def to_dict(self) -> dict[str, Any]:
        """Everything, the sentence included, JSON-ready."""
        return {**asdict(self), "difference": self.difference, "real": self.real, "better": self.better, "sentence": self.sentence()}

    def _p_in_words(self) -> str:
        told = "p < 0.001" if self.adjusted_p < 0.001 else f"p = {self.adjusted_p:.3f}"
        return told if self.comparisons == 1 else f"{told} after Holm's correction for {self.comparisons} comparisons"

    def _alike_in_words(self) -> str:
        """How many documents may differ although none did: the exact binomial bound (Hanley and Lippman-Hand 1983)."""
        most, sure = 1 - self.settings.alpha ** (1 / self.documents), 100 * (1 - self.settings.alpha)
        return f" None of them is scored differently; of documents like these up to {most:.1%} may be ({sure:g}% bound)."

    def _needed_in_words(self) -> str:
        if self.documents_needed is None:
            return ""
        needed, power = self.documents_needed, 100 * self.settings.power
        return f" Telling a difference of this size apart would take about {needed:,} such documents (power {power:g}%)."


def _points(difference: float) -> str:
    # Adding 0.0 turns -0.0 into 0.0.
    return f"{round(100 * difference, 2) + 0.0:+.2f}"
