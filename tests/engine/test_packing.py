"""Tokens side by side against the same rows one by one: what each row attends to does not depend on its neighbours."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.packing import PackedPass, pack
from tests.engine.oracles import Oracle, load

CPU = torch.device("cpu")
COUNTS = st.one_of(st.integers(1, 45), st.integers(1, 45), st.integers(250, 400))
ROWS = st.lists(st.tuples(st.integers(0, 50), COUNTS), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def model(oracle: Oracle) -> Bloom:
    return load(oracle.directory)


def random_cache(model: Bloom, rows: int, slots: int) -> KVCache:
    """Every row has seen something, and past that lies something else."""
    config = model.config
    cache = KVCache(config.layers, rows, slots, config.heads, config.head_dim, dtype=torch.float32, device=CPU)
    noise = torch.Generator().manual_seed(rows)
    cache.keys.normal_(generator=noise)
    cache.values.normal_(generator=noise)
    return cache


@given(ROWS, st.integers(0, 20), st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_a_packed_pass_is_the_rows_passes_one_by_one(model: Bloom, rows: list[tuple[int, int]], spare: int, tokens: int) -> None:
    """With spare slots in the cache and spare tokens in the pass, which change nothing and are not kept."""
    starts, counts = [start for start, _ in rows], [count for _, count in rows]
    capacity = max(start + count for start, count in rows) + spare
    ids = [torch.arange(5 + at, 5 + at + count) % 1000 for at, count in enumerate(counts)]
    packed, alone = random_cache(model, len(rows), capacity), random_cache(model, len(rows), capacity)
    with torch.inference_mode():
        attend = PackedPass(model.attention, packed, pack(starts, counts, capacity, CPU), model.slopes, torch.float32)
        fed = torch.cat([*ids, torch.zeros(tokens, dtype=torch.int64)])
        found = model.run(model.embed(fed.unsqueeze(0)), attend).squeeze(0)[: sum(counts)].split(counts)
        for at, (start, count) in enumerate(rows):
            single = KVCache(1, 1, 1, 1, 1, dtype=torch.float32, device=CPU)
            single.keys, single.values = alone.keys[:, at : at + 1], alone.values[:, at : at + 1]
            wanted = model(ids[at].unsqueeze(0), Geometry(torch.tensor([start]), count, start + count), single)
            torch.testing.assert_close(found[at], wanted[0], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(packed.keys, alone.keys, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(packed.values, alone.values, atol=1e-4, rtol=1e-4)


@given(ROWS, st.integers(0, 20))
def test_spans_cover_the_rows_in_order_and_waste_little(rows: list[tuple[int, int]], spare: int) -> None:
    starts, counts = [start for start, _ in rows], [count for _, count in rows]
    capacity = max(start + count for start, count in rows) + spare
    spans = pack(starts, counts, capacity, CPU).spans
    seen = [0] * len(rows)
    for span in spans:
        for row in range(span.first, span.first + span.rows):
            assert span.rows == 1 or seen[row] == 0, "only a row by itself is fed in blocks"
            assert span.geometry.starts.tolist()[row - span.first] == starts[row] + seen[row]
            seen[row] += span.tokens if span.rows == 1 else counts[row]
    assert seen == counts and [span.first for span in spans] == sorted(span.first for span in spans)
    assert sum(span.tokens for span in spans) == sum(counts)
    for one, other in pairwise(spans):
        together = slice(one.first, other.first + 1)
        longest = max(counts[together])
        wasteful = longest > 32 and longest * len(counts[together]) > 1.25 * sum(counts[together])
        assert one.first == other.first or wasteful or max(starts[together]) + longest > capacity, "apart without need"
    for span in spans:
        longest = span.geometry.new_tokens
        assert span.geometry.slots <= capacity, "flash-attn is told lengths of start + longest"
        assert longest <= 32 or longest * span.rows <= 1.25 * span.tokens
        assert span.rows > 1 or longest <= 256
