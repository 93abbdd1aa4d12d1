"""Rows that share a text against rows with a copy each, and the joined attention against its definition over all slots at once."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.engine import decode as decode_module
from seqgpt_lab.engine.attention import Attention, Geometry, ReferenceAttention, SdpaAttention, alibi_slopes
from seqgpt_lab.engine.decode import Decoder, decode
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.packing import PackedPass, Packing, pack
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.reuse import ReuseCache
from seqgpt_lab.engine.sharing import WORTH_SHARING, can_share
from tests.engine.completions import run, same
from tests.engine.oracles import Oracle, load
from tests.engine.rank_threads import RankThreads

CPU = torch.device("cpu")
NOISE = 1e3  # in slots that hold nothing, which nobody may look at
OWN = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 9)), min_size=1, max_size=4)
ASKED = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=10)


@pytest.fixture(scope="module")
def model(oracle: Oracle) -> Bloom:
    return load(oracle.directory)


def ask(text: int, labels: int, length: int = 12) -> Request:
    """One of a few texts, and a question about it of some length."""
    shared = [4 + (7 * at * (text + 3)) % 900 for at in range(length + 5 * text)]
    return Request((*shared, *(5 + (at * labels) % 990 for at in range(labels))), 6, shared_prefix=len(shared))


@torch.inference_mode()
def stir(decoder: Decoder) -> None:
    """Noise in all rows, none of which is at work: a slot that is not written before it is looked at shows in the answers."""
    assert decoder.cache is not None
    for tensor in (decoder.cache.keys, decoder.cache.values):
        tensor.copy_(NOISE * torch.randn(tensor.shape, generator=torch.Generator().manual_seed(0)))


@given(st.integers(1, 700), OWN, st.sampled_from((torch.float32, torch.bfloat16, torch.float16)), st.sampled_from((4, 6)))
@settings(max_examples=25, deadline=None)
def test_joined_attention_is_attention_over_all_slots(length: int, own: list[tuple[int, int]], dtype: torch.dtype, heads: int) -> None:
    """Rows with `seen` slots of their own behind the text and `new` tokens: each by itself, text and own slots one after the other."""
    noise = torch.Generator().manual_seed(length)
    text = tuple(torch.randn(2, length, heads, 16, generator=noise).to(dtype) for _ in range(2))
    cache = KVCache(2, len(own), length + 30, heads, 16, dtype=dtype, device=CPU)
    for tensor in (cache.keys, cache.values):
        tensor.copy_(torch.randn(tensor.shape, generator=noise))
    starts, counts = [length + seen for seen, _ in own], [new for _, new in own]
    query, key, value = (torch.randn(1, sum(counts), heads, 16, generator=noise).to(dtype) for _ in range(3))
    slopes = alibi_slopes(heads)
    packing = pack(starts, counts, cache.slots, CPU, [text] * len(own))
    found = PackedPass(SdpaAttention(), cache, packing, slopes, dtype)(1, query, key, value).squeeze(0).split(counts)
    for row, (start, count) in enumerate(zip(starts, counts, strict=True)):
        pairs = zip(text, (cache.keys, cache.values), strict=True)
        keys, values = (torch.cat([shared[1], own_slots[1, row, length:]]).unsqueeze(0) for shared, own_slots in pairs)
        geometry = Geometry(torch.tensor([start]), count, start + count)
        reference = ReferenceAttention()
        asked = query[:, sum(counts[:row]) : sum(counts[: row + 1])]
        wanted = reference.attend(asked, keys[:, : start + count], values[:, : start + count], reference.prepare(geometry, slopes, dtype))
        near = 1e-5 if dtype == torch.float32 else 3e-2
        torch.testing.assert_close(found[row], wanted.squeeze(0), atol=near, rtol=near)


@given(st.lists(ASKED, min_size=1, max_size=3), st.sampled_from((0, 60_000, 100_000, 1 << 24)), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_answers_are_the_same_with_shared_texts(model: Bloom, runs: list[list[tuple[int, int]]], limit_bytes: int, at_once: int) -> None:
    """Texts as short as these are not worth it, but must come out the same; also where a text goes while its rows are at work."""
    decoder = Decoder(model, rows=at_once, reuse=ReuseCache("prefix", limit_bytes))
    with patch.object(decode_module, "WORTH_SHARING", 1):
        for cases in runs:
            requests = [ask(*case) for case in cases]
            same(run(decoder, requests), decode(model, requests))
            stir(decoder)


def test_a_text_that_goes_while_it_is_shared_is_not_kept_from_empty_slots(model: Bloom) -> None:
    """The cache holds one text: the other one, in the same pass, drives it out; a later question on it must not find nothing."""
    mine, other = [ask(0, labels, 300) for labels in (1, 2, 3, 4)], ask(1, 1, 320)
    decoder = Decoder(model, rows=4, reuse=ReuseCache("prefix", 1_200_000))
    for requests in ([mine[0]], [other, mine[1], mine[2]], [mine[3]]):
        same(run(decoder, requests), decode(model, requests))
        stir(decoder)
    assert decoder.reuse.info.entries == 1


def test_ranks_share_texts_alike(oracle: Oracle, model: Bloom) -> None:
    requests = [ask(text, labels) for text in range(3) for labels in range(3)]
    parts = [load(oracle.directory, shard=Shard(rank, 2)) for rank in range(2)]
    wanted = decode(model, requests)
    with patch.object(decode_module, "WORTH_SHARING", 1):
        for found in RankThreads(2).run(lambda rank: run(Decoder(parts[rank], rows=4, reuse=ReuseCache("prefix", 1 << 24)), requests)):
            same(found, wanted)


@pytest.mark.parametrize(
    ("length", "questions", "copied"), [(WORTH_SHARING, (2, 3, 4), 0), (WORTH_SHARING - 1, (2, 3, 4), 3), (WORTH_SHARING, (2,), 1)]
)
def test_only_long_texts_of_several_questions_are_shared_and_those_are_not_copied(
    model: Bloom, length: int, questions: tuple[int, ...], copied: int
) -> None:
    """Rows meet a text that is kept already."""
    decoder = Decoder(model, reuse=ReuseCache("prefix", 1 << 26))
    run(decoder, [ask(0, 1, length)])
    requests = [ask(0, labels, length) for labels in questions]
    with patch.object(KVCache, "put_prefix", autospec=True, side_effect=KVCache.put_prefix) as put:
        same(run(decoder, requests), decode(model, requests))
    assert put.call_count == copied


@pytest.mark.parametrize(("attention", "device"), ((ReferenceAttention(), "cpu"), (SdpaAttention(), "cuda")))
def test_where_no_kernel_tells_its_sums_texts_are_copied(
    oracle: Oracle, monkeypatch: pytest.MonkeyPatch, attention: Attention, device: str
) -> None:
    """On a card torch has no such kernel; here the decoder only believes that it is on one."""
    model = load(oracle.directory, attention=attention)
    requests = [ask(0, labels, WORTH_SHARING) for labels in (1, 2, 3)]
    wanted = decode(model, requests)
    monkeypatch.setattr(decode_module, "can_share", lambda attention, _: can_share(attention, torch.device(device)))
    with patch.object(KVCache, "put_prefix", autospec=True, side_effect=KVCache.put_prefix) as put:
        same(run(Decoder(model, reuse=ReuseCache("prefix", 1 << 26)), requests), wanted)
    assert put.call_count == 2


@pytest.mark.parametrize(("questions", "runs"), ((1, 2), (2, 1)))
def test_rows_alone_with_their_text_stay_in_one_rectangle(model: Bloom, questions: int, runs: int) -> None:
    """Texts of one question each, computed and met again; and of two, the second of which comes when the first has computed the text:
    none attends apart, nor holds a text beside its own slots."""
    requests = [ask(text, labels, WORTH_SHARING) for text in range(3) for labels in range(1, 1 + questions)]
    decoder = Decoder(model, rows=6, reuse=ReuseCache("prefix", 1 << 26))
    seen: list[Packing] = []
    with patch.object(decode_module, "pack", side_effect=lambda *given: seen.append(pack(*given)) or seen[-1]):
        for _ in range(runs):
            same(run(decoder, requests), decode(model, requests))
    assert all(span.text is None for packing in seen for span in packing.spans)
    assert len(seen[-1].spans) == 1 and max(len(packing.spans) for packing in seen) <= 4
