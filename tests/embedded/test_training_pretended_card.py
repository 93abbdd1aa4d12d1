"""Training on a pretended card: the CPU's losses, nothing left on the CPU that meets what is on the card, and a checkpoint that goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.resuming import read_state
from seqgpt_lab.embedded.train import Trainer
from tests.pretended_card import CARD, PretendedCard

SMALL = Recipe(steps=6, hidden_size=64, layers=2, tokens=600, pool_rows=6, drill_pools=1, drill_rows=4)


def test_a_card_takes_the_cpus_steps_and_goes_on_from_its_checkpoints(
    tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqgpt_lab.embedded.train._fast_dtype", lambda device: torch.float32)
    here = Trainer(SMALL, tokenizer, KINDS)
    wanted = [here.train_step() for _ in range(3)]
    here.save(tmp_path / "checkpoint.pt")
    wanted.append(here.train_step())
    with PretendedCard() as card:
        there = Trainer(SMALL, tokenizer, KINDS, device=torch.device("cuda"))
        found = [there.train_step() for _ in range(3)]
        assert all(weight.device == CARD for weight in (*there.model.parameters(), *there.guide.parameters()))
        again = Trainer(SMALL, tokenizer, KINDS, device=torch.device("cuda"))
        again.load(read_state(tmp_path / "checkpoint.pt"))
        found.append(again.train_step())
        assert 0 <= again.exact_share(2) <= 1
        assert not card.holds(here.model.slopes)
    assert [tokens for _, tokens in found] == [tokens for _, tokens in wanted]
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in wanted], rel=1e-3)
