"""Tests whether two systems that read the same documents really differ; knows counts only, neither texts nor models.

All tests are two-sided. A difference is real when its p value, corrected for the number of comparisons, is at most alpha; the
interval shows how large it may be, for this one comparison, and decides nothing.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import bdtr, ndtri

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError, OptionError
from seqgpt_lab.evaluation.resampling import Metric, Outcomes, bootstrap_differences, changed_documents, paired, swapped_differences
from seqgpt_lab.evaluation.verdict import Settings, Verdict

# Differences that are equal on paper may differ in their last bits; far below what one value in any document set can change.
TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Records:
    """In how many documents all labels were exactly right in both systems, in one only, or in neither."""

    both: int
    only_baseline: int
    only_variant: int
    neither: int

    @property
    def p_value(self) -> float:
        """McNemar's test, exact: twice the chance of the smaller of the two `only` counts or less under Binomial(their sum, 1/2).

        At most 1.0, which is also the answer when no document is right in one system only.
        """
        return min(1.0, 2 * float(bdtr(min(self.only_baseline, self.only_variant), self.only_baseline + self.only_variant, 0.5)))


def judge(baseline: Outcomes, variant: Outcomes, metric: Metric = "micro_f1", settings: Settings | None = None) -> Verdict:
    """Compare one variant with a baseline; `judge_pairs` says how and what it raises."""
    return judge_pairs([(baseline, variant)], metric, settings)[0]


def judge_all(
    baseline: Outcomes, variants: Sequence[Outcomes], metric: Metric = "micro_f1", settings: Settings | None = None
) -> tuple[Verdict, ...]:
    """Compare each variant with one baseline on the same documents; `judge_pairs` says how and what it raises.

    All variants meet the same draws, so a verdict's interval and p value do not depend on the other variants.
    Raises OptionError for no variants and a name used twice too.
    """
    if not variants:
        raise OptionError(f"there is nothing to compare {baseline.name!r} with; give at least one variant")
    _check_names([baseline, *variants])
    return judge_pairs([(baseline, variant) for variant in variants], metric, settings)


def judge_pairs(
    pairs: Sequence[tuple[Outcomes, Outcomes]], metric: Metric = "micro_f1", settings: Settings | None = None
) -> tuple[Verdict, ...]:
    """Compare the second of each pair with the first, which is its baseline, and correct the p values for how many pairs there are.

    The two of a pair read the same documents, others perhaps than those of another pair. p values come from approximate randomisation,
    for the exact-record rate from McNemar's exact test (the same test, all swaps counted). No pairs give no verdicts.
    Raises OptionError for a pair of one name, an unknown metric and for resamples too few to ever reach alpha / comparisons;
    DocumentError for a single document, which says nothing about how documents vary; DocumentError and LabelError, naming the odd ones,
    when documents, gold or labels of a pair are not the same.
    """
    settings = settings or Settings()
    for pair in pairs:
        _check_names(pair)
        _check_documents(pair)
    _check_resamples(len(pairs), metric, settings)
    alone = [p_value(baseline, variant, metric, settings) for baseline, variant in pairs]
    return tuple(
        _verdict(baseline, paired(baseline, variant), metric, settings, (p_alone, adjusted, len(pairs)))
        for (baseline, variant), p_alone, adjusted in zip(pairs, alone, holm(alone), strict=True)
    )


def p_value(baseline: Outcomes, variant: Outcomes, metric: Metric = "micro_f1", settings: Settings | None = None) -> float:
    """Two-sided p value of one comparison, uncorrected.

    Approximate randomisation over documents: (1 + swaps with an absolute difference of at least the one met) / (1 + swaps), where
    the 1 keeps the test valid (Phipson and Smyth 2010). For the exact-record rate McNemar's exact p value. Raises what `paired` raises.
    """
    if metric == "exact_record_rate":
        return records(baseline, variant).p_value
    settings = settings or Settings()
    met = abs(variant.score(metric) - baseline.score(metric))
    swapped = swapped_differences(baseline, variant, metric, settings.resamples, _generators(settings)[1])
    return (1 + int((np.abs(swapped) >= met - TIE).sum())) / (1 + settings.resamples)


def records(baseline: Outcomes, variant: Outcomes) -> Records:
    """Count the whole-record outcomes of both systems. Raises what `paired` raises."""
    pairs = Counter(zip(baseline.exact.tolist(), paired(baseline, variant).exact.tolist(), strict=True))
    return Records(pairs[True, True], pairs[True, False], pairs[False, True], pairs[False, False])


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Holm's (1979) adjusted p values, in the order given; rejecting those of at most alpha errs at all with probability alpha at most.

    The i-th smallest of m (from 0) is multiplied by m - i, is no smaller than the one before it, and at most 1.0. Raises OptionError
    for a p value outside 0.0 to 1.0, both inclusive.
    """
    odd = [value for value in p_values if not 0.0 <= value <= 1.0]
    if odd:
        raise OptionError(f"p values are {odd[:5]}; wanted numbers from 0 to 1")
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(np.asarray(p_values, dtype=np.float64)[order] * factors))
    return tuple(adjusted.tolist())


