"""Climbs from labels as given to better ones, one change at a time, on documents with gold; draws and prints nothing.

First all fields by their own names at once; then, from what was best so far, a phrase a field (the field that is read worst first),
then orders, then how many labels share a prompt, over again until nothing helps or the budget is spent. Only a prompt that changed is
asked again. Among what does about as well the earlier is taken, so what is there stays unless something is clearly better.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import median

import numpy as np

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.resampling import Metric, Outcomes, bootstrap_differences
from seqgpt_lab.evaluation.significance import TIE
from seqgpt_lab.extraction.drafts import Draft
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.lint import lint
from seqgpt_lab.extraction.wording import alike, folded
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.asking import Ledger, Variant
from seqgpt_lab.studies.phrasing import field_counts

# The share of the budget that the first pass over phrases may take; the rest is for orders, grouping and second thoughts.
_FOR_PHRASES = 0.7
_RESAMPLES = 300  # for a standard error
_CLEARLY = 1.645  # standard errors: one chance in twenty, one-sided


@dataclass(frozen=True, slots=True)
class Plan:
    """What to try: phrases a field at most, numbers of labels a prompt, orders drawn at random besides those with a reason, and budget.

    budget: calls on development documents, one question to one document each. synonyms: phrases to try, by field name, besides those of
    the label set and the built-in ones. seed: of the random orders. Raises OptionError for numbers out of range.
    """

    budget: int = 2_000
    phrases_per_field: int = 6
    labels_per_prompt: tuple[int, ...] = (1, 2, 3, 4, 6)
    random_orders: int = 2
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    metric: Metric = "micro_f1"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.budget < 1 or self.phrases_per_field < 1 or self.random_orders < 0 or any(size < 1 for size in self.labels_per_prompt):
            raise OptionError(
                f"budget {self.budget}, phrases_per_field {self.phrases_per_field}, random_orders {self.random_orders} and "
                f"labels_per_prompt {self.labels_per_prompt} must be at least 1, 1, 0 and 1"
            )


def candidates(labels: LabelSet, given: Mapping[str, Sequence[str]] | None = None) -> dict[str, tuple[str, ...]]:
    """Phrases to try for each field, most promising first: its own, its name, those given, the label set's synonyms, built-in ones.

    Built-in ones are those for the field's name. Phrases that lint finds fault with (but for a missing unit) are left out, the field's
    own one excepted. Raises OptionError for fields in `given` that the labels do not have.
    """
    unknown = sorted(set(given or {}) - set(labels.names))
    if unknown:
        raise OptionError(f"synonyms are given for {unknown}; the label set has {list(labels.names)}")
    found = {}
    for label in labels.labels:
        others = (label.field, *(given or {}).get(label.field, ()), *label.synonyms, *alike(label.field))
        good = [phrase for phrase in others if not lint([Draft(label.field, phrase)], ignore=["unit"])]
        spellings: dict[str, str] = {}
        for phrase in (label.phrase, *good):
            spellings.setdefault(folded(phrase), phrase)
        found[label.field] = tuple(spellings.values())
    return found


@dataclass(slots=True)
class Climb:
    """The state of a search: the best variant so far with its score, and what was tried."""

    ledger: Ledger
    best: Variant
    plan: Plan
    progress: TaskProgress | None
    score: float = 0.0
    history: list[tuple[str, int, int, float, str]] = field(default_factory=list)
    spent: bool = False

    def begin(self) -> float:
        """Score the variant that was given."""
        needed = self.ledger.cost(self.best.questions)
        if needed > self.plan.budget:
            raise OptionError(
                f"the budget is {self.plan.budget} calls, the labels as given alone take {needed}; raise it or use fewer documents"
            )
        self._ask([self.best])
        self.score = self._score(self.best)
        return self.score

    def run(self) -> None:
        """Take over what scores higher until nothing does or the budget is spent."""
        phrases = candidates(self.best.labels, self.plan.synonyms)
        # What a person would write without any experiment; one by one among bad words, good ones do not show what they can do.
        self._try("all fields by their names", list(self._by_name(phrases)))
        while not self.spent:
            before = self.best
            for name in self._worst_first():
                self._try(f"phrase of {name}", list(self._rephrased(name, phrases[name])))
            self._try("order", list(self._orders()))
            self._try("labels a prompt", [replace(self.best, labels_per_prompt=size) for size in self.plan.labels_per_prompt])
            if self.best == before:
                return

    def _try(self, step: str, variants: list[Variant]) -> None:
        """Score as many of the variants as the budget allows, and take one over if what there is does clearly worse."""
        affordable: list[Variant] = []
        for variant in variants:
            questions = [question for one in (*affordable, variant) for question in one.questions]
            if self.ledger.asked + self.ledger.cost(questions) > self.plan.budget:
                self.spent = True
                break
            affordable.append(variant)
        if not affordable:
            return
        self._ask(affordable)
        choices = [self.best, *affordable]
        chosen = choices[first_as_good([self.ledger.outcomes(one) for one in choices], self.plan.metric, self.plan.seed)]
        change = "" if chosen is self.best else _difference(self.best, chosen)
        self.best, self.score = chosen, self._score(chosen)
        self.history.append((step, len(affordable), self.ledger.asked, self.score, change))

    def _ask(self, variants: Sequence[Variant]) -> None:
        before, told, budget = self.ledger.asked, self.progress, self.plan.budget

        def report(done: int, _total: int) -> None:
            if told:
                told("search", min(before + done, budget), budget)

        self.ledger.ask([question for variant in variants for question in variant.questions], report)

    def _score(self, variant: Variant) -> float:
        return self.ledger.outcomes(variant).score(self.plan.metric)

    def _worst_first(self) -> list[str]:
        """Field names by F1 on dev, lowest first."""
        outcomes = self.ledger.outcomes(self.best)
        f1 = {name: counts.f1 for name, counts in zip(outcomes.labels, field_counts(outcomes), strict=True)}
        return sorted(self.best.labels.names, key=lambda name: f1[name])

    def _by_name(self, phrases: Mapping[str, Sequence[str]]) -> Iterator[Variant]:
        """The best variant with each field asked by its own name, but for names that lint finds fault with; none if none changes."""
        words = {label.field: label.field if label.field in phrases[label.field] else label.phrase for label in self.best.labels.labels}
        if len(set(words.values())) == len(words) and tuple(words.values()) != self.best.labels.phrases:
            yield replace(self.best, labels=self.best.labels.reworded(words))

    def _rephrased(self, name: str, phrases: Sequence[str]) -> Iterator[Variant]:
        """The best variant with other phrases for one field, as many as leave every field its share of the budget."""
        share = _FOR_PHRASES * self.plan.budget / (len(self.best.labels.names) * len(self.ledger.documents))
        taken = set(self.best.labels.phrases)
        free = [phrase for phrase in phrases if phrase not in taken]
        for phrase in free[: max(1, min(self.plan.phrases_per_field, int(share)))]:
            yield replace(self.best, labels=self.best.labels.reworded({name: phrase}))

    def _orders(self) -> Iterator[Variant]:
        """As the values stand in the documents, best read first, worst read first, backwards, and some at random."""
        names, random = list(self.best.labels.names), Random(self.plan.seed)
        places = _places(self.ledger.documents)
        worst = self._worst_first()
        orders = [sorted(names, key=lambda name: places.get(name, 1.0)), worst[::-1], worst, names[::-1]]
        orders += [random.sample(names, len(names)) for _ in range(self.plan.random_orders)]
        for order in dict.fromkeys(map(tuple, orders)):
            yield replace(self.best, labels=self.best.labels.reordered(order))


def first_as_good(outcomes: Sequence[Outcomes], metric: Metric, seed: int = 0) -> int:
    """The first that is not clearly below the best one: by no more than 1.645 standard errors of their paired difference.

    Later ones count only where they score more than the first, which is what there is: one that reads worse and varies more would
    be as little clearly below the best, and taking it would lead downhill, and round and round.
    After the one-standard-error rule (Breiman et al. 1984). The best of many on a few documents is partly the luckiest, and one standard
    error is what the best of four that are alike gains by luck; so what is asked first, for a reason, stays until the odds are 19 to 1.
    """
    scores = [one.score(metric) for one in outcomes]
    best = max(range(len(scores)), key=scores.__getitem__)
    for place, one in enumerate(outcomes):
        if place and scores[place] <= scores[0] + TIE:
            continue
        errors = bootstrap_differences(one, outcomes[best], metric, _RESAMPLES, np.random.default_rng(seed))
        if scores[best] - scores[place] <= _CLEARLY * float(errors.std(ddof=1)) + TIE:
            return place
    return best


def _places(documents: Sequence[Document]) -> dict[str, float]:
    """Where in a document each label's values stand: the median of start / length, 0.0 to 1.0."""
    places: dict[str, list[float]] = {}
    for document in documents:
        for entity in document.gold:
            places.setdefault(entity.label, []).append(entity.start / len(document.text))
    return {label: median(starts) for label, starts in places.items()}


def _difference(old: Variant, new: Variant) -> str:
    """What is not the same in two variants of the same fields, in words."""
    before = dict(zip(old.labels.names, old.labels.phrases, strict=True))
    reworded = [f"{label.field}: {label.phrase}" for label in new.labels.labels if label.phrase != before[label.field]]
    if reworded:
        return ", ".join(reworded)
    if old.labels_per_prompt != new.labels_per_prompt:
        return f"{old.labels_per_prompt} -> {new.labels_per_prompt}"
    return "、".join(new.labels.names)
