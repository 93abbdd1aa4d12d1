"""Measures what preprocessing steps do to extraction, alone and combined, and which mistakes each causes; draws and prints nothing.

Every value is scored at its place in the original text. A text that a combination leaves as it is is not read twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations as choose
from operator import itemgetter
from typing import Any

import pandas

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.evaluate import Evaluation, score
from seqgpt_lab.evaluation.gold import check_gold, unscored
from seqgpt_lab.evaluation.mistakes import KINDS
from seqgpt_lab.evaluation.resampling import Metric, Outcomes
from seqgpt_lab.evaluation.significance import judge_all, judge_pairs
from seqgpt_lab.evaluation.verdict import METRIC_NAMES, Settings, Verdict
from seqgpt_lab.extraction.cleaning import restored
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.preprocess import WHAT_STEPS_DO, check_steps, clean
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.asking import check_documents
from seqgpt_lab.studies.display import Prose, counted, plain

Combination = tuple[str, ...]
AS_IT_IS = "as it is"


@dataclass(frozen=True, slots=True)
class PreprocessingStudy:
    """The text as it is against combinations of steps: evaluations by combination, () first, and a verdict on each other one.

    changed: in how many documents a combination changes the text. read: texts that reached the model. notes: what scores do not show.
    """

    evaluations: Mapping[Combination, Evaluation]
    verdicts: Mapping[Combination, Verdict]
    changed: Mapping[Combination, int]
    read: int
    metric: Metric
    notes: tuple[str, ...] = ()

    def frame(self) -> pandas.DataFrame:
        """One row a combination: steps, changed (documents), micro_f1, exact_record_rate, mistakes, and against the text as it is
        difference, low, high, p (Holm-corrected) and real.
        """
        rows = []
        for combination, evaluation in self.evaluations.items():
            strict, verdict = evaluation.scores.strict, self.verdicts.get(combination)
            row: dict[str, object] = {"steps": named(combination), "changed": self.changed[combination]}
            row |= {"micro_f1": strict.micro.f1, "exact_record_rate": strict.exact_record_rate, "mistakes": len(evaluation.mistakes)}
            if verdict:
                row |= {"difference": verdict.difference, "low": verdict.low, "high": verdict.high}
                row |= {"p": verdict.adjusted_p, "real": verdict.real}
            rows.append(row)
        return pandas.DataFrame(rows)

    def mistake_frame(self) -> pandas.DataFrame:
        """One row a combination, a column a kind of mistake: how many there are; for all rows but the first, how many more (or fewer)."""
        counts = {steps: Counter(mistake.kind for mistake in one.mistakes) for steps, one in self.evaluations.items()}
        rows = []
        for steps, met in counts.items():
            row: dict[str, object] = {"steps": named(steps)}
            for kind in KINDS:
                row[kind] = met[kind] - counts[()][kind] if steps else met[kind]
            rows.append(row)
        return pandas.DataFrame(rows)

    def new_mistakes(self, combination: Combination, limit: int | None = None) -> pandas.DataFrame:
        """Mistakes that a combination makes and the text as it is does not: document, mistake, label, gold, predicted; at most `limit`."""
        before = {(one.document_id, one.label, one.gold, _written(one.predicted)) for one in self.evaluations[()].mistakes}
        rows = [
            {
                "document": one.document_id,
                "mistake": one.kind,
                "label": one.label,
                "gold": " | ".join(entity.text for entity in one.gold),
                "predicted": " | ".join(_written(one.predicted)),
            }
            for one in self.evaluations[combination].mistakes
            if (one.document_id, one.label, one.gold, _written(one.predicted)) not in before
        ]
        return pandas.DataFrame(rows[:limit], columns=["document", "mistake", "label", "gold", "predicted"])

    def about(self) -> Prose:
        """What the verdicts say, worst first, with the kind of mistake that each real loss adds most of, and what the scores do not
        show, in sentences."""
        real = sorted((one.difference, steps) for steps, one in self.verdicts.items() if one.real)
        sentences = [f"{plain(self.verdicts[steps].sentence())}{self._most_added(steps) if loss < 0 else ''}" for loss, steps in real]
        quiet = len(self.verdicts) - len(real)
        if quiet:
            documents = counted(next(iter(self.evaluations.values())).scores.documents, "document")
            name = METRIC_NAMES[self.metric]
            sentences.append(
                f"For {quiet} of {counted(len(self.verdicts), 'combination')} no real difference in {name} is shown on {documents}."
            )
        return Prose("\n\n".join([*sentences, *map(plain, self.notes)]))

    @property
    def costliest(self) -> Combination:
        """The combination that loses most of the metric, or gains least."""
        return min(self.verdicts, key=lambda steps: self.verdicts[steps].difference)

    def about_costliest(self) -> Prose:
        """How the costliest combination compares, in a sentence."""
        return Prose(plain(self.verdicts[self.costliest].sentence()) + self._most_added(self.costliest))

    def to_dict(self) -> dict[str, Any]:
        """Scores, mistakes by kind and verdicts of every combination, and the notes, JSON-ready."""
        return {
            "metric": self.metric,
            "notes": list(self.notes),
            "texts_read": self.read,
            "combinations": [
                {
                    "steps": list(steps),
                    "changed": self.changed[steps],
                    "micro_f1": evaluation.scores.strict.micro.f1,
                    "exact_record_rate": evaluation.scores.strict.exact_record_rate,
                    "mistakes": dict(Counter(mistake.kind for mistake in evaluation.mistakes)),
                    "verdict": self.verdicts[steps].to_dict() if steps else None,
                }
                for steps, evaluation in self.evaluations.items()
            ],
        }

    def _most_added(self, combination: Combination) -> str:
        added = Counter(mistake.kind for mistake in self.evaluations[combination].mistakes)
        added.subtract(mistake.kind for mistake in self.evaluations[()].mistakes)
        kind, number = max(added.items(), key=itemgetter(1), default=("", 0))
        return f" Most of what it adds: {plain(kind)} (+{number})." if number > 0 else ""


def study_preprocessing(
    extractor: Extractor,
    documents: Sequence[Document],
    labels: LabelSet,
    combinations: Sequence[Combination],
    *,
    metric: Metric = "micro_f1",
    settings: Settings | None = None,
    progress: TaskProgress | None = None,
) -> PreprocessingStudy:
    """Read every document as it is and after each combination of steps, all versions of a text together, and judge the differences.

    progress: called with ("read", prompts done, prompts in all). Raises, before anything is read, OptionError for no or unknown or
    repeated combinations, DocumentError for fewer than two documents and repeated ids, and as `check_gold` where no document has gold for
    any of the labels: whatever a step did, nothing would differ.
    """
    for combination in combinations:
        check_steps(combination)
    if not combinations or len(set(combinations)) < len(combinations) or () in combinations:
        raise OptionError(f"combinations are {list(combinations)}; wanted at least one, none empty and none twice")
    check_documents(documents)
    check_gold(documents, labels.names)
    notes = unscored(documents, labels.names)
    every = [(), *combinations]
    cleaned = {(document.id, steps): clean(document.text, steps) for document in documents for steps in every}
    texts = list(dict.fromkeys((document.id, cleaned[document.id, steps].text) for document in documents for steps in every))
    told = progress and partial(progress, "read")
    extractions = dict(zip(texts, extractor.extract([Document(*text) for text in texts], labels, progress=told), strict=True))
    evaluations = {
        steps: score(
            documents,
            [restored(extractions[one.id, cleaned[one.id, steps].text], cleaned[one.id, steps]) for one in documents],
            labels.names,
        )
        for steps in every
    }
    outcomes = {steps: _outcomes(steps, evaluation, labels.names) for steps, evaluation in evaluations.items()}
    verdicts = judge_all(outcomes[()], [outcomes[steps] for steps in combinations], metric, settings)
    changed = {steps: sum(cleaned[one.id, steps].text != one.text for one in documents) for steps in every}
    return PreprocessingStudy(evaluations, dict(zip(combinations, verdicts, strict=True)), changed, len(texts), metric, tuple(notes))


def judged_together(studies: Mapping[str, PreprocessingStudy]) -> dict[str, PreprocessingStudy]:
    """The studies by name, their verdicts corrected for how many there are in all of them.

    Whoever studies the same documents under several noises and looks for the differences called real meets one by chance more often than
    in a single study. Nothing is read again. Raises OptionError for studies by different metrics or settings.
    """
    tests = {(verdict.metric, verdict.settings) for study in studies.values() for verdict in study.verdicts.values()}
    if not tests:
        return {}
    if len(tests) > 1:
        raise OptionError(f"the studies are by {sorted({metric for metric, _ in tests})}, or by several settings; give all the same")
    ((metric, settings),) = tests
    pairs = []
    for study in studies.values():
        first, *others = (_outcomes(steps, one, tuple(one.scores.strict.per_label)) for steps, one in study.evaluations.items())
        pairs += [(first, other) for other in others]
    verdicts = iter(judge_pairs(pairs, metric, settings))
    return {name: replace(study, verdicts={steps: next(verdicts) for steps in study.verdicts}) for name, study in studies.items()}


def combine(steps: Sequence[str], together: int = 1) -> list[Combination]:
    """Each step alone, every choice of up to `together` of them, and all at once; steps stay in the order given.

    Raises OptionError for unknown or repeated steps and for `together` below 1.
    """
    check_steps(steps)
    if together < 1 or len(set(steps)) < len(steps):
        raise OptionError(f"together is {together} with the steps {list(steps)}; wanted at least 1, and every step once")
    chosen = [some for size in range(1, min(together, len(steps)) + 1) for some in choose(steps, size)]
    return list(dict.fromkeys([*chosen, tuple(steps)] if steps else chosen))


def step_frame(steps: Sequence[str], texts: Mapping[str, Sequence[Document]]) -> pandas.DataFrame:
    """One row a step: step, what it does, and for each name in `texts` how many of those documents it changes."""
    check_steps(steps)
    rows = []
    for step in steps:
        changed = {name: sum(clean(one.text, [step]).text != one.text for one in some) for name, some in texts.items()}
        rows.append({"step": step, "what it does": WHAT_STEPS_DO[step], **{f"changes ({name})": count for name, count in changed.items()}})
    return pandas.DataFrame(rows)


def named(combination: Combination) -> str:
    """The combination as tables show it."""
    return " + ".join(combination) or AS_IT_IS


def _outcomes(combination: Combination, evaluation: Evaluation, labels: Sequence[str]) -> Outcomes:
    return Outcomes.from_pairs(named(combination), zip(evaluation.documents, evaluation.extractions, strict=True), labels)


def _written(spans: Sequence[Any]) -> tuple[str, ...]:
    return tuple(span.text for span in spans)
