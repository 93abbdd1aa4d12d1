"""The ways to attend against the definition, spelled out a query at a time, on random geometries."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.models.bloom.modeling_bloom import build_alibi_tensor

from seqgpt_lab.engine.attention import (
    Attention,
    Geometry,
    ReferenceAttention,
    SdpaAttention,
    alibi_bias,
    alibi_slopes,
    aligned_alibi_bias,
    choose_attention,
)
from seqgpt_lab.errors import OptionError

BOTH = (SdpaAttention(), ReferenceAttention())


@dataclass(frozen=True, slots=True)
class Case:
    """New tokens of some rows, over a cache in which each row has its own length; what lies past a length is garbage."""

    query: Tensor
    keys: Tensor
    values: Tensor
    geometry: Geometry

    @property
    def slopes(self) -> Tensor:
        return alibi_slopes(self.query.shape[2])

    def attend(self, attention: Attention) -> Tensor:
        prepared = attention.prepare(self.geometry, self.slopes, self.query.dtype)
        return attention.attend(self.query, self.keys, self.values, prepared)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    fresh = draw(st.booleans())
    starts = draw(st.lists(st.just(0) if fresh else st.integers(0, 12), min_size=1, max_size=4))
    new, heads = draw(st.integers(1, 5)), draw(st.sampled_from((1, 2, 3, 4, 12)))
    slots = max(starts) + new + draw(st.integers(0, 3))
    noise = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    query = torch.randn((len(starts), new, heads, 8), generator=noise)
    keys, values = torch.randn((2, len(starts), slots, heads, 8), generator=noise)
    return Case(query, keys, values, Geometry(torch.tensor(starts), new, slots, fresh))


def spelled_out(case: Case) -> Tensor:
    """softmax over the slots up to each query's own, of q.k / sqrt(D) - slope * distance: one query and one head at a time."""
    found = torch.empty_like(case.query)
    for row, start in enumerate(case.geometry.starts.tolist()):
        for step in range(case.geometry.new_tokens):
            seen = start + step + 1
            distances = torch.tensor([float(start + step - slot) for slot in range(seen)])
            for head, slope in enumerate(case.slopes):
                scores = case.keys[row, :seen, head] @ case.query[row, step, head] / 8**0.5 - slope * distances
                found[row, step, head] = scores.softmax(0) @ case.values[row, :seen, head]
    return found


@given(cases())
@settings(max_examples=40, deadline=None)
def test_sdpa_and_reference_compute_the_definition(case: Case) -> None:
    wanted = spelled_out(case)
    for attention in BOTH:
        torch.testing.assert_close(case.attend(attention), wanted, atol=1e-5, rtol=1e-5)


@given(cases(), st.sampled_from((1e4, -1e4)))
@settings(max_examples=25, deadline=None)
def test_what_lies_past_a_rows_length_never_matters(case: Case, garbage: float) -> None:
    before = [case.attend(attention) for attention in BOTH]
    for row, start in enumerate(case.geometry.starts.tolist()):
        case.keys[row, start + case.geometry.new_tokens :] = garbage
        case.values[row, start + case.geometry.new_tokens :] = -garbage
    for attention, result in zip(BOTH, before, strict=True):
        torch.testing.assert_close(case.attend(attention), result, atol=1e-6, rtol=0)


@given(cases(), st.sampled_from((torch.float16, torch.bfloat16)))
@settings(max_examples=25, deadline=None)
def test_half_precision_stays_near_the_definition(case: Case, dtype: torch.dtype) -> None:
    half = Case(case.query.to(dtype), case.keys.to(dtype), case.values.to(dtype), case.geometry)
    for attention in BOTH:
        found = half.attend(attention)
        assert found.dtype == dtype
        torch.testing.assert_close(found.float(), spelled_out(case), atol=0.08 if dtype == torch.bfloat16 else 0.01, rtol=0.02)


@pytest.mark.parametrize("heads", (1, 2, 3, 4, 7, 12, 14, 16, 20, 112))
def test_alibi_slopes_are_transformers(heads: int) -> None:
    theirs = build_alibi_tensor(torch.ones(1, 2), heads, torch.float32)[:, 0, 1]  # slope x position, at position 1
    torch.testing.assert_close(alibi_slopes(heads), theirs, atol=0, rtol=1e-6)


def test_alibi_slopes_of_twelve_heads_interleave_those_of_sixteen() -> None:
    wanted = [2**-1, 2**-2, 2**-3, 2**-4, 2**-5, 2**-6, 2**-7, 2**-8, 2**-0.5, 2**-1.5, 2**-2.5, 2**-3.5]
    assert alibi_slopes(12).tolist() == pytest.approx(wanted)


@pytest.mark.parametrize(("name", "wanted"), (("auto", SdpaAttention), ("sdpa", SdpaAttention), ("reference", ReferenceAttention)))
def test_a_cpu_gets_the_attention_it_can_run(name: str, wanted: type) -> None:
    assert isinstance(choose_attention(name, torch.device("cpu"), torch.float16), wanted)


def test_flash_attention_on_a_cpu_says_what_to_use() -> None:
    with pytest.raises(OptionError, match=r"'flash' needs a CUDA device, this is 'cpu'; use attention='sdpa'"):
        choose_attention("flash", torch.device("cpu"), torch.float16)


def test_an_unknown_attention_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match=r"'eager'; choose auto, sdpa, flash or reference"):
        choose_attention("eager", torch.device("cpu"), torch.float16)


@pytest.mark.skipif(importlib.util.find_spec("flash_attn") is not None, reason="flash-attn is installed here")
def test_without_the_package_flash_names_the_extra_to_install_and_auto_is_sdpa() -> None:
    with pytest.raises(OptionError, match=r"seqgpt-lab\[flash\]"):
        choose_attention("flash", torch.device("cuda"), torch.float16)
    assert isinstance(choose_attention("auto", torch.device("cuda"), torch.float16), SdpaAttention)


@given(cases(), st.sampled_from((torch.float32, torch.float16, torch.bfloat16)))
def test_the_bias_of_cards_holds_the_same_numbers(case: Case, dtype: torch.dtype) -> None:
    assert torch.equal(aligned_alibi_bias(case.geometry, case.slopes, dtype), alibi_bias(case.geometry, case.slopes, dtype))
