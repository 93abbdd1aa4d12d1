"""`seqgpt-lab convert` and `seqgpt-lab train-embedded`."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from seqgpt_lab.embedded import train_embedded
from seqgpt_lab.embedded.recipe import Recipe
from tests.apps.conftest import Invoke


@pytest.fixture
def pickled_model(random_model: Path, tmp_path: Path) -> Path:
    """The random model with its weights in a pickle file, as old checkpoints have them."""
    folder = tmp_path / "pickled"
    shutil.copytree(random_model, folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_converted_pickle_answers_as_the_original(invoke: Invoke, random_model: Path, pickled_model: Path) -> None:
    words = ("extract", "--labels", "姓名", "--json", "--max-new-tokens", "4", "--dtype", "fp32", "--model")
    refused = invoke(*words, pickled_model, stdin="张伟")
    assert refused.exit_code == 2 and f"seqgpt-lab convert {pickled_model}" in refused.stderr
    result = invoke("convert", pickled_model, "new", "--dtype", "fp32")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "new\n", "")
    assert invoke(*words, "new", stdin="张伟").stdout == invoke(*words, random_model, stdin="张伟").stdout


def test_fp16_is_what_conversion_writes_unless_told_otherwise(invoke: Invoke, pickled_model: Path) -> None:
    invoke("convert", pickled_model, "new")
    assert {tensor.dtype for tensor in load_file("new/model.safetensors").values()} == {torch.float16}
    assert json.loads(Path("new/config.json").read_text())["torch_dtype"] == "float16"


def test_what_cannot_be_converted(invoke: Invoke, pickled_model: Path) -> None:
    Path("there").mkdir()
    for words, message in [
        (("convert", pickled_model, "there"), "there exists already"),
        (("convert", pickled_model, "new", "--dtype", "int8"), "unknown dtype 'int8'"),
        (("convert", "none", "new"), "config.json cannot be read"),
    ]:
        result = invoke(*words)
        assert result.exit_code == 2 and result.stderr.startswith("error: ") and message in result.stderr
    assert not Path("new").exists()


def test_a_model_without_tokenizer_is_converted_and_said_to_lack_it(invoke: Invoke, pickled_model: Path) -> None:
    (pickled_model / "tokenizer.json").unlink()
    result = invoke("convert", pickled_model, "new")
    assert (result.exit_code, result.stdout) == (0, "new\n") and "has no tokenizer.json" in result.stderr


def test_training_follows_the_recipe_and_prints_the_model_s_path(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[object, ...]] = []

    def train(
        out: Path, recipe: Recipe, report: Callable[[str], None], *others: Path | None, teach: bool, device: torch.device, workers: int
    ) -> Path:
        seen.append((out, recipe, *others, teach, device.type, workers))
        report("step 1/7")
        return out / "model"

    monkeypatch.setattr(train_embedded, "train_embedded", train)
    result = invoke("train-embedded", "out", "--steps", "7", "--seed", "0", "--device", "cpu")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "out/model\n",
        "training on cpu, 0 processes writing ahead\nstep 1/7\n",
    )
    invoke("train-embedded", "out", "--start", "older", "--annotated", "texts", "--teach", "--device", "cpu", "--workers", "2")
    assert seen == [
        (Path("out"), Recipe(steps=7, seed=0), None, None, False, "cpu", 0),
        (Path("out"), Recipe(), Path("older"), Path("texts"), True, "cpu", 2),
    ]


def test_a_gpu_trains_by_its_own_recipe_fed_by_workers(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """No GPU here: torch is told of one, and nothing trains."""
    seen: list[tuple[Recipe, torch.device, int]] = []

    def train(out: Path, recipe: Recipe, *_: object, device: torch.device, workers: int, **__: object) -> Path:
        seen.append((recipe, device, workers))
        return out / "model"

    monkeypatch.setattr(train_embedded, "train_embedded", train)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    card = SimpleNamespace(total_memory=24 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)
    invoke("train-embedded", "out", "--steps", "9")
    invoke("train-embedded", "out", "--small-batches", "--workers", "1")
    card.total_memory = 8 << 30
    invoke("train-embedded", "out")
    invoke("train-embedded", "out", "--large-batches", "--device", "cpu")
    assert seen == [
        (replace(Recipe().with_large_batches(), steps=9), torch.device("cuda"), 6),
        (Recipe(), torch.device("cuda"), 1),
        (Recipe(), torch.device("cuda"), 6),
        (Recipe().with_large_batches(), torch.device("cpu"), 0),
    ]


def test_training_on_a_device_that_is_not_here_says_so(invoke: Invoke) -> None:
    result = invoke("train-embedded", "out", "--device", "cuda:64")
    assert result.exit_code != 0 and "'cuda:64' asked for" in result.stderr and not Path("out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_training_says_how_to_go_on(invoke: Invoke, monkeypatch: pytest.MonkeyPatch, number: signal.Signals) -> None:
    before = signal.getsignal(number)

    def train(out: Path, *_: object, **__: object) -> Path:
        out.mkdir()
        try:
            if signal.getsignal(number) != signal.SIG_DFL:  # else it would end the tests
                signal.raise_signal(number)
        finally:  # where training saves
            (out / "checkpoint.pt").touch()
        raise AssertionError("not interrupted")

    monkeypatch.setattr(train_embedded, "train_embedded", train)
    result = invoke("train-embedded", "out")
    assert (result.exit_code, result.stdout) == (130, "")
    assert result.stderr.endswith("interrupted; the same command goes on from out/checkpoint.pt\n")
    assert signal.getsignal(number) == before
