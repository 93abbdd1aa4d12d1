"""Ranks' parts of a model: put side by side they are the whole, and added up they compute what the whole computes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqgpt_lab.engine import choose as choose_module
from seqgpt_lab.engine import parallel as parallel_module
from seqgpt_lab.engine.attention import alibi_slopes
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.decode import decode
from seqgpt_lab.engine.model import IDS_AT_ONCE, Bloom, fresh_geometry
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import OptionError
from tests.engine.among import Among
from tests.engine.oracles import Oracle, load, make_oracle, random_requests
from tests.engine.rank_threads import RankThreads

WORLDS = (2, 4)
ROWS = (
    "query_key_value.weight",
    "query_key_value.bias",
    "dense_h_to_4h.weight",
    "dense_h_to_4h.bias",
    "word_embeddings.weight",
    "lm_head.weight",
)
COLUMNS = (".dense.weight", "dense_4h_to_h.weight")


@pytest.fixture(scope="module", params=(True, False), ids=("tied", "untied"))
def odd(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """12 heads, and a vocabulary that no world divides."""
    return make_oracle(tmp_path_factory.mktemp("odd"), heads=12, vocabulary=997, tied=request.param)


def parts_of(oracle: Oracle, world: int) -> list[Bloom]:
    return [load(oracle.directory, shard=Shard(rank, world)) for rank in range(world)]


def joined(name: str, parts: Sequence[Tensor]) -> Tensor:
    """Parts put together along the dimension this tensor is split in; what is not split must be the same on every rank."""
    if name.endswith(ROWS):
        return torch.cat(list(parts))
    if name.endswith(COLUMNS):
        return torch.cat(list(parts), dim=1)
    assert all(torch.equal(part, parts[0]) for part in parts), name
    return parts[0]


@pytest.mark.parametrize("world", WORLDS)
def test_parts_side_by_side_are_the_whole(odd: Oracle, world: int) -> None:
    ranks = [dict(part.named_parameters()) for part in parts_of(odd, world)]
    for name, whole in load(odd.directory).named_parameters():
        assert torch.equal(joined(name, [rank[name] for rank in ranks]), whole), name
        if name.endswith((*ROWS, *COLUMNS)):
            assert all(rank[name].numel() < 0.6 * whole.numel() for rank in ranks), f"{name} is not split"


@pytest.mark.parametrize("world", WORLDS)
def test_a_rank_has_the_whole_models_slopes_of_its_heads(odd: Oracle, world: int) -> None:
    parts = parts_of(odd, world)
    assert torch.equal(torch.cat([part.slopes for part in parts]), alibi_slopes(12))
    with torch.device("cpu"):
        built = [Bloom(ModelConfig(10, 24, 0, 12), Shard(rank, world)).slopes for rank in range(world)]
    assert torch.equal(torch.cat(built), alibi_slopes(12))


@pytest.mark.parametrize("world", WORLDS)
def test_ranks_together_give_the_logits_of_one(odd: Oracle, world: int) -> None:
    edges = [edge + step for edge in (250, 499, 500, 750) for step in range(-3, 3)]
    ids = torch.tensor([list(range(4, 28)), list(range(973, 997)), edges])
    parts, ranks = parts_of(odd, world), RankThreads(world)
    blocks = ranks.run(lambda rank: parts[rank].logits(parts[rank](ids, fresh_geometry(ids))))
    truth = torch.stack([odd.logits(row) for row in ids.tolist()])
    torch.testing.assert_close(torch.cat(blocks, dim=-1), truth, atol=1e-4, rtol=0)
    assert ranks.sums == 1 + 2 * 2, "one sum for the embedding and two a layer"


@pytest.mark.parametrize("world", WORLDS)
def test_every_rank_writes_the_text_of_the_whole(odd: Oracle, world: int) -> None:
    requests = random_requests(6, vocabulary=997, longest=15, most=5)
    wanted = decode(load(odd.directory), requests)
    parts = parts_of(odd, world)
    for found in RankThreads(world).run(lambda rank: decode(parts[rank], requests)):
        assert [completion.token_ids for completion in found] == [completion.token_ids for completion in wanted]
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-4)


@given(
    st.sampled_from((1, 2, 3, 4)),
    st.lists(st.lists(st.integers(-2, 2), min_size=11, max_size=11), min_size=1, max_size=4),
    st.integers(1, 11),
)
@settings(max_examples=40, deadline=None)
def test_the_choice_over_ranks_is_the_first_best_of_all(world: int, rows: list[list[int]], at_once: int) -> None:
    """Few distinct values, so that most rows have ties, within what a rank looks at at once, across these and across ranks."""
    logits = torch.tensor(rows, dtype=torch.float32)

    def choose(rank: int) -> tuple[Tensor, Tensor]:
        shard = Shard(rank, world)
        block = shard.block(11)
        return shard.argmax(torch.split(logits[:, block.start : block.stop], at_once, dim=1), 11)

    with patch.dict(parallel_module._FLOATS_AT_ONCE, cpu=7):  # a row or two at a time, and one that is longer
        everyone = RankThreads(world).run(choose)
    for token, probability in everyone:
        assert token.tolist() == [row.index(max(row)) for row in rows]
        torch.testing.assert_close(probability, logits.softmax(-1).amax(-1), atol=1e-6, rtol=0)


@pytest.mark.parametrize("world", WORLDS)
def test_whichever_id_is_the_only_one_allowed_is_written(odd: Oracle, world: int) -> None:
    """Those at the edges of ranks too, each known to one rank alone."""
    edges = (0, 249, 250, 498, 499, 500, 749, 750, 996)
    requests = [Request((5, 6), 1, constraint=Among((edge,))) for edge in edges]
    parts = parts_of(odd, world)
    for found in RankThreads(world).run(lambda rank: decode(parts[rank], requests)):
        assert [(one.token_ids, one.token_probabilities) for one in found] == [((edge,), (1.0,)) for edge in edges]


def test_a_vocabulary_scored_a_part_at_a_time_gives_the_same_text(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = random_requests(6, longest=15, most=5)
    wanted = decode(load(oracle.directory), requests)
    monkeypatch.setitem(IDS_AT_ONCE, "cpu", 37)
    monkeypatch.setattr(choose_module, "STATES_AT_ONCE", 4)
    model = load(oracle.directory)
    hidden = torch.randn(3, model.config.hidden_size)
    assert [block.shape[1] for block in model.logit_blocks(hidden)] == [
        *[37] * (model.config.vocab_size // 37),
        model.config.vocab_size % 37,
    ]
    torch.testing.assert_close(model.logits(hidden), hidden @ model.word_embeddings.weight.T)
    for ours, theirs in zip(decode(model, requests), wanted, strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-5)


@given(st.integers(1, 300_000), st.integers(1, 8))
def test_blocks_cover_everything_once_in_equal_steps(total: int, world: int) -> None:
    blocks = [Shard(rank, world).block(total) for rank in range(world)]
    assert [blocks[0].start, *(block.stop for block in blocks)] == [*(block.start for block in blocks), total]
    assert all(len(block) <= -(-total // world) for block in blocks)


def test_heads_that_cannot_be_shared_name_the_worlds_that_work(oracle: Oracle) -> None:
    with pytest.raises(OptionError, match=r"12 attention heads cannot be shared by 5 ranks; world sizes that work: \[1, 2, 3, 4, 6, 12\]"):
        load(oracle.directory, shard=Shard(0, 5))


@pytest.mark.parametrize(("rank", "world"), ((2, 2), (-1, 2), (0, 0)))
def test_a_rank_outside_its_world_is_refused(rank: int, world: int) -> None:
    with pytest.raises(OptionError, match=f"rank {rank} is outside"):
        Shard(rank, world)


def test_a_rank_of_two_reads_about_half_the_bytes(odd: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    read = 0
    whole = os.preadv

    def counted(file: int, buffers: list[memoryview], at: int) -> int:
        nonlocal read
        got = whole(file, buffers, at)
        read += got
        return got

    monkeypatch.setattr(os, "preadv", counted)
    size = Path(odd.directory / "model.safetensors").stat().st_size
    for rank in (0, 1):
        read = 0
        load(odd.directory, shard=Shard(rank, 2))
        assert 0.45 * size < read <= 0.55 * size
    read = 0
    load(odd.directory)
    assert 0.99 * size < read <= size
