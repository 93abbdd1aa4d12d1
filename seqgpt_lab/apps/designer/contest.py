"""Two label sets on the same documents: what each got right, and whether the difference is real. Knows no session and no page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import LabelError
from seqgpt_lab.evaluation.evaluate import Extracts
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.resampling import Outcomes
from seqgpt_lab.evaluation.significance import judge
from seqgpt_lab.evaluation.verdict import Verdict
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.progress import Progress, TaskProgress

# Few enough for the bar to move and a stop to be heard, enough for a batch.
_TOGETHER = 8


@dataclass(frozen=True, slots=True)
class Contest:
    """How B did against A on the fields that both ask for and the gold has, field by field and as a verdict.

    fields: (field, F1 of A, F1 of B, gold values). left_out: sentences on fields that were not compared, and why.
    """

    verdict: Verdict
    fields: tuple[tuple[str, float, float, int], ...]
    left_out: tuple[str, ...]


def compare_on_documents(
    extractor: Extracts[LabelSet], documents: Sequence[Document], first: LabelSet, second: LabelSet, progress: TaskProgress
) -> Contest:
    """Ask every document with both label sets and judge micro F1 on the fields they share.

    progress: called with each label set's documents; what it raises, such as Stopped, ends the work. Raises LabelError when they share no
    field that the gold has, naming what the gold has and how to ask for it in other words, and DocumentError for fewer than two documents.
    """
    gold = tuple(dict.fromkeys(entity.label for document in documents for entity in document.gold))
    fields = tuple(name for name in first.names if name in second.names and name in gold)
    if not fields:
        raise LabelError(
            f"A asks for {'、'.join(first.names)}, B for {'、'.join(second.names)}, and marked are {'、'.join(gold) or 'none at all'}: "
            "no field is in all three, so nothing can be compared; to ask for a field in other words write it as field→phrase, "
            f"for example {gold[0] if gold else '邮箱'}→email"
        )
    of_a = _extract(extractor, documents, first, partial(progress, "label set A"))
    of_b = _extract(extractor, documents, second, partial(progress, "label set B"))
    scores_a, scores_b = (Scores.from_pairs(pairs, fields).strict.per_label for pairs in (of_a, of_b))
    verdict = judge(Outcomes.from_pairs("A", of_a, fields), Outcomes.from_pairs("B", of_b, fields))
    rows = tuple((field, scores_a[field].f1, scores_b[field].f1, scores_a[field].support) for field in fields)
    return Contest(verdict, rows, _left_out(first, second, gold))


def _extract(
    extractor: Extracts[LabelSet], documents: Sequence[Document], labels: LabelSet, progress: Progress
) -> list[tuple[Document, Extraction]]:
    """A few documents at a time; progress is told, and a stop heard, between them and between the prompts of each few."""
    extractions: list[Extraction] = []
    progress(0, len(documents))
    for start in range(0, len(documents), _TOGETHER):
        some = documents[start : start + _TOGETHER]
        extractions += extractor.extract(some, labels, progress=partial(_count, progress, start, len(some), len(documents)))
        progress(len(extractions), len(documents))
    return list(zip(documents, extractions, strict=True))


def _count(progress: Progress, before: int, some: int, documents: int, done: int, total: int) -> None:
    """Documents done, from how many prompts of some of them are."""
    progress(before + some * done // total, documents)


def _left_out(first: LabelSet, second: LabelSet, gold: Sequence[str]) -> tuple[str, ...]:
    asked = dict.fromkeys([*first.names, *second.names])
    cases = {
        "asked for, but marked in none of the documents": [name for name in asked if name not in gold],
        "asked for by one label set only": [name for name in asked if name in gold and (name in first.names) != (name in second.names)],
        "marked in the documents, but asked for by neither": [name for name in gold if name not in asked],
    }
    return tuple(f"{'、'.join(names)}: {why}" for why, names in cases.items() if names)
