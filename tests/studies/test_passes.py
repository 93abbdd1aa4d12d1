"""The passes a plan counts are those that the engine makes: held against its own packing, batch by batch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.decode import Decoder, decode
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.packing import pack
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.studies.costs import interpolate
from seqgpt_lab.studies.passes import GUESSED, Group, Workload, passes_of
from seqgpt_lab.studies.plan_cases import Replay


def run(
    batch: int, length: int, output: int, drafted: bool, monkeypatch: pytest.MonkeyPatch, token_budget: int = 1 << 30
) -> tuple[list[list[Group]], int]:
    """Groups of every pass that the engine makes, and how many passes a row takes."""
    model = Bloom(ModelConfig(64, 64, 1, 1, eos_token_id=63)).eval()
    with torch.no_grad():
        model.word_embeddings.weight[63] = 0.0  # never the largest logit
    requests = [Request(tuple(1 + (row + at) % 60 for at in range(length)), output) for row in range(batch)]
    if drafted:
        answers = [completion.token_ids for completion in decode(model, requests)]
        requests = [Request(one.prompt_ids, output, drafts=Replay(answer)) for one, answer in zip(requests, answers, strict=True)]
    seen: list[list[Group]] = []

    def record(*arguments: Any) -> Any:
        packing = pack(*arguments)
        seen.append([Group(span.rows, span.geometry.new_tokens, span.geometry.slots) for span in packing.spans])
        return packing

    monkeypatch.setattr("seqgpt_lab.engine.decode.pack", record)
    done: dict[int, Any] = {}
    decoder = Decoder(model, rows=batch, token_budget=token_budget)
    decoder.run(requests, lambda places, found: done.update(zip(places, found, strict=True)))
    return seen, max(completion.timing.passes for completion in done.values())


@pytest.mark.parametrize(("batch", "length"), [(1, 40), (1, 700), (3, 300), (5, 900), (20, 200), (2, 2500)])
def test_plain_passes_are_the_engines(batch: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, passes = run(batch, length, 6, False, monkeypatch)
    prompts, writing = passes_of(Workload(batch, length, 6, passes))
    assert [list(one.groups) for one in [*prompts, *writing]] == seen
    assert all(one.asked == one.rows for one in [*prompts, *writing])


@pytest.mark.parametrize(("batch", "length", "budget"), [(8, 300, 1200), (7, 300, 1000), (20, 200, 2500), (3, 900, 800)])
def test_rows_that_a_budget_keeps_waiting_come_when_others_have_left(
    batch: int, length: int, budget: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, passes = run(batch, length, 6, False, monkeypatch, budget)
    work = Workload(batch, length, 6, passes, token_budget=budget)
    prompts, writing = passes_of(work)
    planned = [list(one.groups) for one in [*prompts, *writing]]
    assert max(one.rows for one in [*prompts, *writing]) == work.at_work < batch
    assert sorted(planned, key=str) == sorted(seen, key=str)


def test_a_batch_beyond_the_engines_own_budget_is_at_work_in_part() -> None:
    """Sixteen prompts of 1,024 tokens have 16,384, and the engine admits no seventeenth."""
    assert [Workload.of(batch, 1024, 40).at_work for batch in (1, 16, 17, 32)] == [1, 16, 16, 16]
    assert Workload.of(2, 20_000, 40).at_work == 1


@pytest.mark.parametrize(("batch", "length"), [(1, 300), (4, 100), (10, 300), (20, 60)])
def test_drafted_passes_are_the_engines_but_for_the_last_guesses(batch: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, passes = run(batch, length, 48, True, monkeypatch)
    prompts, writing = passes_of(Workload(batch, length, 48, passes, drafted=True))
    planned = [*prompts, *writing]
    assert len(planned) == len(seen)
    # Towards the end of an answer there is less left to guess than a row may; until then everything is the same.
    whole = 48 // (1 + GUESSED)
    for mine, theirs in list(zip(planned, seen, strict=True))[: whole - 1]:
        assert mine.tokens == sum(group.rows * group.fed for group in theirs)
        assert [(group.rows, group.fed) for group in mine.groups] == [(group.rows, group.fed) for group in theirs]


def test_lines_are_straight_and_the_last_point_holds_in_proportion() -> None:
    assert [interpolate({2: 10.0, 4: 30.0}, at) for at in (1, 2, 3, 4, 8)] == [10.0, 10.0, 20.0, 30.0, 60.0]