def documents_needed(deviation: float, difference: float, settings: Settings | None = None, changed: float = 1.0) -> int | None:
    """How many documents a two-sided paired test needs to find a true `difference` with the settings' power at their alpha.

    Normal approximation, n = ((z(1 - alpha/2) + z(power)) * deviation / difference)^2, rounded up (Lachin 1981, formula for one mean).
    deviation: standard deviation of the paired difference a document, at least 0; for a metric that is no mean of documents, the
    bootstrap's standard error on N documents times sqrt(N). changed: the share of documents in which the systems differ, above 0 and
    at most 1. With k such documents the p value of a swap test is at least 2^(1 - k), so the answer is never below
    ceil(1 - log2(alpha)) / changed. None for a difference of 0, which no number of documents can find. Raises OptionError for numbers
    out of range.
    """
    settings = settings or Settings()
    if not (math.isfinite(difference) and 0 <= deviation < math.inf and 0 < changed <= 1):
        raise OptionError(
            f"deviation = {deviation}, difference = {difference}, changed = {changed}; "
            "wanted a deviation of at least 0, a finite difference and a share above 0 and at most 1"
        )
    if abs(difference) <= TIE:
        return None
    z = float(ndtri(1 - settings.alpha / 2) + ndtri(settings.power))
    return max(math.ceil((z * deviation / difference) ** 2), math.ceil(math.ceil(1 - math.log2(settings.alpha)) / changed))


def _verdict(baseline: Outcomes, variant: Outcomes, metric: Metric, settings: Settings, p_values: tuple[float, float, int]) -> Verdict:
    """p_values: alone, adjusted, and how many there are."""
    alone, adjusted, comparisons = p_values
    documents, changed = len(baseline.ids), changed_documents(baseline, variant, metric)
    differences = bootstrap_differences(baseline, variant, metric, settings.resamples, _generators(settings)[0])
    low, high = np.quantile(differences, [settings.alpha / 2, 1 - settings.alpha / 2])
    baseline_score, variant_score = baseline.score(metric), variant.score(metric)
    deviation = float(differences.std(ddof=1)) * math.sqrt(documents)
    # Without a document that differs there is no difference either, whatever the share is said to be.
    share, strictest = changed / documents or 1.0, replace(settings, alpha=settings.alpha / comparisons)
    needed = documents_needed(deviation, variant_score - baseline_score, strictest, share)
    if needed is not None and adjusted > settings.alpha:
        # On a handful of documents the normal approximation may ask for no more than there are, and these were not enough.
        needed = max(needed, documents + 1)
    return Verdict(
        baseline=baseline.name,
        variant=variant.name,
        metric=metric,
        baseline_score=baseline_score,
        variant_score=variant_score,
        low=float(low),
        high=float(high),
        p_value=alone,
        adjusted_p=adjusted,
        comparisons=comparisons,
        documents=documents,
        changed=changed,
        documents_needed=needed,
        settings=settings,
    )


def _check_names(systems: Sequence[Outcomes]) -> None:
    repeated = [name for name, times in Counter(one.name for one in systems).items() if times > 1]
    if repeated:
        raise OptionError(f"several systems are called {repeated[:5]}; give each its own name, or no verdict says which it means")


def _check_documents(systems: Sequence[Outcomes]) -> None:
    for one in systems:
        if len(one.ids) < 2:
            raise DocumentError(f"{one.name!r} was measured on a single document, {quoted(one.ids[0])}; comparing systems takes at least 2")


def _check_resamples(comparisons: int, metric: Metric, settings: Settings) -> None:
    wanted = math.ceil(comparisons / settings.alpha) - 1
    if metric != "exact_record_rate" and settings.resamples < wanted:
        raise OptionError(
            f"{settings.resamples} resamples cannot show any difference at alpha = {settings.alpha} among {comparisons} comparisons; "
            f"use at least {wanted}"
        )


def _generators(settings: Settings) -> list[np.random.Generator]:
    """One for the bootstrap and one for the swaps, so that neither depends on how much the other has drawn."""
    return np.random.default_rng(settings.seed).spawn(2)
