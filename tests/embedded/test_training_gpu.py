"""For the first machine with a GPU (`make test-gpu`): training there takes the CPU's steps, and a checkpoint goes on on either."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.train import Trainer, train

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
RECIPE = Recipe(steps=12, hidden_size=128, layers=2, tokens=2000, pool_rows=24, drill_pools=1, drill_rows=8)
CUDA = torch.device("cuda")


@pytest.mark.parametrize("exact", (True, False), ids=("fp32", "bf16"))
def test_a_gpu_takes_the_cpus_steps(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, exact: bool) -> None:
    if exact:
        monkeypatch.setattr("seqgpt_lab.embedded.train._fast_dtype", lambda device: torch.float32)
    here, there = Trainer(RECIPE, tokenizer, KINDS), Trainer(RECIPE, tokenizer, KINDS, device=CUDA, workers=2)
    losses = [[trainer.train_step() for _ in range(6)] for trainer in (here, there)]
    assert [tokens for _, tokens in losses[0]] == [tokens for _, tokens in losses[1]]
    mine, theirs = ([loss for loss, _ in each] for each in losses)
    assert theirs == pytest.approx(mine, rel=1e-3 if exact else 0.05)


@pytest.mark.parametrize(("first", "then"), ((CUDA, torch.device("cpu")), (torch.device("cpu"), CUDA)), ids=("from", "to"))
def test_a_checkpoint_goes_on_on_another_device(tokenizer: Tokenizer, tmp_path: Path, first: torch.device, then: torch.device) -> None:
    begun = Trainer(RECIPE, tokenizer, KINDS, device=first)
    for _ in range(6):
        begun.train_step()
    (tmp_path / "run").mkdir()
    begun.save(tmp_path / "run" / "checkpoint.pt")
    lines: list[str] = []
    ended = Trainer(RECIPE, tokenizer, KINDS, device=then)
    train(ended, tmp_path / "run", lines.append)
    assert lines[0] == "resumed at step 6" and ended.step == RECIPE.steps
    assert 0 <= ended.exact_share(8) <= 1
    alone = Trainer(RECIPE, tokenizer, KINDS, device=then)
    train(alone, tmp_path / "alone", lines.append)
    for mine, theirs in zip(ended.model.parameters(), alone.model.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, atol=0.02, rtol=0.1)


def test_a_pool_of_large_batches_fits_a_card_of_24_gigabytes(tokenizer: Tokenizer) -> None:
    trainer = Trainer(replace(Recipe().with_large_batches(), drill_pools=0), tokenizer, KINDS, device=CUDA)
    torch.cuda.reset_peak_memory_stats()
    while trainer.batches.pool == 0:
        loss, tokens = trainer.train_step()
        assert loss > 0 and tokens > 10_000
    assert torch.cuda.max_memory_allocated() < 20 << 30
