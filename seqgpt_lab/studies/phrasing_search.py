"""Searches the wording, order and grouping of labels on development documents and reports once on others; draws and prints nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError, OptionError
from seqgpt_lab.evaluation.gold import check_gold, unscored
from seqgpt_lab.evaluation.significance import judge_pairs
from seqgpt_lab.evaluation.verdict import METRIC_NAMES, Settings, Verdict
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.asking import Ledger, Variant
from seqgpt_lab.studies.display import Prose, counted, plain
from seqgpt_lab.studies.phrasing import Comparison, compare, judged
from seqgpt_lab.studies.phrasing_climb import Climb, Plan

START, FOUND = "as given", "found"


@dataclass(frozen=True, slots=True)
class Search:
    """What a search tried and found. best: the variant with the highest score on dev. test: as given and best, asked once.

    history: one row a step: step, tried, calls (spent so far), score (best on dev so far), change (what was taken over, or nothing).
    """

    start: Variant
    best: Variant
    start_score: float
    best_score: float
    test: Comparison
    history: pandas.DataFrame
    calls: int
    plan: Plan
    spent: bool

    @property
    def verdict(self) -> Verdict:
        """What the test documents say about the best variant against the one given."""
        return self.test.verdicts[0]

    @property
    def recommended(self) -> Variant:
        """The best variant where it is really better on the test documents, else the one given."""
        return self.best if self.verdict.better == FOUND else self.start

    def changes(self) -> pandas.DataFrame:
        """One row a field, in the best order: field, phrase as given, phrase found."""
        given = dict(zip(self.start.labels.names, self.start.labels.phrases, strict=True))
        rows = [{"field": label.field, "as_given": given[label.field], "found": label.phrase} for label in self.best.labels.labels]
        return pandas.DataFrame(rows)

    def about(self) -> Prose:
        """What was searched, and the verdict, in sentences."""
        name, calls = METRIC_NAMES[self.plan.metric], counted(self.calls, "call")
        text = f"{counted(len(self.history), 'step')}, {calls} of a budget of {self.plan.budget:,}"
        text += " (spent before everything was tried)." if self.spent else "."
        text += (
            f" On the development documents {name} went from {self.start_score:.3f} to {self.best_score:.3f}, which proves nothing yet. "
        )
        text += f"On documents that the search never saw: {plain(self.verdict.sentence())}"
        if self.recommended is self.start:
            text += " **Keep the labels as given.**"
        return Prose("\n\n".join([text, *map(plain, self.test.notes)]))

    def to_dict(self) -> dict[str, Any]:
        """Everything but the history, JSON-ready."""
        return {
            "start": _described(self.start, self.start_score),
            "best": _described(self.best, self.best_score),
            "calls": self.calls,
            "budget": self.plan.budget,
            "budget_spent": self.spent,
            "test": self.test.to_dict(),
        }


def search(
    extractor: Extractor,
    start: Variant,
    dev: Sequence[Document],
    test: Sequence[Document],
    plan: Plan | None = None,
    *,
    settings: Settings | None = None,
    journal: Path | None = None,
    progress: TaskProgress | None = None,
) -> Search:
    """Find a better way of asking for `start`'s fields on dev documents, and hold it against `start` on test documents, once.

    journal: a folder that keeps all answers, so that a search that was killed comes to the same end without asking again. progress:
    called with ("search", calls done, budget), then ("test", prompts done, prompts in all). Raises, before anything is asked, OptionError
    when the budget does not even suffice for `start`, DocumentError for a text that is in dev and in test, what `Ledger` raises, and what
    `check_gold` raises where dev or test has no gold for any of the fields.
    """
    plan = plan or Plan()
    shared = {document.text for document in dev} & {document.text for document in test}
    if shared:
        raise DocumentError(
            f"{len(shared)} texts are both development and test documents; a choice cannot be tested on what it was made on"
        )
    searching, testing = (Ledger(extractor, some, journal and journal / f"{name}.json") for some, name in ((dev, "dev"), (test, "test")))
    # Each by itself: a search on documents that have no gold would choose the words that find least.
    named, fields = ((dev, "development documents"), (test, "test documents")), start.labels.names
    for some, called in named:
        check_gold(some, fields, called)
    notes = list(dict.fromkeys(note for some, called in named for note in unscored(some, fields, called)))
    climb = Climb(searching, replace(start, name=FOUND), plan, progress)
    start_score = climb.begin()
    climb.run()
    pair = [replace(start, name=START), climb.best]
    testing.ask([question for one in pair for question in one.questions], progress and partial(progress, "test"))
    compared = judged(testing, pair, plan.metric, settings, notes)
    history = pandas.DataFrame(climb.history, columns=["step", "tried", "calls", "score", "change"])
    return Search(pair[0], climb.best, start_score, climb.score, compared, history, climb.ledger.asked, plan, climb.spent)


def compare_and_search(
    extractor: Extractor,
    variants: Sequence[Variant],
    dev: Sequence[Document],
    test: Sequence[Document],
    plan: Plan | None = None,
    *,
    journal: str | Path = "",
    progress: TaskProgress | None = None,
) -> tuple[Comparison, Search, Comparison]:
    """All variants compared on the test documents, a search that starts from the last of them, and what it found against the first, as
    `judged_together` judges them.

    journal: a folder that keeps all answers, so that what was killed goes on; empty: none. Raises as `compare` and then `search` do.
    """
    keep = Path(journal) if journal else None
    compared = compare(extractor, test, variants, journal=keep and keep / "comparison.json", progress=progress)
    return judged_together(compared, search(extractor, variants[-1], dev, test, plan, journal=keep, progress=progress))


def judged_together(comparison: Comparison, found: Search) -> tuple[Comparison, Search, Comparison]:
    """The comparison, the search, and the best variant found against the first of the comparison, with all their verdicts corrected
    for how many there are together: on the same test documents, one of several is more often called real by chance than one alone.

    No document is asked again. Raises as `judge_pairs` does for other documents or fields, OptionError for two metrics.
    """
    metric = found.plan.metric
    if comparison.metric != metric:
        raise OptionError(f"the comparison is by {comparison.metric}, the search by {metric}; give both the same metric")
    first, (given, best) = comparison.outcomes[0], found.test.outcomes
    pairs = [*((first, one) for one in comparison.outcomes[1:]), (given, best), (first, best)]
    *compared, searched, last = judge_pairs(pairs, metric, found.verdict.settings)
    beside = Comparison((comparison.variants[0], found.best), (first, best), (last,), metric, 0)
    tested = replace(found, test=replace(found.test, verdicts=(searched,)))
    return replace(comparison, verdicts=tuple(compared)), tested, beside


def _described(variant: Variant, score: float) -> dict[str, Any]:
    pairs = zip(variant.labels.names, variant.labels.phrases, strict=True)
    return {"phrases": dict(pairs), "labels_per_prompt": variant.labels_per_prompt, "dev_score": score}
