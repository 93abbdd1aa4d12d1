"""What is kept of texts: never more than its bytes, oldest first, and answers that are the same as without."""

from __future__ import annotations

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.engine.decode import Decoder, decode
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.engine.reuse import LEVELS, ReuseCache
from seqgpt_lab.errors import OptionError
from tests.engine.completions import run, same
from tests.engine.oracles import Oracle, load
from tests.engine.rank_threads import RankThreads

CASES = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 5)), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def model(oracle: Oracle) -> Bloom:
    return load(oracle.directory)


def ask(text: int, labels: int, most: int = 5) -> Request:
    """A text, and a question about it."""
    chance = random.Random(text)
    shared = [chance.randrange(4, 1000) for _ in range(12 + 5 * text)]
    asked = [random.Random(f"labels {labels}").randrange(4, 1000) for _ in range(labels)]
    return Request((*shared, *asked), most, shared_prefix=len(shared))


@given(CASES, st.sampled_from(LEVELS), st.sampled_from((0, 60_000, 1 << 24)), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_answers_are_the_same_at_every_level_and_size(
    model: Bloom, cases: list[tuple[int, int]], level: str, limit_bytes: int, at_once: int
) -> None:
    requests = [ask(*case) for case in cases]
    wanted = decode(model, requests)
    decoder = Decoder(model, rows=at_once, reuse=ReuseCache(level, limit_bytes))
    for _ in range(2):
        same(run(decoder, requests), wanted)
    assert decoder.reuse.info.bytes <= limit_bytes


def test_a_text_asked_eight_times_is_computed_once(model: Bloom) -> None:
    decoder = Decoder(model, reuse=ReuseCache("prefix", 1 << 24))
    counts: list[int] = []
    hook = model.h[0].register_forward_pre_hook(lambda module, inputs: counts.append(inputs[0].shape[1]))
    try:
        run(decoder, [ask(0, labels, most=1) for labels in range(1, 9)])
        assert counts == [12 + 1 + 1 - 1, sum(range(2, 9))] or counts == [12 + 8, sum(range(1, 8))], "the others wait for the text"
        info = decoder.reuse.info
        assert (info.hits, info.misses, info.reused_tokens, info.entries) == (7, 1, 7 * 12, 1)
        assert info.hit_rate == 7 / 8
        counts.clear()
        run(decoder, [ask(0, 5, most=1)])
        assert counts == [5]
    finally:
        hook.remove()


@pytest.mark.parametrize(("room", "passes"), ((-1, [8]), (0, [1, 7])))
def test_texts_too_large_to_be_kept_are_not_waited_for(model: Bloom, room: int, passes: list[int]) -> None:
    """By one byte; of 12 tokens keys and values take numbers of four bytes in every layer, as many as the model is wide."""
    size = 2 * 4 * 12 * model.config.layers * model.config.hidden_size
    decoder = Decoder(model, reuse=ReuseCache("prefix", size + room))
    calls: list[int] = []
    decoder.run([ask(0, labels, most=1) for labels in range(1, 9)], lambda indices, done: calls.append(len(indices)))
    assert calls == passes, "one pass for all, or first the text and then the others"
    assert (decoder.reuse.info.bytes == size) == (room == 0)


def test_prompts_that_are_all_text_still_feed_their_last_token(model: Bloom) -> None:
    decoder = Decoder(model, reuse=ReuseCache("prefix", 1 << 24))
    requests = [ask(1, 0), ask(1, 0)]
    same(run(decoder, requests), decode(model, requests))
    assert decoder.reuse.info.reused_tokens == 16


def test_a_text_that_goes_while_its_answer_is_written_is_not_kept_again_from_that(model: Bloom) -> None:
    """There is room for the embeddings of one text: the other's drive them out in the pass that computes both."""
    size = torch.float32.itemsize * model.config.hidden_size
    decoder = Decoder(model, rows=2, reuse=ReuseCache("embedding", 17 * size))
    for requests in ([ask(1, 1), ask(0, 1)], [ask(1, 2)], [ask(0, 2)]):
        same(run(decoder, requests), decode(model, requests))
    assert decoder.reuse.info.bytes == 12 * size


def test_the_least_recently_used_text_goes_first() -> None:
    kept = ReuseCache("prefix", 100)
    for name in (1, 2):
        kept.keep((name,), torch.zeros(40, dtype=torch.uint8))
    assert kept.find((1,)) is not None
    kept.keep((1,), torch.zeros(40, dtype=torch.uint8))  # as a second row of the same pass does: known, and counted once
    kept.keep((3,), torch.zeros(60, dtype=torch.uint8))
    assert [(name,) in kept for name in (1, 2, 3)] == [True, False, True]
    assert (kept.info.bytes, kept.info.entries) == (100, 2)
    kept.keep((4,), torch.zeros(101, dtype=torch.uint8))
    assert (4,) not in kept and (1,) in kept, "what can never fit drives nothing out"
    kept.clear()
    assert (kept.info.bytes, kept.info.entries, kept.info.hits) == (0, 0, 1)


@pytest.mark.parametrize("level", LEVELS)
def test_ranks_keep_the_same_texts(oracle: Oracle, model: Bloom, level: str) -> None:
    requests = [ask(text, labels) for text in range(3) for labels in range(3)]
    parts = [load(oracle.directory, shard=Shard(rank, 2)) for rank in range(2)]
    wanted = decode(model, requests)

    def work(rank: int) -> tuple[list[Completion], float]:
        decoder = Decoder(parts[rank], rows=2, reuse=ReuseCache(level, 1 << 24))
        return run(decoder, requests), decoder.reuse.info.hit_rate

    for found, rate in RankThreads(2).run(work):
        same(found, wanted)
        assert (rate > 0) == (level != "none")


def test_an_engine_tells_what_it_keeps_and_lets_it_go(oracle: Oracle) -> None:
    with Engine.load(oracle.directory, dtype="fp32", device="cpu", cache="prefix", cache_bytes=1 << 20) as engine:
        assert engine.cache_info.hit_rate == 0
        engine.generate([ask(0, 1), ask(0, 2)])
        assert (engine.cache_info.level, engine.cache_info.hits, engine.cache_info.limit_bytes) == ("prefix", 1, 1 << 20)


def test_a_stream_answers_in_order_and_reads_no_further_ahead_than_it_says(oracle: Oracle) -> None:
    read = 0

    def source() -> object:
        nonlocal read
        for number in range(25):
            read += 1
            yield ask(number % 3, number % 5, most=1 + number % 4)

    with Engine.load(oracle.directory, dtype="fp32", device="cpu") as engine:
        wanted = engine.generate([ask(number % 3, number % 5, most=1 + number % 4) for number in range(25)])
        found = []
        for completion in engine.stream(source(), window=4):  # type: ignore[arg-type]
            found.append(completion)
            assert read <= len(found) + 3
        same(found, wanted)
        with pytest.raises(OptionError, match="window 0"):
            next(engine.stream([], window=0))


@pytest.mark.parametrize(
    ("options", "message"),
    (({"cache": "kv"}, "unknown cache 'kv'; choose none, embedding, prefix"), ({"cache_bytes": -1}, "cache_bytes is -1")),
)
def test_levels_and_sizes_that_cannot_work_are_refused(options: dict[str, str | int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        Engine.load("/nowhere", device="cpu", **options)  # type: ignore[arg-type]


def test_a_prefix_longer_than_its_prompt_is_refused(oracle: Oracle) -> None:
    with (
        Engine.load(oracle.directory, dtype="fp32", device="cpu") as engine,
        pytest.raises(OptionError, match="request 0 shares 3 of 2 prompt ids"),
    ):
        engine.generate([Request((5, 6), shared_prefix=3)])


def test_completions_tell_how_much_of_the_prompt_was_kept(model: Bloom) -> None:
    """Two texts, the first asked three times: whoever comes first computes it all, later questions all but their own ids."""
    requests = [ask(0, 1), ask(0, 2), ask(1, 1), ask(0, 3)]
    decoder = Decoder(model, rows=4, reuse=ReuseCache("prefix", 1 << 24))
    found = sorted(completion.timing.reused for completion in run(decoder, requests))
    assert found == [0, 0, 12, 12]
    assert [completion.timing.reused for completion in run(decoder, requests)] == [12, 12, 17, 12]
    assert not any(completion.timing.reused for completion in decode(model, requests))
