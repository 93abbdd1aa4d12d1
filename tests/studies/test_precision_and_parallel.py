"""The comparison of precisions and arrangements: what equals is called equal, what differs is counted, what cannot work is named."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.errors import OptionError
from seqgpt_lab.studies.arrangements import (
    about_arrangements,
    about_memory,
    compare_arrangements,
    fitting_arrangements,
    parse_arrangements,
    show_arrangements,
)
from seqgpt_lab.studies.precisions import about_precisions, compare_precisions, show_precisions
from seqgpt_lab.studies.side_by_side import agreement, seconds_in_turns
from seqgpt_lab.studies.sources import Source, find_sources
from tests.checkpoints import write_random_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return find_sources([], ["resume"], "dev")


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights come to no end by themselves, and 16 tokens tell as much as the usual 256."""
    generate = Engine.generate

    def generate_briefly(engine: Engine, requests: Sequence[Request], *arguments: Any, **named: Any) -> list[Completion]:
        return generate(engine, [replace(request, max_new_tokens=16) for request in requests], *arguments, **named)

    monkeypatch.setattr(Engine, "generate", generate_briefly)


def written(*ids: int) -> Completion:
    return Completion(ids, tuple(1.0 for _ in ids), "stop", 1.0, Timing(0.0, 0.0))


def test_agreement_counts_whole_answers_and_tokens_up_to_the_first_difference() -> None:
    found = agreement([written(1, 2, 3), written(1, 9, 3), written()], [written(1, 2, 3), written(1, 2, 3), written(5, 6)])
    assert found == {"same_answers": 1 / 3, "same_tokens": 4 / 8}


class Clocked:
    """An engine that notes its calls and lets a clock go on."""

    def __init__(self, name: str, calls: list[str], clock: list[float], takes: float) -> None:
        self.name, self.calls, self.clock, self.takes = name, calls, clock, takes

    def generate(self, requests: object) -> None:
        self.calls.append(self.name)
        self.clock[0] += self.takes


def test_engines_take_turns_and_each_keeps_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    clock, told = [0.0], []
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    engines: Any = [Clocked("slow", calls, clock, 3.0), Clocked("fast", calls, clock, 1.0)]
    seconds = seconds_in_turns(engines, [], 2, lambda task, done, total: told.append((task, done, total)))
    assert calls == ["slow", "fast", "slow", "fast"] and seconds == [[3.0, 3.0], [1.0, 1.0]]
    assert told == [("rounds", 1, 2), ("rounds", 2, 2)]


def test_a_dtype_agrees_with_itself_and_half_precision_takes_half_the_bytes(model: Path, sources: list[Source]) -> None:
    frame = compare_precisions(model, sources, ["fp32", "fp32", "bf16"], limit=2, rounds=1)
    assert frame["ratio"][0] == 1.0 and all(frame["ratio"] == frame["seconds"][0] / frame["seconds"])
    assert list(frame["same_answers"])[:2] == [1.0, 1.0]
    assert list(frame["largest_logit_difference"])[:2] == [0.0, 0.0] and frame["largest_logit_difference"][2] > 0
    assert frame["weight_bytes"][0] == 2 * frame["weight_bytes"][2]
    told = str(about_precisions(frame))
    for said in ("fp32 is the yardstick", "the logits of an answer's first token differ by at most", "(one round)", "without drafts"):
        assert said in told
    shown = show_precisions(frame).html
    assert "weights (MB)" in shown and "time (s)" in shown and f"<td>{frame['weight_bytes'][0] / 1e6:.3f}</td>" in shown


def test_arrangements_write_the_same_and_ranks_hold_about_half(model: Path, sources: list[Source]) -> None:
    frame = compare_arrangements(model, sources, ["1x1", "2x1", "1x2"], dtype="fp32", limit=1, rounds=1)
    assert list(frame["arrangement"]) == ["one process", "2 ranks", "2 replicas"] and set(frame["same_answers"]) == {1.0}
    assert frame["weight_share"][1] < 0.55 and frame["weight_share"][2] == 1.0
    assert frame["ratio"][0] == 1.0
    shown = show_arrangements(frame).html
    assert "weights a process (MB)" in shown and "prompts/s (one round)" in str(about_arrangements(frame)) and "<td>100.0%</td>" in shown
    assert "2 ranks" in str(about_memory(frame)) and "with the same answers" in str(about_arrangements(frame))


def test_ranks_hold_half_of_the_whole_also_when_no_process_holds_it(model: Path, sources: list[Source]) -> None:
    frame = compare_arrangements(model, sources, ["2x1"], dtype="fp32", limit=1, rounds=1)
    assert 0.45 < frame["weight_share"][0] < 0.55


def test_answers_that_differ_are_not_called_the_same() -> None:
    rows = [
        {"arrangement": "one process", "prompts_a_second": 2.0, "ratio": 1.0, "same_answers": 1.0, "rounds": 3},
        {"arrangement": "2 ranks", "prompts_a_second": 1.0, "ratio": 0.5, "same_answers": 0.25, "rounds": 3},
    ]
    assert "with only 25.0% of the answers the same" in str(about_arrangements(pandas.DataFrame(rows)))
    assert "One process: 2 prompts/s (median of 3 rounds)." in str(about_arrangements(pandas.DataFrame(rows)))


def test_arrangements_are_left_out_for_which_there_are_too_few_cards(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one card runs the notebook's usual three; who asks for nothing that it can run is told."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("seqgpt_lab.studies.arrangements.resolve_device", lambda name: torch.device("cuda"))
    usual, names = ["1x1", "2x1", "1x2"], ["one process", "2 ranks", "2 replicas"]
    assert list(map(str, fitting_arrangements(model, usual))) == ["one process"]
    with pytest.raises(OptionError, match="needs 2 CUDA devices, this machine shows 1"):
        fitting_arrangements(model, ["2x1", "1x2"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert list(map(str, fitting_arrangements(model, [*usual, "2x2"]))) == names
    monkeypatch.setattr("seqgpt_lab.studies.arrangements.resolve_device", lambda name: torch.device("cpu"))
    assert list(map(str, fitting_arrangements(model, [*usual, "2x2"]))) == [*names, "2 replicas of 2 ranks"]
    with pytest.raises(OptionError, match="makes 65 worker processes; give at most 64"):
        fitting_arrangements(model, [*usual, "1x65"])  # not for want of cards
    row = {"arrangement": "one process", "prompts_a_second": 2.0, "ratio": 1.0, "same_answers": 1.0, "rounds": 3}
    told = str(about_arrangements(pandas.DataFrame([row]), usual))
    assert "needs a card of its own and there are too few: 2 ranks, 2 replicas." in told
    assert "Left out" not in str(about_arrangements(pandas.DataFrame([row]), ["1x1"]))


@pytest.mark.parametrize("text", ("2", "x", "0x1", "2x-1", "axb"))
def test_an_arrangement_that_is_none_is_named(text: str, model: Path) -> None:
    with pytest.raises(OptionError, match="RANKSxREPLICAS"):
        parse_arrangements(model, [text])


def test_nothing_to_compare_is_an_error(model: Path, sources: list[Source]) -> None:
    with pytest.raises(OptionError, match="rounds is 3 and there are 0 dtypes"):
        compare_precisions(model, sources, [])
    with pytest.raises(OptionError, match="rounds is 0 and there are 1 dtypes"):
        compare_precisions(model, sources, ["fp32"], rounds=0)
    with pytest.raises(OptionError, match="rounds is 0 and there are 1 arrangements"):
        compare_arrangements(model, sources, ["1x1"], rounds=0)
