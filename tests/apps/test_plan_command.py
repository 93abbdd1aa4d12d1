"""`seqgpt-lab plan` and `seqgpt-lab calibrate`."""

from __future__ import annotations

import json
import re

import pytest

from seqgpt_lab.apps.options import ModelOptions
from seqgpt_lab.engine.decode import TOKEN_BUDGET
from seqgpt_lab.engine.requests import MAX_NEW_TOKENS
from seqgpt_lab.studies.rigs import Rig
from tests.apps.conftest import Invoke


def test_a_plan_in_words_and_as_json(invoke: Invoke) -> None:
    words = invoke("plan", "--rig", "dual-4090", "--batch", "16", "--length", "512")
    assert words.exit_code == 0 and "Best for throughput: 2 replicas" in words.stdout and "Estimates, measured by nobody: " in words.stdout
    assert "Each prompt is counted with a text of its own.\n" in words.stdout  # on a card nothing else is left out
    found = json.loads(invoke("plan", "--batch", "16", "--length", "512", "--json").stdout)
    assert found["chosen"] == "2 replicas" and [one["arrangement"] for one in found["plans"]] == ["one process", "2 ranks", "2 replicas"]
    assert "op_seconds" in found["plans"][0]["estimated_figures"]
    defaults = (found["plans"][0][name] for name in ("max_new_tokens", "token_budget"))
    assert tuple(defaults) == (MAX_NEW_TOKENS, TOKEN_BUDGET), "the engine's own, which the command names without loading it"
    assert ModelOptions("tiny", "auto", "auto", "auto", 32, 1024, 256).token_budget == TOKEN_BUDGET


def test_the_models_own_shape(invoke: Invoke) -> None:
    large, small = (json.loads(invoke("plan", "--json", *model).stdout)["plans"][0] for model in ((), ("--model", "tiny")))
    assert small["memory_bytes"]["weights"] < large["memory_bytes"]["weights"] / 50


def test_room_for_longer_answers_is_counted(invoke: Invoke) -> None:
    short, usual, long = (
        json.loads(invoke("plan", "--json", *words).stdout)["plans"][0]["memory_bytes"]["cache"]
        for words in (("--max-new-tokens", "40"), (), ("--max-new-tokens", "512"))
    )
    assert (short, usual, long) == tuple(16 * (512 + limit) * 96 * 1024 for limit in (40, 256, 512))


def test_a_batch_beyond_the_token_budget_is_told(invoke: Invoke) -> None:
    words = ("plan", "--batch", "32", "--length", "1024")
    assert "only 16 are at work at a time" in invoke(*words).stdout and "--token-budget 32768" in invoke(*words).stdout
    assert "at work at a time" not in invoke(*words, "--token-budget", "32768").stdout
    assert json.loads(invoke(*words, "--json").stdout)["plans"][0]["at_work"] == 16


def test_large_figures_are_as_people_read_them(invoke: Invoke) -> None:
    words = ("plan", "--rig", "3090", "--batch", "64", "--length", "1024", "--output", "1000", "--target", "latency")
    found = invoke(*words).stdout
    (whole,) = (one["seconds"] for one in json.loads(invoke(*words, "--json").stdout)["plans"])
    assert whole > 10 and f"{whole * 1e3:,.0f} ms a batch" in found and not re.search(r"\de[+-]\d", found)
    assert re.search(rf"one process .* {whole * 1e3:,.0f} ", found)


def test_bad_use(invoke: Invoke) -> None:
    for words, told in [
        (("--rig", "dual-5090"), "choose 3090, "),
        (("--technique", "magic"), "plain, drafted, grounded"),
        (("--target", "speed"), "throughput, latency, memory"),
        (("--dtype", "int8"), "fp16, bf16, fp32"),
        (("--batch", "4000", "--length", "1024"), "a batch of "),
        (("--length", "9" * 20), "GB too much"),  # the passes of what cannot fit are not counted
        (("--output", "9" * 20), "room for an answer of "),
        (("--cached", "512", "--length", "512"), "cached 512"),
    ]:
        result = invoke("plan", *words)
        assert result.exit_code == 2 and told in result.stderr and not result.stdout
    for path, told in (("machine.txt", "cannot be a rig file"), ("nowhere/machine.yaml", "name a file in a folder that exists")):
        result = invoke("calibrate", path)
        assert result.exit_code == 2 and told in result.stderr


@pytest.mark.full
def test_calibrating_makes_a_rig_that_plans(invoke: Invoke) -> None:
    made = invoke("calibrate", "here.yaml", "--device", "cpu")
    assert (made.exit_code, made.stdout) == (0, "here.yaml\n")
    rig = Rig.load("here.yaml")
    assert rig.name == "here" and not rig.uncertain and rig.kind == "cpu" and not rig.overlap
    assert rig.flops["fp32"] > 1e9 and 0 < rig.share_of_speed <= 1
    planned = invoke("plan", "--rig", "here.yaml", "--dtype", "fp32", "--model", "tiny")
    assert planned.exit_code == 0 and "No figure of this rig is an estimate." in planned.stdout
