"""`seqgpt-lab widen`."""

from __future__ import annotations

import json
from pathlib import Path

from seqgpt_lab.engine.config import ModelConfig
from tests.apps.conftest import Invoke

SIZES = ("--hidden-size", "128", "--heads", "2", "--layers", "2", "--vocabulary", "9000")


def test_a_widened_model_answers_as_the_small_one(invoke: Invoke, random_model: Path) -> None:
    result = invoke("widen", random_model, "wide", *SIZES)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "wide\n", "")
    assert ModelConfig.read(Path("wide/config.json")) == ModelConfig(9000, 128, 2, 2)
    assert invoke("convert", random_model, "small").exit_code == 0  # FP16 too, as the widened weights are
    words = ("extract", "--labels", "姓名", "--json", "--max-new-tokens", "4", "--dtype", "fp32", "--model")
    small, wide = (json.loads(invoke(*words, name, stdin="张伟，35岁").stdout) for name in ("small", "wide"))
    assert small["values"]["姓名"]
    assert wide["values"] == small["values"]  # the confidence is lower: unused vocabulary takes its share


def test_the_seed_decides_what_is_added(invoke: Invoke, random_model: Path) -> None:
    for name, seed in (("one", "1"), ("same", "1"), ("other", "2")):
        assert invoke("widen", random_model, name, *SIZES, "--seed", seed).exit_code == 0
    one, same, other = ((Path(name) / "model.safetensors").read_bytes() for name in ("one", "same", "other"))
    assert one == same != other


def test_what_cannot_be_widened(invoke: Invoke, random_model: Path) -> None:
    Path("there").mkdir()
    for words, message in [
        ((random_model, "there"), "there exists already"),
        ((random_model, "wide", "--hidden-size", "100"), "hidden_size 100 is not a multiple of its 64"),
        ((random_model, "wide", "--vocabulary", "10"), "a vocabulary of 10 is smaller than its"),
        (("none", "wide"), "there is no model at 'none'"),
    ]:
        result = invoke("widen", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ") and message in result.stderr
    assert not Path("wide").exists()
