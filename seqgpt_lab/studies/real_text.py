"""Scores extractors on real and hand-written text that the embedded model was not trained on, label by label with intervals; draws nothing.

Values are compared as sets of strings: the sets mark which values a text has, not always which of two equal mentions is meant.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas
from numpy.typing import NDArray
from scipy.stats import bootstrap

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.annotated import UNKNOWN, AnnotatedSet, AnnotatedSets, annotated_files, unknown_labels
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.questions import written
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.counts import Counts
from seqgpt_lab.evaluation.resampling import Outcomes
from seqgpt_lab.evaluation.significance import TIE, p_value
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies import run_files
from seqgpt_lab.studies.display import Prose, counted, plain
from seqgpt_lab.studies.sources import Source, first, record_inputs

# Written by hand for the lab: of the second, whose texts hold many other numbers, only contacts are asked.
PROSE, CONTACTS = "business_prose", "business_contacts"
# Parts of the annotated sets that were kept out of training.
_HELD_OUT: Mapping[str, Split] = {"dev": "dev", "test": "test"}
_MOST_LABELS = 12  # a set with more labels is asked, text by text, only for those that the text has
_RESAMPLES = 2000
_FEWEST_VALUES = 10  # a label with fewer in an annotated set is not scored: its interval would be the whole range
ALPHA = 0.05

Values = Mapping[str, frozenset[str]]


class Reader(Protocol):
    """What is scored: reads texts and gives, for each, the values of the labels it was asked; labels it cannot read are missing."""

    @property
    def name(self) -> str: ...

    def read(self, texts: Sequence[Document], labels: Sequence[str]) -> list[Values]: ...


@dataclass(frozen=True, slots=True)
class ModelReader:
    """An extractor as a reader."""

    extractor: Extractor
    name: str = "model"

    def read(self, texts: Sequence[Document], labels: Sequence[str]) -> list[Values]:
        """Ask all labels of every text."""
        bare = [Document(text.id, text.text) for text in texts]
        found = self.extractor.extract(bare, LabelSet.of(list(labels)))
        return [{each.label: frozenset(span.text for span in each.spans) for each in result.fields} for result in found]


@dataclass(frozen=True, slots=True)
class RealSet:
    """Texts of one source that the embedded model was not trained on; without labels, nothing of them is scored.

    whole: every label that is known of a text is asked of it; else each text for the labels that it has.
    """

    name: str
    documents: tuple[Document, ...]
    labels: tuple[str, ...]
    whole: bool


def held_out(directory: str | Path = "", split: str = "test", limit: int = 0) -> list[RealSet]:
    """The bundled hand-written texts, and the held-out part of every annotated set under `directory` (none when empty), there labels of
    ten values or more; a set may have none.

    limit: the first so many texts of each; 0: all. Raises OptionError for a negative limit and for a split that was not held out,
    DocumentError when `directory` holds no known set.
    """
    if split not in _HELD_OUT:
        raise OptionError(f"split is {split!r}; of the annotated sets, dev and test were held out when the embedded model was trained")
    sets = [RealSet(one.kind, tuple(first(one.load(), limit)), LabelSet.load(one.labels).names, True) for one in _written_by_hand()]
    annotated = AnnotatedSets.load(Path(directory), _HELD_OUT[split]).sets if directory else ()
    return [*sets, *(_real_set(each, limit) for each in annotated)]


def record_read(run_dir: str | Path, engine: Engine, directory: str | Path = "") -> None:
    """Note which model and which files `held_out` reads, as `record_inputs` does, and which values of the bundled texts are personal."""
    record_inputs(run_dir, engine, _written_by_hand(), annotated_files(Path(directory)) if directory else ())


def _written_by_hand() -> list[Source]:
    return [Source(name, bundled("prose", f"{name}.jsonl"), bundled("prose", f"{name}.yaml")) for name in (PROSE, CONTACTS)]


def _real_set(annotated: AnnotatedSet, limit: int) -> RealSet:
    documents = tuple(_worded(document, annotated) for document in first(annotated.documents, limit))
    found = Counter(entity.label for document in documents for entity in document.gold)
    labels = tuple(label for label, number in found.items() if number >= _FEWEST_VALUES)
    return RealSet(annotated.name, documents, labels, annotated.exhaustive and len(labels) <= _MOST_LABELS)


def _worded(document: Document, annotated: AnnotatedSet) -> Document:
    """With every label by the first phrase it is asked with: a set's own codes (`收购/sub-org`) mean nothing to a reader."""
    gold = (Entity(annotated.wordings(each.label)[0], each.start, each.end, each.text) for each in document.gold)
    unknown = sorted(annotated.wordings(label)[0] for label in unknown_labels(document))
    return Document(document.id, document.text, tuple(gold), {**document.meta, UNKNOWN: unknown})


