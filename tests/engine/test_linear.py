"""Packed weights give the very bits that plain ones give, at any number of positions, and only where the processor has use for them."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.engine import linear
from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.decode import decode
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.linear import Linear, packable, product_with_rows, whole_rows
from seqgpt_lab.engine.model import IDS_AT_ONCE, AttentionPass, Bloom, fresh_geometry
from tests.engine.oracles import Oracle, load, random_requests
from tests.engine.steering import RandomRules

SIZES = {side << power for side in (1, 3) for power in range(12)}
CPU = torch.device("cpu")
IDS = torch.tensor([request.prompt_ids for request in random_requests(400, longest=37) if len(request.prompt_ids) == 37][:3])
multiplies_bf16 = pytest.mark.skipif(not packable(torch.zeros(1, 1, dtype=torch.bfloat16)), reason="this CPU does not multiply bfloat16")


def linears(inner: int, outer: int) -> tuple[Linear, Linear]:
    """The same linear, plain and packed."""
    torch.manual_seed(inner)
    plain, packed = (Linear(inner, outer).to(torch.bfloat16).requires_grad_(False) for _ in range(2))
    packed.load_state_dict(plain.state_dict())
    packed.pack()
    return plain, packed


@multiplies_bf16
@pytest.mark.parametrize(("inner", "outer"), ((64, 192), (192, 64), (33, 7)))
def test_a_packed_linear_gives_the_same_bits(inner: int, outer: int) -> None:
    plain, packed = linears(inner, outer)
    assert packed.weight.is_mkldnn and packed.weight.shape == plain.weight.shape and packed.weight.nbytes == plain.weight.nbytes
    for count in (1, 2, 17, 300):
        hidden = torch.randn(1, count, inner).to(torch.bfloat16)
        for found, wanted in ((packed(hidden), plain(hidden)), (packed.without_bias(hidden), plain.without_bias(hidden))):
            assert found.shape == (1, count, outer) and torch.equal(found, wanted)
        assert not torch.equal(packed(hidden), packed.without_bias(hidden))


@multiplies_bf16
def test_gelu_of_a_packed_linear_errs_no_more_than_gelu_after_rounding() -> None:
    plain, packed = linears(64, 192)
    hidden = torch.randn(50, 64).to(torch.bfloat16)
    truth = functional.gelu(functional.linear(hidden.float(), plain.weight.float(), plain.bias.float()), approximate="tanh")

    def error(found: Tensor) -> float:
        return float((found.float() - truth).norm() / truth.norm())

    assert error(packed.gelu(hidden)) <= error(plain.gelu(hidden)) < 0.01


@pytest.mark.parametrize("dtype", (torch.float32, torch.float16))
def test_other_dtypes_stay_as_they_are(dtype: torch.dtype) -> None:
    linear = Linear(8, 4).to(dtype)
    weight = linear.weight
    linear.pack()
    assert linear.weight is weight and not weight.is_mkldnn
    assert torch.equal(
        linear.gelu(torch.ones(1, 8, dtype=dtype)), functional.gelu(linear(torch.ones(1, 8, dtype=dtype)), approximate="tanh")
    )


@multiplies_bf16
def test_a_packed_model_scores_as_the_plain_one(oracle: Oracle) -> None:
    plain, packed = load(oracle.directory, dtype="bf16"), load(oracle.directory, dtype="bf16")
    packed.pack()
    assert packed.packed_head and sum(one.nbytes for one in packed.parameters()) == sum(one.nbytes for one in plain.parameters())
    with torch.inference_mode():
        wanted, found = (model(IDS, fresh_geometry(IDS)) for model in (plain, packed))
        assert float((found.float() - wanted.float()).norm() / wanted.float().norm()) < 0.03  # GELU rounds otherwise
        assert torch.equal(packed.logits(wanted), plain.logits(wanted))
        for count in (1, 3, 70, 999):
            some = torch.arange(0, 999, 999 // count)[:count]
            with patch.object(linear, "product", side_effect=linear.product) as multiplied:
                assert torch.equal(packed.logits(wanted, some), plain.logits(wanted, some))
            assert {len(each) for each in multiplied.call_args_list[0].args} <= SIZES


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_whole_rows_are_few_sizes_and_little_more(count: int, other: int) -> None:
    whole = whole_rows(count)
    assert count <= whole == whole_rows(whole) and whole - count < max(16, 1 + count / 8)
    assert (count <= other) <= (whole <= whole_rows(other))
    assert len({whole_rows(each) for each in range(1, 2049)}) <= 42


@given(st.integers(1, 70), st.integers(0, 300), st.booleans())
def test_products_with_some_rows_meet_few_sizes(states: int, asked: int, few_sizes: bool) -> None:
    """Whatever their sizes, they give what torch's linear gives with these rows alone."""
    noise = torch.Generator().manual_seed(states)
    weight, hidden = torch.randn(90, 16, generator=noise), torch.randn(states, 16, generator=noise)
    rows = torch.randint(0, 90, (asked,), generator=noise)
    with patch.object(linear, "product", side_effect=linear.product) as multiplied:
        found = product_with_rows(hidden.view(1, states, 16), weight, rows, few_sizes)
    torch.testing.assert_close(found, functional.linear(hidden, weight[rows]).unsqueeze(0))
    some, chosen = (each.shape[:-1].numel() for each in multiplied.call_args.args)
    if few_sizes and asked:
        assert {some, chosen} <= SIZES and some <= max(8, 1.5 * states) and chosen <= max(64, 1.5 * asked)
    else:
        assert (some, chosen) == (states, asked)


