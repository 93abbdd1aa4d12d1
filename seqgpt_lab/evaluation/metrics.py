"""Scores extractions against gold documents; knows neither the model that made them nor why a value is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from seqgpt_lab.documents.document import Document
from seqgpt_lab.evaluation.comparison import asked_fields, check_labels, check_same, compare
from seqgpt_lab.evaluation.counts import Counts, Measure
from seqgpt_lab.extraction.extraction import Extraction

if TYPE_CHECKING:
    import pandas

Pair = tuple[Document, Extraction]
NO_KIND = "(no kind)"


@dataclass(frozen=True, slots=True)
class Scores:
    """What is right and wrong in the asked labels of some documents. Rates over nothing: 0.0 for faults; see `counts` for the rest.

    strict: values compared by (label, start, end). string: the sets of (label, text) of each document compared as written.
    absent: the answer "this label is not here" as if it were a value: of all (document, label) pairs, TP are those without
    gold and without answers, FP without answers only, FN without gold only. values: answers given for the asked labels;
    invented: those that do not occur in the text. malformed, truncated: documents with an answer that could not be parsed, or cut.
    gold_not_asked, answers_not_asked: values of other labels, which count nowhere else. by_kind: the same scores for each
    `meta["kind"]`, documents without one under "(no kind)"; empty when no document has a kind.
    """

    documents: int
    strict: Measure
    string: Measure
    absent: Counts
    values: int
    invented: int
    malformed: int
    truncated: int
    gold_not_asked: Mapping[str, int] = field(default_factory=dict)
    answers_not_asked: Mapping[str, int] = field(default_factory=dict)
    by_kind: Mapping[str, Scores] = field(default_factory=dict)

    @classmethod
    def from_pairs(cls, pairs: Iterable[Pair], labels: Sequence[str]) -> Scores:
        """Score pairs of a gold document and its extraction on `labels`, in whose order all results are.

        A label without a field in an extraction counts as absent there. Raises DocumentError when a pair does not belong together,
        LabelError when labels are empty or repeated.
        """
        pairs = list(pairs)
        check_labels(labels)
        for document, extraction in pairs:
            check_same(document, extraction)
        kinds = {kind: _score(members, labels, {}) for kind, members in _kinds(pairs).items()}
        return _score(pairs, labels, kinds)

    @property
    def hallucination_rate(self) -> float:
        """Values that do not occur in the text / values; 0.0 without values."""
        return _rate(self.invented, self.values)

    @property
    def parse_failure_rate(self) -> float:
        """Documents with a `parse:` problem / documents; 0.0 without documents."""
        return _rate(self.malformed, self.documents)

    @property
    def truncated_share(self) -> float:
        """Documents whose text or answer was cut / documents; 0.0 without documents."""
        return _rate(self.truncated, self.documents)

    def to_dict(self) -> dict[str, Any]:
        """Everything, rates included, JSON-ready."""
        return {
            "documents": self.documents,
            "strict": self.strict.to_dict(),
            "string": self.string.to_dict(),
            "absent": self.absent.to_dict(),
            "values": self.values,
            "invented": self.invented,
            "hallucination_rate": self.hallucination_rate,
            "malformed": self.malformed,
            "parse_failure_rate": self.parse_failure_rate,
            "truncated": self.truncated,
            "truncated_share": self.truncated_share,
            "gold_not_asked": dict(self.gold_not_asked),
            "answers_not_asked": dict(self.answers_not_asked),
            "by_kind": {kind: scores.to_dict() for kind, scores in self.by_kind.items()},
        }

    def to_frame(self) -> pandas.DataFrame:
        """One row a label: label, support, precision, recall, f1, the three counts, and the same with `string_` before them."""
        import pandas

        rows = []
        for label, strict in self.strict.per_label.items():
            string = {f"string_{name}": value for name, value in self.string.per_label[label].to_dict().items()}
            rows.append({"label": label, **strict.to_dict(), **string})
        return pandas.DataFrame(rows)

    def kinds_frame(self) -> pandas.DataFrame:
        """One row a kind: documents, support, micro and macro strict F1, string F1, exact-record rate and the three fault rates."""
        import pandas

        columns = ["kind", "documents", "support", "micro_f1", "macro_f1", "string_micro_f1", "exact_record_rate"]
        columns += ["hallucination_rate", "parse_failure_rate", "truncated_share"]
        return pandas.DataFrame([_kind_row(kind, scores) for kind, scores in self.by_kind.items()], columns=columns)


def strict_counts(document: Document, extraction: Extraction, labels: Sequence[str]) -> dict[str, Counts]:
    """One document's counts a label, values compared by (label, start, end) as `compare` does."""
    comparison = compare(document, extraction, labels)
    right = Counter(answer.label for answer in comparison.right)
    wrong = Counter(answer.label for answer in comparison.wrong)
    missing = Counter(entity.label for entity in comparison.missing)
    return {label: Counts(right[label], wrong[label], missing[label]) for label in labels}


