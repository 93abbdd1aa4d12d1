"""Names what went wrong with each wrong or missing value, by one of ten kinds; knows no averages.

Only asked labels and offsets are judged, as in `comparison.compare`, and every false positive and every false negative is part of
exactly one mistake. They are explained in this order, each step taking from what the steps before left over:

1. hallucinated: an answer that does not occur in the text.
2. wrong label: an answer with exactly the offsets of a missing value of another label.
3. merged: an answer that encloses two or more missing values of its label.
4. split: a missing value that encloses two or more answers of its label.
5. too long, too short: an answer that overlaps a missing value of its label, the pairs with the largest common part first. Where
   each sticks out of the other, too short means fewer characters than the gold value, too long as many or more.
6. spurious: any other answer, repeated ones too.
7. truncated, malformed, missed: any other missing value, in an extraction that was cut, else one that has an answer which
   could not be parsed, else neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.evaluation.comparison import Answer, compare
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Span

if TYPE_CHECKING:
    import pandas

MistakeKind = Literal[
    "missed", "spurious", "wrong label", "too long", "too short", "split", "merged", "hallucinated", "malformed", "truncated"
]
KINDS: tuple[MistakeKind, ...] = get_args(MistakeKind)


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake: `gold` are the false negatives and `predicted` the false positives it explains, either may be empty.

    label is the one the answer was given for, or the missing value's where there is no answer; only for `wrong label` do the gold
    entities carry another.
    """

    kind: MistakeKind
    label: str
    gold: tuple[Entity, ...]
    predicted: tuple[Span, ...]
    document_id: str


def classify(document: Document, extraction: Extraction, labels: Sequence[str]) -> list[Mistake]:
    """All mistakes of one document on `labels`, by the labels' order, then by place in the text (answers without a place last).

    Raises DocumentError when the extraction is of another document or text, LabelError when labels are empty or repeated.
    """
    comparison = compare(document, extraction, labels)
    sorting = _Sorting(document.id, list(comparison.wrong), list(comparison.missing))
    sorting.take_hallucinated(document.text)
    sorting.take_wrong_labels()
    sorting.take_merged()
    sorting.take_split()
    sorting.take_overlapping()
    sorting.take_rest("truncated" if extraction.truncated else "malformed" if extraction.malformed else "missed")
    rank = {label: place for place, label in enumerate(labels)}
    return sorted(sorting.found, key=lambda mistake: (rank[mistake.label], _place(mistake)))


def count(mistakes: Iterable[Mistake]) -> pandas.DataFrame:
    """One row a kind, kinds without mistakes included: kind, mistakes, false_positives, false_negatives."""
    import pandas

    columns = ["mistakes", "false_positives", "false_negatives"]
    totals = {kind: dict.fromkeys(columns, 0) for kind in KINDS}
    for mistake in mistakes:
        for column, more in zip(columns, (1, len(mistake.predicted), len(mistake.gold)), strict=True):
            totals[mistake.kind][column] += more
    return pandas.DataFrame([{"kind": kind, **row} for kind, row in totals.items()])


@dataclass(slots=True)
class _Sorting:
    """What is still unexplained of a document, and the mistakes found so far; every step moves values from one to the other."""

    document_id: str
    wrong: list[Answer]
    missing: list[Entity]
    found: list[Mistake] = field(default_factory=list)

    def take_hallucinated(self, text: str) -> None:
        for answer in [answer for answer in self.wrong if answer.span.invented(text)]:
            self._take("hallucinated", [answer], [])

    def take_wrong_labels(self) -> None:
        for answer in list(self.wrong):
            # Another label for certain: the same label at the same place would have been right.
            same_place = [entity for entity in self.missing if (entity.start, entity.end) == _bounds(answer)]
            if same_place:
                self._take("wrong label", [answer], same_place[:1])

    def take_merged(self) -> None:
        for answer in list(self.wrong):
            inside = [entity for entity in self.missing if entity.label == answer.label and _encloses(_bounds(answer), entity)]
            if len(inside) > 1:
                self._take("merged", [answer], inside)

    def take_split(self) -> None:
        for entity in list(self.missing):
            # One answer a place: a repeat of the same piece does not split anything.
            inside = {_bounds(answer): answer for answer in reversed(self.wrong) if _is_inside(answer, entity)}
            if len(inside) > 1:
                self._take("split", [inside[place] for place in sorted(inside)], [entity])

    def take_overlapping(self) -> None:
        pairs = [(answer, entity) for answer in self.wrong for entity in self.missing if answer.label == entity.label]
        shared = [(_overlap(_bounds(answer), entity), answer, entity) for answer, entity in pairs]
        shared.sort(key=lambda triple: (-triple[0], triple[2].start, _bounds(triple[1])))
        for common, answer, entity in shared:
            if common and answer in self.wrong and entity in self.missing:
                start, end = _bounds(answer)
                self._take("too short" if end - start < entity.end - entity.start else "too long", [answer], [entity])

    def take_rest(self, missing_kind: MistakeKind) -> None:
        for answer in list(self.wrong):
            self._take("spurious", [answer], [])
        for entity in list(self.missing):
            self._take(missing_kind, [], [entity])

    def _take(self, kind: MistakeKind, answers: Sequence[Answer], entities: Sequence[Entity]) -> None:
        for answer in answers:
            self.wrong.remove(answer)
        for entity in entities:
            self.missing.remove(entity)
        label = answers[0].label if answers else entities[0].label
        self.found.append(Mistake(kind, label, tuple(entities), tuple(answer.span for answer in answers), self.document_id))


def _bounds(answer: Answer) -> tuple[int, int]:
    """The answer's offsets; (-1, -1), which nothing overlaps, when it has no place."""
    start, end = answer.span.start, answer.span.end
    return (-1, -1) if start is None or end is None else (start, end)


def _encloses(bounds: tuple[int, int], entity: Entity) -> bool:
    return bounds[0] <= entity.start and entity.end <= bounds[1]


def _is_inside(answer: Answer, entity: Entity) -> bool:
    start, end = _bounds(answer)
    return answer.label == entity.label and entity.start <= start and end <= entity.end


def _overlap(bounds: tuple[int, int], entity: Entity) -> int:
    """How many code points both hold."""
    return max(0, min(bounds[1], entity.end) - max(bounds[0], entity.start))


def _place(mistake: Mistake) -> tuple[bool, int, int]:
    """Sorts by first offset; mistakes without any place last."""
    places = [(entity.start, entity.end) for entity in mistake.gold]
    places += [(span.start, span.end) for span in mistake.predicted if span.start is not None and span.end is not None]
    start, end = min(places, default=(0, 0))
    return not places, start, end
