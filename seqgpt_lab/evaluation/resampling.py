"""Keeps what systems got right document by document and rescores pairs of them on documents drawn or swapped at random; judges nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.evaluation.comparison import check_labels
from seqgpt_lab.evaluation.metrics import strict_counts
from seqgpt_lab.extraction.extraction import Extraction

Metric = Literal["micro_f1", "macro_f1", "exact_record_rate"]
METRICS: tuple[Metric, ...] = get_args(Metric)
Floats = NDArray[np.float64]

# How many numbers one batch of draws may hold, so that it takes tens of megabytes whatever the number of documents and resamples.
BATCH_CELLS = 1_000_000
NAMED = 5


@dataclass(frozen=True, slots=True, eq=False)
class Outcomes:
    """What one system (a model, a label set) got right, wrong and missed in each document.

    counts: shape (documents, labels, 3), integers of at least 0, the last axis being true positives, false positives and false
    negatives compared strictly; kept as a read-only copy. ids and labels name the first two axes, each without repeats. Raises
    DocumentError for no documents, repeated ids and counts of another shape or below 0; LabelError for empty or repeated labels.
    """

    name: str
    ids: tuple[str, ...]
    labels: tuple[str, ...]
    counts: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_labels(self.labels)
        if not self.ids:
            raise DocumentError(f"{self.name!r} was measured on no documents; give at least 1, and 2 to compare systems")
        repeated = [name for name, times in Counter(self.ids).items() if times > 1]
        if repeated:
            raise DocumentError(f"{self.name!r} has several documents called {some_of(repeated)}; give every document its own id")
        met, wanted = np.asarray(self.counts), (len(self.ids), len(self.labels), 3)
        if met.shape != wanted or not np.issubdtype(met.dtype, np.integer) or met.min() < 0:
            raise DocumentError(
                f"{self.name!r} has counts of shape {met.shape} and type {met.dtype}; "
                f"wanted {wanted} (documents, labels, 3), integers of at least 0"
            )
        counts = met.astype(np.int64)
        counts.setflags(write=False)
        object.__setattr__(self, "counts", counts)

    @classmethod
    def from_pairs(cls, name: str, pairs: Iterable[tuple[Document, Extraction]], labels: Sequence[str]) -> Outcomes:
        """Count pairs of a gold document and its extraction on `labels`, the field names that both systems have in common.

        Raises DocumentError when a pair does not belong together, and what the class raises.
        """
        check_labels(labels)
        documents = [(document.id, strict_counts(document, extraction, labels)) for document, extraction in pairs]
        rows = [
            [(one.true_positives, one.false_positives, one.false_negatives) for one in (counts[label] for label in labels)]
            for _, counts in documents
        ]
        return cls(name, tuple(name for name, _ in documents), tuple(labels), np.array(rows, dtype=np.int64))

    @property
    def exact(self) -> NDArray[np.bool_]:
        """Shape (documents,): whether nothing was wrong and nothing missing in any label."""
        whole: NDArray[np.bool_] = (self.counts[:, :, 1:] == 0).reshape(len(self.ids), -1).all(axis=1)
        return whole

    def score(self, metric: Metric) -> float:
        """The metric on all documents, 0.0 to 1.0, as `Scores.strict` gives it. Raises OptionError for an unknown metric."""
        return float(_scores(_features(self, metric).sum(axis=0), metric, len(self.ids)))


def paired(baseline: Outcomes, variant: Outcomes) -> Outcomes:
    """The variant with its documents and labels in the baseline's order.

    Raises DocumentError naming the documents that only one of the two has, or whose gold holds another number of values (true
    positives + false negatives) of some label; LabelError naming the labels that only one of the two has.
    """
    for name, other, missing in (
        (baseline.name, variant.name, _lacking(baseline.ids, variant.ids)),
        (variant.name, baseline.name, _lacking(variant.ids, baseline.ids)),
    ):
        if missing:
            raise DocumentError(f"{name!r} was measured on {some_of(missing)}, {other!r} was not; compare both on the same documents")
    odd = _lacking(baseline.labels, variant.labels) + _lacking(variant.labels, baseline.labels)
    if odd:
        named = some_of(odd, repr)
        raise LabelError(f"of {baseline.name!r} and {variant.name!r} only one has the labels {named}; compare the labels both have")
    aligned = _reordered(variant, baseline.ids, baseline.labels)
    changed = (_support(aligned) != _support(baseline)).any(axis=1)
    if changed.any():
        names = [name for name, one in zip(baseline.ids, changed, strict=True) if one]
        raise DocumentError(
            f"the gold of {some_of(names)} is not the same for {baseline.name!r} and {variant.name!r}; use one gold for both"
        )
    return aligned


def bootstrap_differences(baseline: Outcomes, variant: Outcomes, metric: Metric, resamples: int, generator: np.random.Generator) -> Floats:
    """Shape (resamples,): the metric of the variant minus that of the baseline on documents drawn with replacement.

    What is resampled are whole documents, as many as there are, the same ones for both systems (paired bootstrap: Efron and
    Tibshirani 1993, for language systems Koehn 2004). Raises what `paired` raises, and OptionError for an unknown metric.
    """
    both = np.concatenate([_features(baseline, metric), _features(paired(baseline, variant), metric)], axis=1)
    documents = len(both)
    differences = []
    for size in _batches(resamples, max(both.shape)):
        drawn = generator.integers(0, documents, (size, documents)) + documents * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * documents).reshape(size, documents)
        first, second = np.split(times.astype(np.float64) @ both, 2, axis=1)
        differences.append(_scores(second, metric, documents) - _scores(first, metric, documents))
    return np.concatenate(differences)


def swapped_differences(baseline: Outcomes, variant: Outcomes, metric: Metric, resamples: int, generator: np.random.Generator) -> Floats:
    """Shape (resamples,): the same difference where each document's two results change places with probability 1/2.

    So are the differences spread when it does not matter which system read a document (approximate randomisation: Noreen 1989, for
    F1 Yeh 2000). Raises what `paired` raises, and OptionError for an unknown metric.
    """
    first, second = _features(baseline, metric), _features(paired(baseline, variant), metric)
    # Documents with the same result in both change nothing by being swapped, and mostly they are the many.
    moved = (second - first)[(second != first).any(axis=1)]
    differences = []
    for size in _batches(resamples, max(moved.shape)):
        gain = generator.integers(0, 2, (size, len(moved)), dtype=np.uint8).astype(np.float64) @ moved
        swapped = _scores(second.sum(axis=0) - gain, metric, len(first)) - _scores(first.sum(axis=0) + gain, metric, len(first))
        differences.append(swapped)
    return np.concatenate(differences)


def changed_documents(baseline: Outcomes, variant: Outcomes, metric: Metric) -> int:
    """In how many documents the two differ in what the metric adds up. Raises what `bootstrap_differences` raises."""
    first, second = _features(baseline, metric), _features(paired(baseline, variant), metric)
    return int((first != second).any(axis=1).sum())


def _features(outcomes: Outcomes, metric: Metric) -> Floats:
    """Shape (documents, numbers): what to add up over documents to compute the metric."""
    if metric not in METRICS:
        raise OptionError(f"the metric is {metric!r}; wanted one of {', '.join(METRICS)}")
    if metric == "exact_record_rate":
        return outcomes.exact[:, None].astype(np.float64)
    counts = outcomes.counts.sum(axis=1) if metric == "micro_f1" else outcomes.counts.reshape(len(outcomes.ids), -1)
    return counts.astype(np.float64)


def _scores(totals: Floats, metric: Metric, documents: int) -> Floats:
    """Totals of shape (..., numbers) to scores of shape (...)."""
    if metric == "exact_record_rate":
        rate: Floats = totals[..., 0] / documents
        return rate
    return _mean_f1(totals.reshape(*totals.shape[:-1], -1, 3))


def _mean_f1(totals: Floats) -> Floats:
    """Shape (..., labels, 3) to (...): mean F1 of the labels wanted or given at least once, 1.0 without any; micro has one label."""
    twice = 2 * totals[..., 0]
    sizes = twice + totals[..., 1] + totals[..., 2]
    f1 = np.divide(twice, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    labels = (sizes > 0).sum(axis=-1)
    summed = np.asarray(f1.sum(axis=-1))
    mean: Floats = np.divide(summed, labels, out=np.ones_like(summed), where=labels > 0)
    return mean


def _batches(resamples: int, widest: int) -> Iterator[int]:
    step = max(1, BATCH_CELLS // max(1, widest))
    for start in range(0, resamples, step):
        yield min(step, resamples - start)


def _support(outcomes: Outcomes) -> NDArray[np.int64]:
    support: NDArray[np.int64] = outcomes.counts[:, :, 0] + outcomes.counts[:, :, 2]
    return support


def _lacking(names: Sequence[str], others: Iterable[str]) -> list[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _reordered(outcomes: Outcomes, ids: tuple[str, ...], labels: tuple[str, ...]) -> Outcomes:
    if (outcomes.ids, outcomes.labels) == (ids, labels):
        return outcomes
    rows = {name: place for place, name in enumerate(outcomes.ids)}
    columns = {label: place for place, label in enumerate(outcomes.labels)}
    order = np.ix_([rows[name] for name in ids], [columns[label] for label in labels])
    return Outcomes(outcomes.name, ids, labels, outcomes.counts[order])


def some_of(names: Sequence[str], shown: Callable[[str], str] = quoted) -> str:
    """The first names, and how many more there are. shown: how; ids are quoted, since they may tell of whom a document is."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more
