"""The compiled attention, activation and loss of training against plain ones in float64, and training where nothing can be compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.embedded.batches import Batches, Pools
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.fused import build
from seqgpt_lab.embedded.fused.functions import attention, cross_entropy, gelu
from seqgpt_lab.embedded.packed_attention import attend_in_full, packed_bias
from seqgpt_lab.embedded.packing import PAD_BLOCK, Batch
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.train import Trainer
from seqgpt_lab.embedded.train_embedded import train_embedded
from seqgpt_lab.engine.attention import alibi_slopes

CLOSE = {torch.float32: {"atol": 2e-5, "rtol": 1e-4}, torch.bfloat16: {"atol": 0.05, "rtol": 0.03}}


with_it = pytest.mark.usefixtures("compiled")


def packed(rows: list[list[int]]) -> Batch:
    """A batch of rows, each of so many tokens of text and of each question; a text of none is left out."""
    longest = max(map(sum, rows)) + 3  # so that every row has pads
    blocks, positions = torch.full((len(rows), longest), PAD_BLOCK), torch.zeros(len(rows), longest, dtype=torch.int64)
    for row, counts in enumerate(rows):
        at = 0
        for block, count in enumerate(counts):
            start = counts[0] if block else 0
            blocks[row, at : at + count] = block
            positions[row, at : at + count] = torch.arange(start, start + count)
            at += count
    nothing = torch.zeros(0, 3, dtype=torch.int64)
    return Batch(torch.zeros_like(blocks), positions, blocks, torch.full_like(blocks, -100), torch.full_like(blocks, -100), nothing)


def plain(heads: Tensor, batch: Batch) -> Tensor:
    """What the compiled one should give: [B, T, H, D], in the dtype of the heads [B, T, H, 3, D]."""
    return attend_in_full(*heads.unbind(3), packed_bias(batch, alibi_slopes(heads.shape[2]).to(heads.dtype)))


ROWS = some.lists(some.lists(some.integers(0, 90), min_size=1, max_size=4).filter(any), min_size=1, max_size=3)


@with_it
@given(rows=ROWS, heads=some.sampled_from((1, 3, 4)), dtype=some.sampled_from((torch.float32, torch.bfloat16)), seed=some.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_attention_is_the_plain_one_forwards_and_backwards(rows: list[list[int]], heads: int, dtype: torch.dtype, seed: int) -> None:
    torch.manual_seed(seed)
    batch = packed(rows)
    real = batch.blocks != PAD_BLOCK
    given_heads = torch.randn(*batch.ids.shape, heads, 3, 64).to(dtype)
    above = torch.randn(*batch.ids.shape, heads, 64).to(dtype) * real[:, :, None, None]
    exact, mine = given_heads.double().requires_grad_(), given_heads.requires_grad_()
    wanted, got = plain(exact, batch), attention(*mine.unbind(3), alibi_slopes(heads), batch.blocks)
    torch.testing.assert_close(got[real].double(), wanted[real], **CLOSE[dtype])
    assert not got[~real].any()
    (wanted * above.double()).sum().backward()
    (got * above).sum().backward()
    assert exact.grad is not None and mine.grad is not None
    torch.testing.assert_close(mine.grad[real].double(), exact.grad[real], **CLOSE[dtype])
    assert not mine.grad[~real].any()


@with_it
def test_a_long_text_far_from_its_questions_end() -> None:
    """Distances of thousands of tokens, where a bias worked out carelessly loses digits."""
    torch.manual_seed(1)
    batch = packed([[2500, 40, 700]])
    given_heads = torch.randn(*batch.ids.shape, 2, 3, 64)
    got = attention(*given_heads.unbind(3), alibi_slopes(2), batch.blocks)
    real = batch.blocks != PAD_BLOCK
    torch.testing.assert_close(got[real].double(), plain(given_heads.double(), batch)[real], atol=2e-5, rtol=1e-4)


@with_it
@given(
    count=some.integers(1, 40),
    ids=some.integers(1, 200),
    size=some.sampled_from((0.1, 3.0, 300.0)),
    dtype=some.sampled_from((torch.float32, torch.bfloat16)),
)
@settings(max_examples=60, deadline=None)
def test_the_loss_is_torchs(count: int, ids: int, size: float, dtype: torch.dtype) -> None:
    torch.manual_seed(count * 1000 + ids)
    targets = torch.randint(0, ids, (count,))
    mine = (size * torch.randn(count, ids)).to(dtype).requires_grad_()
    exact = mine.detach().double().requires_grad_()
    got, wanted = cross_entropy(mine, targets), functional.cross_entropy(exact, targets)
    assert got.dtype == torch.float32 and got.item() == pytest.approx(wanted.item(), rel=2e-5, abs=2e-6)
    (3 * got).backward()
    (3 * wanted).backward()
    assert mine.grad is not None and exact.grad is not None
    torch.testing.assert_close(
        mine.grad.double(), exact.grad, atol=2e-6 if dtype == torch.float32 else 1e-4, rtol=1e-4 if dtype == torch.float32 else 0.02
    )


@with_it
@given(
    shape=some.sampled_from(((1,), (7, 33), (3, 1025), (2, 5, 64))),
    dtype=some.sampled_from((torch.float32, torch.bfloat16)),
    seed=some.integers(0, 9),
)
@settings(max_examples=30, deadline=None)
def test_the_activation_is_torchs(shape: tuple[int, ...], dtype: torch.dtype, seed: int) -> None:
    torch.manual_seed(seed)
    values = (4 * torch.randn(shape)).to(dtype)
    values.flatten()[0] = (-3e4, -90.0, 0.0, 90.0, 3e4)[seed % 5]
    mine, exact = values.clone().requires_grad_(), values.double().requires_grad_()
    above = torch.randn(shape).to(dtype)
    got, wanted = gelu(mine), functional.gelu(exact, approximate="tanh")
    (got * above).sum().backward()
    (wanted * above.double()).sum().backward()
    assert mine.grad is not None and exact.grad is not None
    close = {"atol": 2e-6, "rtol": 1e-5} if dtype == torch.float32 else {"atol": 1e-3, "rtol": 0.01}
    torch.testing.assert_close(got.double(), wanted, **close)
    torch.testing.assert_close(mine.grad.double(), exact.grad, **close)


@with_it
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 32}, "heads of 64"),
        ({"dtype": torch.float16}, "float32 or bfloat16"),
        ({"blocks": 7}, "one int64 block a token"),
        ({"slopes": 5}, "one float32 slope a head"),
    ],
)
def test_what_the_compiled_attention_cannot_take_is_refused(change: dict[str, object], words: str) -> None:
    """It reads memory by what it believes of shapes."""
    heads = torch.zeros(1, 8, 2, change.get("width", 64), dtype=change.get("dtype", torch.float32))  # type: ignore[call-overload]
    blocks, slopes = torch.zeros(1, change.get("blocks", 8), dtype=torch.int64), torch.ones(change.get("slopes", 2))  # type: ignore[call-overload]
    with pytest.raises(RuntimeError, match=words):
        attention(heads, heads, heads, slopes, blocks)


@with_it
@pytest.mark.parametrize("target", [-100, 9])
def test_a_target_that_is_no_id_is_refused(target: int) -> None:
    with pytest.raises(RuntimeError, match="targets must be"):
        cross_entropy(torch.zeros(2, 9), torch.tensor([3, target]))


@with_it
def test_a_step_moves_the_weights_as_without(tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole update in float32: loss, guidance and every weight."""
    monkeypatch.setattr("seqgpt_lab.embedded.train._fast_dtype", lambda device: torch.float32)
    recipe = Recipe(steps=3, hidden_size=128, layers=2, tokens=1500, pool_rows=8, drill_pools=0, warmup=1)
    batch = Batches(Pools(tokenizer, KINDS, recipe)).next()
    grads = []
    for compiled in (False, True):
        trainer = Trainer(recipe, tokenizer, KINDS, compiled=compiled)
        monkeypatch.setattr(trainer.batches, "next", lambda: batch)
        for optimiser in trainer.optimisers:
            monkeypatch.setattr(optimiser, "zero_grad", lambda set_to_none: None)  # so that they can be looked at
        loss, _ = trainer.train_step()
        grads.append((loss, {name: weight.grad for name, weight in trainer.model.named_parameters()}))
    (loss, without), (same, changed) = grads
    assert same == pytest.approx(loss, rel=1e-5)
    for name, gradient in without.items():
        assert gradient is not None and gradient.any(), name
        torch.testing.assert_close(changed[name], gradient, atol=1e-5 * float(gradient.abs().max()), rtol=1e-3, msg=name)


@pytest.mark.parametrize(
    ("compiler", "words"),
    [("/no/such/c++", "could not be used"), ("false", "false failed"), ("true", "can be loaded"), ("c++ '", "could not be used")],
)
def test_training_goes_on_where_nothing_can_be_compiled(
    compiler: str, words: str, tokenizer: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setattr("seqgpt_lab.embedded.train_embedded.load", build.load.__wrapped__)
    monkeypatch.setattr("seqgpt_lab.embedded.train_embedded.corpus_tokenizer", lambda: tokenizer)
    recipe = Recipe(steps=1, hidden_size=64, layers=1, tokens=600, pool_rows=6, drill_pools=0)
    lines: list[str] = []
    made = train_embedded(tmp_path, recipe, lines.append)
    assert any(words in line and "goes on without" in line for line in lines), lines
    assert (made / "model.safetensors").stat().st_size > 0


def test_no_compiler_at_all_is_said_with_what_brings_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(build.NotCompiledError, match=r"no C\+\+ compiler; `apt-get install g\+\+`"):
        build.load.__wrapped__()
