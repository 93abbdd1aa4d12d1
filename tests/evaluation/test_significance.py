"""The lab's tests of significance against scipy's and statsmodels', on planted differences, and on systems that do not differ."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

from seqgpt_lab.documents import Document
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.resampling import METRICS, Metric, Outcomes, bootstrap_differences, swapped_differences
from seqgpt_lab.evaluation.significance import Records, documents_needed, holm, judge, judge_all, judge_pairs, p_value, records
from seqgpt_lab.evaluation.verdict import Settings, Verdict
from seqgpt_lab.extraction.extraction import Extraction

Pair = tuple[Document, Extraction]
LABELS = ("A", "B", "C")
QUICK = Settings(resamples=400)


def drawn(name: str, recall: float, support: NDArray[np.int64], generator: np.random.Generator) -> Outcomes:
    """A system that finds each gold value with probability `recall` and invents 0.1 a label and document. support: (documents, labels)."""
    right = generator.binomial(support, recall)
    counts = np.stack([right, generator.poisson(0.1, support.shape), support - right], axis=-1)
    return Outcomes(name, tuple(f"d{number}" for number in range(len(support))), LABELS[: support.shape[1]], counts)


def two_systems(documents: int, first: float, second: float, seed: int, labels: int = 3) -> tuple[Outcomes, Outcomes]:
    generator = np.random.default_rng(seed)
    support = generator.integers(0, 4, (documents, labels))
    return drawn("old", first, support, generator), drawn("new", second, support, generator)


def by_records(both: int, only_first: int, only_second: int, neither: int) -> tuple[Outcomes, Outcomes]:
    """One gold value a document, which is found or not."""
    first = np.repeat([1, 1, 0, 0], [both, only_first, only_second, neither])
    second = np.repeat([1, 0, 1, 0], [both, only_first, only_second, neither])
    ids = tuple(f"d{number}" for number in range(len(first)))
    old, new = (Outcomes(n, ids, ("A",), np.stack([r, 0 * r, 1 - r], axis=-1)[:, None]) for n, r in (("old", first), ("new", second)))
    return old, new


def micro_f1(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Shape (..., documents, labels, 3) to (...); written another way than the lab's."""
    right, wrong, missing = np.moveaxis(counts.sum(axis=(-3, -2)), -1, 0)
    precision, recall = right / (right + wrong), right / (right + missing)
    return 2 * precision * recall / (precision + recall)


# scores


@pytest.mark.parametrize("metric", METRICS)
def test_scores_are_those_of_the_evaluation(make_pair: Callable[..., Pair], metric: Metric) -> None:
    pairs = [
        make_pair("甲乙丙丁", {"A": [(0, 1), (1, 2)]}, {"A": [(0, 1), (2, 4)], "B": []}, name="1"),
        make_pair("甲乙丙丁", {"B": [(3, 4)]}, {"A": [], "B": [(3, 4)]}, name="2"),
        make_pair("甲乙丙丁", {}, {"A": [], "B": []}, name="3"),
    ]
    strict = Scores.from_pairs(pairs, LABELS).strict
    wanted = {"micro_f1": strict.micro.f1, "macro_f1": strict.macro.f1, "exact_record_rate": strict.exact_record_rate}
    assert Outcomes.from_pairs("x", pairs, LABELS).score(metric) == pytest.approx(wanted[metric])


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_wanted_and_nothing_given_scores_one(metric: Metric) -> None:
    nothing = Outcomes("x", ("1", "2"), LABELS, np.zeros((2, 3, 3), dtype=np.int64))
    assert nothing.score(metric) == 1.0
    assert not judge(nothing, replace(nothing, name="y"), metric, QUICK).real


# agreement with scipy and statsmodels


