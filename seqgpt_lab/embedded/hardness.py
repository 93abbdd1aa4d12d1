"""Asks a trained model about every training template, so that what it reads wrong is drawn oftener; trains nothing."""

from __future__ import annotations

from itertools import accumulate
from random import Random

from seqgpt_lab.embedded.batches import neighbours, questions_about
from seqgpt_lab.embedded.corpus.compose import filled
from seqgpt_lab.embedded.corpus.kind import Kind, with_drawn
from seqgpt_lab.embedded.corpus.template import choose
from seqgpt_lab.embedded.packing import PackedRow, pack
from seqgpt_lab.embedded.train import Report, Trainer

MOST = 3.0  # times as often a template is drawn of which all answers are wrong as one of which all are right
_QUESTIONS = 3
_TOKENS = 8_000  # at once


def drawn_by_hardness(trainer: Trainer, report: Report) -> tuple[Kind, ...]:
    """The trainer's kinds, whose templates are drawn up to `MOST` times as often, in proportion to the share of questions that its model
    answers wrong: three a template, with values drawn for it. The same weights give the same."""
    kinds = {kind.name: kind for kind in trainer.kinds}
    random = Random(trainer.recipe.seed)
    asked = [
        ((kind.name, index), _row(trainer, kind, template, random))
        for kind in kinds.values()
        for index, template in enumerate(kind.templates["train"])
    ]
    asked.sort(key=lambda each: len(each[1].ids))
    wrong: dict[tuple[str, int], float] = {}
    for group in neighbours(asked, _TOKENS, lambda each: len(each[1].ids)):
        for (place, _), right in zip(group, trainer.right([row for _, row in group]), strict=True):
            wrong[place] = 1 - sum(right) / len(right)
        if len(wrong) // 2_000 != (len(wrong) - len(group)) // 2_000 or len(wrong) == len(asked):
            report(f"templates asked {len(wrong):,}/{len(asked):,}  questions answered wrong {sum(wrong.values()) / len(wrong):.3f}")
    drawn = {
        name: list(accumulate(1 + (MOST - 1) * wrong[name, index] for index in range(len(kind.templates["train"]))))
        for name, kind in kinds.items()
    }
    return with_drawn(trainer.kinds, drawn)


def _row(trainer: Trainer, kind: Kind, template: str, random: Random) -> PackedRow:
    document = filled(choose(template, random), kind, "train", random, kind.name)
    return pack(trainer.tokenizer, document.text, questions_about(document, kind, trainer.kinds, random, _QUESTIONS))
