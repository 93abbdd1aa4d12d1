"""Batches against rows decoded one by one: whoever leaves when, the others do not notice."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seqgpt_lab.engine import decode as decode_module
from seqgpt_lab.engine.decode import Decoder, decode
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.requests import Request
from tests.engine.completions import run, same
from tests.engine.oracles import Oracle, load, random_requests

ROWS, LONGEST = 8, 10


class Alone:
    """Prompts, and what the model writes after each when nothing else is in the batch."""

    def __init__(self, model: Bloom) -> None:
        self.model = model
        self.prompts = [request.prompt_ids for request in random_requests(ROWS, longest=20, seed=5)]
        self.completions = [decode(model, [Request(prompt, LONGEST)])[0] for prompt in self.prompts]

    def cut(self, row: int, limit: int) -> tuple[tuple[int, ...], str]:
        """The row's text and finish reason under a lower limit."""
        completion = self.completions[row]
        stops = completion.finish_reason == "stop" and len(completion.token_ids) < limit
        return completion.token_ids[:limit], "stop" if stops else "length"


@pytest.fixture(scope="module")
def alone(oracle: Oracle) -> Alone:
    """Nothing ends early."""
    return Alone(load(oracle.directory))


@pytest.fixture(scope="module")
def ending(oracle: Oracle, alone: Alone) -> Alone:
    """Some rows end by themselves: the end token is one that these prompts lead to."""
    end = alone.completions[0].token_ids[4]
    return Alone(load(oracle.directory, config=replace(oracle.config, eos_token_id=end)))


SCHEDULES = st.lists(st.tuples(st.integers(0, ROWS - 1), st.integers(1, LONGEST)), min_size=1, max_size=ROWS)


@given(SCHEDULES)
@settings(max_examples=30, deadline=None)
def test_rows_leaving_in_any_order_change_nothing(alone: Alone, schedule: list[tuple[int, int]]) -> None:
    check(alone, schedule)


@given(SCHEDULES)
@settings(max_examples=20, deadline=None)
def test_rows_that_end_by_themselves_change_nothing(ending: Alone, schedule: list[tuple[int, int]]) -> None:
    check(ending, schedule)


def check(alone: Alone, schedule: list[tuple[int, int]]) -> None:
    found = decode(alone.model, [Request(alone.prompts[row], limit) for row, limit in schedule])
    for (row, limit), completion in zip(schedule, found, strict=True):
        assert (completion.token_ids, completion.finish_reason) == alone.cut(row, limit)
        wanted = alone.completions[row].token_probabilities[: len(completion.token_ids)]
        assert completion.token_probabilities == pytest.approx(wanted, abs=1e-5)


def test_probabilities_are_the_softmax_of_transformers_logits(oracle: Oracle, ending: Alone) -> None:
    reasons = set()
    for prompt, completion in zip(ending.prompts, ending.completions, strict=True):
        chances = oracle.logits(prompt + completion.token_ids)[len(prompt) - 1 :].softmax(-1)
        wanted = [float(chances[step, token]) for step, token in enumerate(completion.token_ids)]
        assert completion.token_probabilities == pytest.approx(wanted, abs=1e-5)
        reasons.add(completion.finish_reason)
        if completion.finish_reason == "stop":
            end = chances[len(completion.token_ids), ending.model.config.eos_token_id]
            assert completion.end_probability == pytest.approx(float(end), abs=1e-5)
    assert reasons == {"stop", "length"}


def test_a_row_cut_off_by_its_limit_has_no_end_probability(alone: Alone) -> None:
    completion = decode(alone.model, [Request(alone.prompts[0], 3)])[0]
    assert (len(completion.token_ids), completion.finish_reason, completion.end_probability) == (3, "length", None)


def test_a_row_may_end_at_once(alone: Alone, oracle: Oracle) -> None:
    end = alone.completions[0].token_ids[0]
    model = load(oracle.directory, config=replace(oracle.config, eos_token_id=end))
    completion = decode(model, [Request(alone.prompts[0], 3)])[0]
    assert (completion.token_ids, completion.token_probabilities, completion.finish_reason) == ((), (), "stop")
    assert completion.end_probability == pytest.approx(alone.completions[0].token_probabilities[0], abs=1e-6)


def test_the_end_token_at_the_limit_is_not_reached(alone: Alone, oracle: Oracle) -> None:
    """Three tokens asked for, and the fourth would have been the end: the limit is what finished the row."""
    texts = zip(alone.prompts, (completion.token_ids for completion in alone.completions), strict=True)
    prompt, tokens = next((prompt, tokens) for prompt, tokens in texts if tokens[3] not in tokens[:3])
    model = load(oracle.directory, config=replace(oracle.config, eos_token_id=tokens[3]))
    completion = decode(model, [Request(prompt, 3)])[0]
    assert (completion.token_ids, completion.finish_reason) == (tokens[:3], "length")


def test_a_pass_works_only_on_rows_that_still_write(alone: Alone) -> None:
    counts: list[int] = []

    def record(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        counts.append(inputs[0].shape[1])

    hook = alone.model.h[0].register_forward_pre_hook(record)
    try:
        decode(alone.model, [Request(prompt, limit) for prompt, limit in zip(alone.prompts, (4, 1, 2, 4), strict=False)])
    finally:
        hook.remove()
    assert counts == [sum(len(prompt) for prompt in alone.prompts[:4]), 3, 2, 2], "tokens side by side, without padding"


@given(
    st.lists(st.tuples(st.integers(1, 20), st.integers(1, 3)), min_size=1, max_size=8),
    st.integers(1, 5),
    st.integers(1, 80),
    st.integers(1, 60),
)
@settings(max_examples=25, deadline=None)
def test_as_many_rows_work_at_once_as_rows_budget_and_pass_allow(
    alone: Alone, cases: list[tuple[int, int]], most: int, budget: int, newcomers: int
) -> None:
    """Every prompt counts as long as the longest at work; of prompts that enter in one pass at most `newcomers` tokens, or one prompt."""
    requests = [Request(alone.prompts[0][:1] * length, limit) for length, limit in cases]
    decoder, feed, passes = Decoder(alone.model, rows=most, token_budget=budget), Decoder._feed, 0

    def watched(_: Decoder, places: torch.Tensor) -> torch.Tensor:
        nonlocal passes
        passes += 1
        at_work = [len(row.request.prompt_ids) for row in decoder.rows]
        new = [len(row.feed) for row in decoder.rows if not row.passes]
        assert len(at_work) <= most and (len(at_work) == 1 or max(at_work) * len(at_work) <= budget)
        assert len(new) <= 1 or sum(new) <= newcomers
        if decoder.waiting:  # nobody waits for whom there is room
            count = len(decoder.waiting[0][1].prompt_ids)
            room = len(at_work) < most and max(*at_work, count) * (len(at_work) + 1) <= budget
            assert not room or (new and sum(new) + count > newcomers)
        return feed(decoder, places)

    with patch.object(decode_module, "PROMPT_TOKENS_A_PASS", newcomers), patch.object(Decoder, "_feed", watched):
        found = run(decoder, requests)
    same(found, decode(alone.model, requests))
    assert passes >= max(limit for _, limit in cases)


def test_timing_counts_up_to_each_rows_own_last_token(alone: Alone) -> None:
    first, last = decode(alone.model, [Request(alone.prompts[0], 1), Request(alone.prompts[1], LONGEST)])
    assert first.timing.decode == 0 < last.timing.decode
    assert first.timing.prefill > 0 and last.timing.prefill > 0