def test_the_interval_is_scipys_paired_percentile_bootstrap() -> None:
    old, new = two_systems(60, 0.75, 0.85, seed=1)
    verdict = judge(old, new)

    def difference(places: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        return micro_f1(new.counts[places]) - micro_f1(old.counts[places])

    theirs = stats.bootstrap(
        (np.arange(60),), difference, n_resamples=10_000, batch=1_000, method="percentile", rng=np.random.default_rng(7)
    )
    spread = theirs.standard_error
    assert verdict.difference == pytest.approx(float(difference(np.arange(60), -1)))
    assert verdict.low == pytest.approx(theirs.confidence_interval.low, abs=0.12 * spread)
    assert verdict.high == pytest.approx(theirs.confidence_interval.high, abs=0.12 * spread)
    ours = bootstrap_differences(old, new, "micro_f1", 10_000, np.random.default_rng(3))
    assert ours.std(ddof=1) == pytest.approx(spread, rel=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_the_p_value_is_that_of_scipys_permutation_test_over_all_swaps(seed: int) -> None:
    old, new = two_systems(10, 0.6, 0.85, seed)
    stacked = np.concatenate([old.counts, new.counts])

    def difference(first: NDArray[np.int64], second: NDArray[np.int64], axis: int) -> NDArray[np.float64]:
        return micro_f1(stacked[second]) - micro_f1(stacked[first])

    theirs = stats.permutation_test((np.arange(10), np.arange(10, 20)), difference, permutation_type="samples", n_resamples=2_000)
    assert p_value(old, new, "micro_f1", Settings(resamples=20_000)) == pytest.approx(theirs.pvalue, abs=0.015)


def test_a_p_value_is_never_below_what_the_draws_can_show() -> None:
    old, new = by_records(0, 0, 60, 0)
    assert p_value(old, new, "micro_f1", Settings(resamples=199)) == 1 / 200


@pytest.mark.parametrize("table", [(3, 0, 0, 2), (20, 2, 11, 4), (0, 7, 7, 0), (50, 9, 1, 0), (1, 0, 6, 1), (5, 40, 25, 5)])
def test_mcnemar_is_that_of_statsmodels_and_scipy(table: tuple[int, int, int, int]) -> None:
    old, new = by_records(*table)
    found = records(old, new)
    assert found == Records(*table)
    both, only_old, only_new, neither = table
    assert found.p_value == pytest.approx(mcnemar([[both, only_old], [only_new, neither]], exact=True).pvalue)
    if only_old + only_new:
        assert found.p_value == pytest.approx(stats.binomtest(only_old, only_old + only_new).pvalue)
    assert judge(old, new, "exact_record_rate").p_value == found.p_value


def test_swapping_whole_records_is_mcnemars_test() -> None:
    old, new = by_records(20, 3, 11, 4)
    swapped = swapped_differences(old, new, "exact_record_rate", 20_000, np.random.default_rng(5))
    assert np.mean(np.abs(swapped) >= 8 / 38 - 1e-9) == pytest.approx(records(old, new).p_value, abs=0.01)


@pytest.mark.parametrize(
    "p_values",
    [[0.3], [0.01, 0.01, 0.02, 0.01], [1.0, 0.0, 0.5, 0.02], *(np.random.default_rng(seed).beta(0.4, 4, 25).tolist() for seed in range(5))],
)
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_holm_keeps_the_order_and_takes_nothing_for_nothing() -> None:
    assert holm([0.04, 0.01, 0.03]) == pytest.approx((0.06, 0.03, 0.06))
    assert holm([]) == ()


@pytest.mark.parametrize("settings", [Settings(), Settings(alpha=0.01, power=0.9)])
@pytest.mark.parametrize(("deviation", "difference"), [(0.4, 0.02), (0.4, -0.02), (0.25, 0.05)])
def test_documents_needed_is_statsmodels_sample_size_of_one_mean(settings: Settings, deviation: float, difference: float) -> None:
    # ratio=0: one sample. Their two-sided power also counts finding the opposite, which is nothing at these powers.
    theirs = NormalIndPower().solve_power(abs(difference) / deviation, alpha=settings.alpha, power=settings.power, ratio=0)
    assert documents_needed(deviation, difference, settings) == math.ceil(theirs)


# no difference, and real ones


def test_systems_alike_are_rarely_told_apart_and_the_interval_mostly_holds_zero() -> None:
    verdicts = [judge(*two_systems(50, 0.8, 0.8, seed), "micro_f1", QUICK) for seed in range(200)]
    # 5% are due; one repeat in 200 tells little more than 0.015 exactly.
    assert np.mean([one.real for one in verdicts]) <= 0.05 + 0.03
    assert 0.90 <= np.mean([one.low <= 0 <= one.high for one in verdicts]) <= 0.985
    # A test that never raises an alarm would pass the above.
    assert np.mean([one.p_value <= 0.5 for one in verdicts]) == pytest.approx(0.5, abs=0.1)


def test_many_variants_alike_raise_no_more_false_alarms_than_one() -> None:
    settings = Settings(resamples=300)
    alarms, uncorrected = 0, 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        support = generator.integers(0, 4, (30, 2))
        old, *others = (drawn(f"v{number}", 0.8, support, generator) for number in range(6))
        alone = [p_value(old, other, "micro_f1", settings) for other in others]
        alarms += min(holm(alone)) <= 0.05
        uncorrected += min(alone) <= 0.05
    assert alarms / 200 <= 0.05 + 0.03
    assert uncorrected / 200 > 0.1, "without the correction there are more, or this shows nothing"


@pytest.mark.parametrize("metric", METRICS)
def test_a_planted_difference_is_found_and_named(metric: Metric) -> None:
    old, new = two_systems(150, 0.65, 0.85, seed=4)
    verdict = judge(old, new, metric)
    assert verdict.real and verdict.better == "new" and verdict.p_value < 0.01
    assert 0 < verdict.low < verdict.difference < verdict.high
    assert verdict.sentence().startswith("'new' has a higher ") and "no real difference" not in verdict.sentence()
    mirrored = judge(new, old, metric)
    assert mirrored.better == "new" and "has a lower" in mirrored.sentence()
    assert (mirrored.low, mirrored.high) == pytest.approx((-verdict.high, -verdict.low))
    assert mirrored.p_value == pytest.approx(verdict.p_value, abs=0.005)


@pytest.mark.parametrize("metric", METRICS)
def test_the_very_same_outcomes_are_no_real_difference(metric: Metric) -> None:
    old, _ = two_systems(40, 0.8, 0.8, seed=2)
    verdict = judge(old, replace(old, name="copy"), metric)
    assert (verdict.difference, verdict.low, verdict.high, verdict.p_value, verdict.changed) == (0.0, 0.0, 0.0, 1.0, 0)
    assert verdict.documents_needed is None and verdict.better is None
    assert "no real difference" in verdict.sentence() and "would take" not in verdict.sentence()


def test_a_small_difference_says_how_many_documents_would_tell() -> None:
    old, new = two_systems(40, 0.80, 0.82, seed=1)
    verdict = judge(old, new)
    assert not verdict.real and verdict.documents_needed is not None and verdict.documents_needed > 40
    assert f"about {verdict.documents_needed:,} such documents (power 80%)" in verdict.sentence()


def test_with_the_documents_needed_a_difference_is_found_as_often_as_promised() -> None:
    pilot = judge(*two_systems(3_000, 0.78, 0.85, seed=11), "micro_f1", QUICK)
    needed = pilot.documents_needed
    assert needed is not None and 30 < needed < 300
    found = [p_value(*two_systems(needed, 0.78, 0.85, seed), "micro_f1", QUICK) <= 0.05 for seed in range(200)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.1)


def test_too_few_changed_documents_can_never_be_enough() -> None:
    # Five of eight documents mended and none broken: p is 2 / 2^5, however steady the gain looks.
    verdict = judge(*by_records(3, 0, 5, 0), "exact_record_rate")
    assert verdict.p_value == pytest.approx(2 / 32) and not verdict.real
    assert verdict.documents_needed == 10
    assert documents_needed(0.0, 0.5) == 6


def test_more_documents_are_asked_for_than_were_not_enough() -> None:
    # Five of six documents read much better and one a little worse: by the normal approximation, six would do.
    old = np.array([[0, 0, 4]] * 5 + [[2, 0, 0]])[:, None]
    new = np.array([[4, 0, 0]] * 5 + [[1, 0, 1]])[:, None]
    verdict = judge(*(Outcomes(name, tuple("123456"), ("A",), counts) for name, counts in (("old", old), ("new", new))))
    assert not verdict.real and verdict.documents_needed == 7
    assert "On 6 documents" in verdict.sentence() and "about 7 such documents" in verdict.sentence()


# the verdict


def test_corrected_p_values_decide_and_more_documents_are_asked_for_among_more_variants() -> None:
    old, new = two_systems(45, 0.75, 0.82, seed=0)
    alone = judge(old, new)
    many = judge_all(old, [new, *(replace(old, name=f"copy {number}") for number in range(19))])
    assert alone.real and not many[0].real
    assert many[0].adjusted_p == pytest.approx(20 * alone.p_value) and many[0].comparisons == 20
    assert (many[0].low, many[0].high, many[0].p_value) == (alone.low, alone.high, alone.p_value)
    assert many[0].documents_needed is not None and alone.documents_needed is not None
    assert many[0].documents_needed > alone.documents_needed
    assert "after Holm's correction for 20 comparisons" in many[0].sentence()


def test_pairs_on_documents_of_their_own_are_corrected_together() -> None:
    pairs = [two_systems(40, 0.75, 0.82, seed) for seed in range(3)]
    pairs[1] = (without(pairs[1][0], "d3"), without(pairs[1][1], "d3"))
    found, alone = judge_pairs(pairs, "micro_f1", QUICK), [judge(old, new, "micro_f1", QUICK) for old, new in pairs]
    assert [one.adjusted_p for one in found] == list(holm([one.p_value for one in alone]))
    # As among that many variants of one baseline, whatever the others are.
    assert [one.documents_needed for one in found] == [
        judge_all(old, [new, replace(old, name="x"), replace(old, name="y")], "micro_f1", QUICK)[0].documents_needed for old, new in pairs
    ]
    assert [one.documents for one in found] == [40, 39, 40]
    assert judge_pairs([]) == ()


def test_the_seed_alone_decides_the_draws() -> None:
    old, new = two_systems(40, 0.8, 0.85, seed=4)
    first, again, other = (judge(old, new, "micro_f1", replace(QUICK, seed=seed)) for seed in (1, 1, 2))
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_batches_of_draws_change_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = two_systems(40, 0.8, 0.85, seed=4)
    whole = judge(old, new, "macro_f1", QUICK)
    monkeypatch.setattr("seqgpt_lab.evaluation.resampling.BATCH_CELLS", 1_001)
    in_parts = judge(old, new, "macro_f1", QUICK)
    assert (in_parts.low, in_parts.high) == pytest.approx((whole.low, whole.high), abs=0.02)
    assert in_parts.p_value == pytest.approx(whole.p_value, abs=0.15)


def test_a_verdict_is_json_ready_and_reads_as_written() -> None:
    verdict = Verdict("旧", "新", "micro_f1", 0.8, 0.8312, -0.0041, 0.066, 0.0812, 0.0812, 1, 60, 21, 1234, Settings())
    assert verdict.sentence() == (
        "On 60 documents no real difference in micro F1 is shown between '新' and '旧': 0.831 against 0.800 "
        "(+3.12 points, 95% interval -0.41 to +6.60, p = 0.081). "
        "Telling a difference of this size apart would take about 1,234 such documents (power 80%)."
    )
    found = json.loads(json.dumps(verdict.to_dict()))
    assert found["sentence"] == verdict.sentence() and found["settings"]["resamples"] == 10_000 and found["real"] is False


@pytest.mark.parametrize("documents", (2, 20, 480))
def test_documents_that_are_all_alike_bound_how_many_others_may_differ_and_show_no_interval(documents: int) -> None:
    old, _ = two_systems(documents, 0.8, 0.8, seed=3)
    said = judge(old, replace(old, name="new"), settings=QUICK).sentence()
    most = stats.binomtest(0, documents, alternative="less").proportion_ci(0.95, "exact").high
    assert "no real difference" in said and "interval" not in said and "(+0.00 points, p = 1.000)" in said
    assert said.endswith(f" None of them is scored differently; of documents like these up to {most:.1%} may be (95% bound).")


# documents and labels


def test_the_order_of_documents_and_labels_does_not_matter() -> None:
    old, new = two_systems(40, 0.75, 0.85, seed=6)
    turned = Outcomes(new.name, new.ids[::-1], new.labels[::-1], new.counts[::-1, ::-1])
    for metric in METRICS:
        assert judge(old, turned, metric, QUICK) == judge(old, new, metric, QUICK)


def without(outcomes: Outcomes, *names: str) -> Outcomes:
    kept = [place for place, name in enumerate(outcomes.ids) if name not in names]
    return Outcomes(outcomes.name, tuple(outcomes.ids[place] for place in kept), outcomes.labels, outcomes.counts[kept])


def test_documents_that_only_one_system_read_are_named() -> None:
    old, new = two_systems(12, 0.8, 0.8, seed=0)
    with pytest.raises(DocumentError, match=r"'old' was measured on ⟪d3⟫, ⟪d7⟫, 'new' was not"):
        judge(old, without(new, "d3", "d7"))
    with pytest.raises(DocumentError, match=r"'new' was measured on ⟪d3⟫"):
        records(without(old, "d3"), new)
    with pytest.raises(DocumentError, match="⟪d0⟫, ⟪d1⟫, ⟪d2⟫, ⟪d3⟫, ⟪d4⟫ and 3 more"):
        p_value(old, without(new, *(f"d{number}" for number in range(8))))


def test_documents_whose_gold_differs_are_named() -> None:
    old, new = two_systems(12, 0.8, 0.8, seed=0)
    counts = new.counts.copy()
    counts[4, 1, 2] += 1
    with pytest.raises(DocumentError, match=r"gold of ⟪d4⟫ is not the same"):
        judge(old, replace(new, counts=counts))


def test_labels_that_only_one_system_was_asked_are_named() -> None:
    old, new = two_systems(12, 0.8, 0.8, seed=0)
    with pytest.raises(LabelError, match=r"'C', 'D'"):
        judge(old, replace(new, labels=("A", "B", "D")))


@pytest.mark.parametrize(
    ("ids", "counts", "said"),
    [
        ((), np.zeros((0, 3, 3), dtype=int), "on no documents"),
        (("1", "1"), np.zeros((2, 3, 3), dtype=int), "several documents called ⟪1⟫"),
        (("1", "2"), np.zeros((2, 2, 3), dtype=int), r"shape \(2, 2, 3\)"),
        (("1", "2"), np.full((2, 3, 3), -1), "at least 0"),
        (("1", "2"), np.full((2, 3, 3), 0.5), "float64"),
    ],
)
def test_counts_that_cannot_be_compared_are_refused(ids: Sequence[str], counts: NDArray[np.int64], said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        Outcomes("x", tuple(ids), LABELS, counts)


def test_a_single_document_is_scored_and_not_compared() -> None:
    one, other = (Outcomes(name, ("only",), LABELS, np.ones((1, 3, 3), dtype=int)) for name in ("old", "new"))
    assert one.score("micro_f1") == 0.5
    with pytest.raises(DocumentError, match="'old' was measured on a single document, ⟪only⟫; comparing systems takes at least 2"):
        judge(one, other)


def test_no_variants_names_used_twice_and_unknown_metrics_are_refused() -> None:
    old, new = two_systems(12, 0.8, 0.8, seed=0)
    with pytest.raises(OptionError, match="at least one variant"):
        judge_all(old, [])
    with pytest.raises(OptionError, match="'old'"):
        judge(old, old)
    with pytest.raises(OptionError, match="accuracy"):
        judge(old, new, "accuracy")  # type: ignore[arg-type]


def test_too_few_resamples_to_find_anything_among_many_variants_are_refused() -> None:
    old, new = two_systems(12, 0.8, 0.8, seed=0)
    variants = [replace(new, name=f"v{number}") for number in range(10)]
    with pytest.raises(OptionError, match="use at least 199"):
        judge_all(old, variants, "micro_f1", Settings(resamples=198))
    assert len(judge_all(old, variants, "micro_f1", Settings(resamples=199))) == 10


@pytest.mark.parametrize("change", [{"resamples": 99}, {"seed": -1}, {"alpha": 0.0}, {"power": 1.0}, {"alpha": 0.9}, {"power": math.nan}])
def test_settings_out_of_range_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        replace(Settings(), **change)


@pytest.mark.parametrize(
    ("deviation", "difference", "changed"), [(-1, 0.1, 1), (1, math.nan, 1), (math.inf, 0.1, 1), (1, 0.1, 0), (1, 0.1, 1.5)]
)
def test_numbers_out_of_range_are_refused(deviation: float, difference: float, changed: float) -> None:
    with pytest.raises(OptionError):
        documents_needed(deviation, difference, changed=changed)
    with pytest.raises(OptionError):
        holm([0.5, -changed - 1])