@multiplies_bf16
def test_what_is_computed_besides_changes_no_answer(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packed products are given more rows than there are tokens and states; answers and probabilities are those of just as many. The
    head is scored in several blocks, and some requests may choose among a few ids only."""
    monkeypatch.setitem(IDS_AT_ONCE, "cpu", 37)
    requests = [*random_requests(9, longest=30), *random_requests(1, longest=200)]
    rules = [RandomRules(seed, oracle.config.vocab_size, 2) if seed % 2 else None for seed in range(len(requests))]
    requests = [replace(one, constraint=rule) for one, rule in zip(requests, rules, strict=True)]
    found = []
    for more in (True, False):
        model = load(oracle.directory, dtype="bf16")
        model.pack()
        if not more:
            monkeypatch.setattr(model, "spare", lambda count: 0)
        found.append(decode(model, requests))
    assert [one.token_ids for one in found[0]] == [one.token_ids for one in found[1]]
    assert [one.token_probabilities for one in found[0]] == [one.token_probabilities for one in found[1]]


def _pass(model: Bloom, cache: KVCache, geometry: Geometry) -> AttentionPass:
    return AttentionPass(model.attention, cache, geometry, model.attention.prepare(geometry, model.slopes, torch.float32))


def test_asked_places_are_those_of_the_whole_pass(oracle: Oracle) -> None:
    """The last layer computes only what is asked, and still writes every token's keys and values."""
    model = load(oracle.directory)
    asked, caches = torch.tensor([0, 7, 36]), [KVCache(2, 3, 37, 12, 16, dtype=torch.float32, device=CPU) for _ in range(2)]
    geometry = Geometry(torch.zeros(3, dtype=torch.int64), 37, 37, fresh=True)
    with torch.inference_mode():
        whole = model.run(model.embed(IDS), _pass(model, caches[0], geometry))
        some = model.run(model.embed(IDS), _pass(model, caches[1], geometry), asked)
    torch.testing.assert_close(some, whole.index_select(1, asked), atol=1e-5, rtol=0)
    torch.testing.assert_close(caches[1].keys, caches[0].keys, atol=1e-5, rtol=0)
    assert caches[0].keys[1].abs().sum() > 0
