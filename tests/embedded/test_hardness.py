"""Templates that a model reads wrong are drawn oftener: asked once each, drawn in proportion, and drawn so again after a kill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from tokenizers import Tokenizer

from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kind import drawn_of, with_drawn
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.hardness import drawn_by_hardness
from seqgpt_lab.embedded.packing import PackedRow
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.train import Trainer, train
from seqgpt_lab.embedded.train_embedded import train_embedded
from seqgpt_lab.errors import OptionError

SMALL = Recipe(steps=4, hidden_size=64, layers=1, tokens=600, pool_rows=6, drill_pools=0)
MARKS = ("甲标记", "乙标记", "丙标记")  # what tells the documents of three templates apart
FEW = tuple(
    replace(kind, templates={**kind.templates, "train": tuple(f"{mark}：{{{kind.fields[0].name}}}。" for mark in marks)})
    for kind, marks in zip(KINDS, (MARKS, (*MARKS, "丁标记")), strict=False)
)


def silent(line: str) -> None:
    pass


def test_a_template_is_drawn_as_often_as_it_is_told_to_be() -> None:
    (kind,) = with_drawn(FEW[:1], {FEW[0].name: (1.0, 4.0, 4.0)})
    random = Random(0)
    texts = [compose(kind, "train", random, 0).text for _ in range(4000)]
    # Synonyms and noise leave the marks of most alone; forms and clauses have none.
    found = Counter(mark for text in texts for mark in MARKS if text.startswith(mark))
    assert found["乙标记"] / found["甲标记"] == pytest.approx(3, rel=0.2)
    assert found["丙标记"] < found["甲标记"] / 3  # only in documents put together from several templates


def test_what_is_read_wrong_is_drawn_up_to_three_times_as_often(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that is there twice stays one, and so do answers half of which are right."""
    trainer = Trainer(SMALL, tokenizer, (*FEW, FEW[0]))

    def right(rows: Sequence[PackedRow]) -> list[list[bool]]:
        texts = [tokenizer.decode([token for token, block in zip(row.ids, row.blocks, strict=True) if not block]) for row in rows]
        return [[False] * 3 if "甲标记" in text else [True, False, True] if "乙标记" in text else [True] * 3 for text in texts]

    monkeypatch.setattr(trainer, "right", right)
    first, second, again = drawn_by_hardness(trainer, silent)
    assert first is again and first.name != second.name
    assert first.drawn == pytest.approx((3, 3 + 5 / 3, 3 + 5 / 3 + 1))
    assert second.drawn == pytest.approx((3, 3 + 5 / 3, 3 + 5 / 3 + 1, 3 + 5 / 3 + 2))


def test_a_model_that_knows_nothing_has_all_wrong_and_is_told_so(tokenizer: Tokenizer) -> None:
    lines: list[str] = []
    kinds = drawn_by_hardness(Trainer(SMALL, tokenizer, FEW), lines.append)
    assert [kind.drawn for kind in kinds] == [(3.0, 6.0, 9.0), (3.0, 6.0, 9.0, 12.0)]
    assert lines == ["templates asked 7/7  questions answered wrong 1.000"]


def test_a_killed_run_goes_on_drawing_as_it_did(tokenizer: Tokenizer, tmp_path: Path) -> None:
    def trainer() -> Trainer:
        return Trainer(SMALL, tokenizer, FEW)

    def hard() -> Trainer:
        made = trainer()
        made.draw(with_drawn(FEW, {FEW[0].name: (1.0, 1.0, 50.0), FEW[1].name: (1.0, 1.0, 1.0, 50.0)}))
        return made

    whole, begun, plain = hard(), hard(), trainer()
    for each, steps in ((whole, 4), (begun, 2), (plain, 4)):
        for _ in range(steps):
            each.train_step()
    begun.save(tmp_path / "checkpoint.pt")
    resumed = trainer()
    train(resumed, tmp_path, silent, evaluate_every=99)
    weight = whole.model.word_embeddings.weight
    assert torch.equal(resumed.model.word_embeddings.weight, weight) and not torch.equal(plain.model.word_embeddings.weight, weight)
    assert drawn_of(resumed.kinds) == drawn_of(whole.kinds)


def test_a_run_of_other_templates_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    hard = Trainer(SMALL, tokenizer, FEW)
    hard.draw(with_drawn(FEW, {FEW[0].name: (1.0, 2.0, 3.0)}))
    hard.save(tmp_path / "checkpoint.pt")
    fewer = replace(FEW[0], templates={**FEW[0].templates, "train": FEW[0].templates["train"][:2]})
    with pytest.raises(OptionError, match=rf"{FEW[0].name} has 2 training templates, and 3 are .*--start"):
        train(Trainer(SMALL, tokenizer, (fewer, FEW[1])), tmp_path, silent)


def test_who_trains_on_from_a_model_asks_it_first_and_once(tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.embedded.train_embedded.TRAINED_KINDS", FEW)
    monkeypatch.setattr("seqgpt_lab.embedded.train_embedded.corpus_tokenizer", lambda: tokenizer)
    recipe = replace(SMALL, steps=1)
    lines: list[str] = []
    start = train_embedded(tmp_path / "first", recipe, lines.append)
    assert not any("templates asked" in line for line in lines)
    train_embedded(tmp_path / "second", recipe, lines.append, start)
    assert sum("templates asked" in line for line in lines) == 1
    train_embedded(tmp_path / "second", recipe, lines.append, start)
    assert sum("templates asked" in line for line in lines) == 1
    state = torch.load(tmp_path / "second" / "checkpoint.pt", weights_only=True)
    assert sorted(state["drawn"]) == sorted(kind.name for kind in FEW)