def score(reader: Reader, real: RealSet, progress: TaskProgress | None = None) -> Outcomes:
    """String-set counts of every text and label: shape (texts, labels, 3). A label not asked of a text counts nothing there."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for at, document in enumerate(real.documents):
        groups.setdefault(_asked(real, document), []).append(at)
    counts = np.zeros((len(real.documents), len(real.labels), 3), dtype=np.int64)
    done = 0
    for labels, places in groups.items():
        if labels:
            for at, found in zip(places, reader.read([real.documents[at] for at in places], labels), strict=True):
                counts[at] = _counts(real.documents[at], found, real.labels, labels)
        done += len(places)
        if progress:
            progress(f"{reader.name}, {real.name}", done, len(real.documents))
    return Outcomes(reader.name, tuple(document.id for document in real.documents), real.labels, counts)


def _asked(real: RealSet, document: Document) -> tuple[str, ...]:
    there, unknown = {entity.label for entity in document.gold}, unknown_labels(document)
    return tuple(label for label in real.labels if label in there or (real.whole and label not in unknown))


def _counts(document: Document, found: Values, labels: Sequence[str], asked: Sequence[str]) -> NDArray[np.int64]:
    rows = []
    for label in labels:
        gold = {written(entity.text) for entity in document.gold if entity.label == label}
        given = {written(value) for value in found.get(label, ())}
        rows.append((len(gold & given), len(given - gold), len(gold - given)) if label in asked else (0, 0, 0))
    return np.array(rows, dtype=np.int64)


def label_rows(real: RealSet, outcomes: Outcomes) -> pandas.DataFrame:
    """One row a label: set, label, reader, support, precision, recall, f1, low, high (`f1_interval`)."""
    rows = []
    for place, label in enumerate(real.labels):
        counts = outcomes.counts[:, place]
        total = Counts(*(int(number) for number in counts.sum(axis=0)))
        low, high = f1_interval(counts)
        row = {"set": real.name, "label": label, "reader": outcomes.name, "support": total.support, "texts": len(real.documents)}
        rows.append({**row, "precision": total.precision, "recall": total.recall, "f1": total.f1, "low": low, "high": high})
    return pandas.DataFrame(rows)


def f1_interval(counts: NDArray[np.int64]) -> tuple[float, float]:
    """95% percentile bootstrap interval of the micro F1 over texts. counts: [texts, 3]; texts that count nothing are left out.

    Where all texts score alike, as where all are right, draws from them know no other score and the bootstrap's interval is a point.
    Then the share of other texts is bounded as Clopper and Pearson (1934) bound a share of which nothing was met in n, with
    probability 97.5% under 1 - 0.025^(1/n), and these may score 0, or 1. The whole range for fewer than two texts.
    """
    counts = counts[counts.any(axis=1)]
    if len(counts) < 2:
        return (0.0, 1.0)
    resampled = bootstrap(
        tuple(counts.T.astype(float)), _f1, paired=True, vectorized=True, n_resamples=_RESAMPLES, method="percentile", rng=0
    )
    low, high = float(resampled.confidence_interval.low), float(resampled.confidence_interval.high)
    if high - low > TIE:
        return low, high
    like_these = (ALPHA / 2) ** (1 / len(counts))
    return low * like_these, 1 - (1 - high) * like_these


def _f1(right: NDArray[np.float64], wrong: NDArray[np.float64], missed: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    rights, others = right.sum(axis), wrong.sum(axis) + missed.sum(axis)
    share: NDArray[np.float64] = 2 * rights / np.maximum(2 * rights + others, 1)
    return share


def compare_readers(readers: Sequence[Reader], sets: Sequence[RealSet], progress: TaskProgress | None = None) -> pandas.DataFrame:
    """`label_rows` of every reader and set with labels; for readers after the first also p, of their F1 differing from its (paired)."""
    frames = []
    for real in (each for each in sets if each.labels):
        ours, *others = [score(reader, real, progress) for reader in readers]
        frames.append(label_rows(real, ours))
        for other in others:
            frame = label_rows(real, other)
            frame["p"] = [_p(ours, other, place) for place in range(len(real.labels))]
            frames.append(frame[frame["label"].isin(_read_by(other, real))])
    return pandas.concat(frames, ignore_index=True)


def _p(ours: Outcomes, other: Outcomes, place: int) -> float:
    alone = [Outcomes(each.name, each.ids, (each.labels[place],), each.counts[:, place : place + 1]) for each in (ours, other)]
    return p_value(alone[0], alone[1])


def _read_by(outcomes: Outcomes, real: RealSet) -> list[str]:
    """Labels of which the reader found anything at all: a tagger of names has nothing to say about phones."""
    given = outcomes.counts[:, :, :2].sum(axis=(0, 2))
    return [label for label, number in zip(real.labels, given, strict=True) if number]


def about_sets(sets: Sequence[RealSet], model: str | Path) -> Prose:
    """How many texts of how many sources, whether the model was trained on them, what is asked, and what is not scored, in sentences.

    Raises CheckpointError for a model that cannot be used.
    """
    scored, left_out = [real for real in sets if real.labels], [real for real in sets if not real.labels]
    text = f"{counted(sum(len(real.documents) for real in scored), 'text')} of {counted(len(scored), 'source')}, "
    text += "not trained on by the embedded model"
    if find_checkpoint(model).directory.resolve() != find_checkpoint("tiny").directory.resolve():
        text += f"; whether {plain(model)} was, is not known"
    if all(real.name in (PROSE, CONTACTS) for real in sets):
        text += ". No folder of annotated sets was given, so only the texts that come with the lab are read"
    lacking = [plain(real.name) for real in scored if not real.whole]
    if lacking:
        text += (
            f". Texts of {', '.join(lacking)} are asked only for labels that they have: values given where there are none are not counted"
        )
    if left_out:
        names = ", ".join(f"{plain(real.name)} ({counted(len(real.documents), 'text')})" for real in left_out)
        text += f". Not scored, for none of their labels has {_FEWEST_VALUES} values in the texts read: {names}"
    return Prose(f"{text}.")


def write_metrics(run_dir: str | Path, frame: pandas.DataFrame) -> None:
    """Write the table as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    run_files.write_metrics(run_dir, {"labels": json.loads(frame.to_json(orient="records", force_ascii=False))})