def string_counts(document: Document, extraction: Extraction, labels: Sequence[str]) -> dict[str, Counts]:
    """One document's counts a label, its set of distinct strings compared as they are written: places and repeats do not matter."""
    counts = {}
    for label in labels:
        gold = {entity.text for entity in document.gold if entity.label == label}
        given = {span.text for one in asked_fields(extraction, [label]) for span in one.spans}
        counts[label] = Counts(len(gold & given), len(given - gold), len(gold - given))
    return counts


def _score(pairs: Sequence[Pair], labels: Sequence[str], by_kind: Mapping[str, Scores]) -> Scores:
    answers = [(extraction, span) for _, extraction in pairs for one in asked_fields(extraction, labels) for span in one.spans]
    gold_elsewhere = Counter(entity.label for document, _ in pairs for entity in document.gold if entity.label not in labels)
    answers_elsewhere = Counter(
        one.label for _, extraction in pairs for one in extraction.fields if one.label not in labels for _ in one.spans
    )
    return Scores(
        documents=len(pairs),
        strict=_measure([strict_counts(*pair, labels) for pair in pairs], labels),
        string=_measure([string_counts(*pair, labels) for pair in pairs], labels),
        absent=sum((_absent(*pair, label) for pair in pairs for label in labels), Counts()),
        values=len(answers),
        invented=sum(span.invented(extraction.text) for extraction, span in answers),
        malformed=sum(extraction.malformed for _, extraction in pairs),
        truncated=sum(extraction.truncated for _, extraction in pairs),
        gold_not_asked=dict(sorted(gold_elsewhere.items())),
        answers_not_asked=dict(sorted(answers_elsewhere.items())),
        by_kind=by_kind,
    )


def _measure(documents: Sequence[Mapping[str, Counts]], labels: Sequence[str]) -> Measure:
    per_label = {label: sum((counts[label] for counts in documents), Counts()) for label in labels}
    exact = sum(all(one.exact for one in counts.values()) for counts in documents)
    return Measure(per_label, exact, len(documents))


def _absent(document: Document, extraction: Extraction, label: str) -> Counts:
    wanted = any(entity.label == label for entity in document.gold)
    given = any(one.spans for one in asked_fields(extraction, [label]))
    return Counts(int(not wanted and not given), int(wanted and not given), int(given and not wanted))


def _kinds(pairs: Sequence[Pair]) -> dict[str, list[Pair]]:
    """The pairs of each kind, kinds in order of first occurrence; empty when no document has a kind."""
    kinds: dict[str, list[Pair]] = {}
    for document, extraction in pairs:
        kind = document.meta.get("kind")
        kinds.setdefault(NO_KIND if kind is None else str(kind), []).append((document, extraction))
    return {} if set(kinds) <= {NO_KIND} else kinds


def _kind_row(kind: str, scores: Scores) -> dict[str, object]:
    return {
        "kind": kind,
        "documents": scores.documents,
        "support": scores.strict.micro.support,
        "micro_f1": scores.strict.micro.f1,
        "macro_f1": scores.strict.macro.f1,
        "string_micro_f1": scores.string.micro.f1,
        "exact_record_rate": scores.strict.exact_record_rate,
        "hallucination_rate": scores.hallucination_rate,
        "parse_failure_rate": scores.parse_failure_rate,
        "truncated_share": scores.truncated_share,
    }


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
