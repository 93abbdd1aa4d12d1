"""Logits that are not numbers: a named error wherever the model is, and no trace of them in what is answered next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import LogitsError
from tests.checkpoints import write_random_checkpoint
from tests.engine.among import Among

BAD = 7  # the id whose embedding is not a number
GOOD = Among(tuple(range(20, 200)))
LONG, SHORT = Request(tuple(range(20, 60)), 6, GOOD), Request(tuple(range(70, 75)), 6, GOOD)
STRIKING = Request((*range(80, 115), BAD), 6, GOOD)  # nearly as long as LONG, so that it is at work beside it, in the same cache


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), hidden=128, heads=2, layers=2, vocabulary=300)


def spoilt(checkpoint: Path, directory: Path, name: str, row: int | None = None) -> Path:
    """A copy of a checkpoint in which one weight, or one row of it, is NaN."""
    shutil.copytree(checkpoint, directory, dirs_exist_ok=True)
    weights = load_file(directory / "model.safetensors")
    weights[name][... if row is None else row] = torch.nan
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.fixture(scope="module", params=((1, 1), (2, 1), (1, 2)), ids=("in process", "ranks", "replicas"))
def engine(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Engine]:
    ranks, replicas = request.param
    directory = spoilt(checkpoint, tmp_path_factory.mktemp("spoilt"), "transformer.word_embeddings.weight", BAD)
    with Engine.load(directory, dtype="fp32", device="cpu", batch_size=2, tensor_parallel=ranks, replicas=replicas) as engine:
        yield engine


def test_a_text_whose_logits_are_not_numbers_is_an_error_and_harms_no_later_one(engine: Engine, checkpoint: Path) -> None:
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as whole:
        wanted = [completion.token_ids for completion in whole.generate([LONG, SHORT])]
    workers = engine.workers
    for _ in range(3):
        with pytest.raises(LogitsError, match=r"not numbers in float32: .* hold NaN; convert the checkpoint again"):
            engine.generate([LONG, STRIKING] * 2)
        assert [completion.token_ids for completion in engine.generate([LONG, SHORT])] == wanted
    assert engine.workers == workers, "workers were started again, which takes long and mends nothing"


@pytest.mark.parametrize(("dtype", "words"), (("fp16", "in float16: .* load it with dtype='bf16' or 'fp32'"), ("bf16", "'fp32'$")))
def test_weights_that_are_no_numbers_are_told_with_the_dtypes_to_try(checkpoint: Path, tmp_path: Path, dtype: str, words: str) -> None:
    with Engine.load(spoilt(checkpoint, tmp_path, "transformer.ln_f.weight"), dtype=dtype, device="cpu") as engine:
        for request in (Request((5, 6, 8), 8), SHORT):  # free, and with the ids given
            with pytest.raises(LogitsError, match=words):
                engine.generate([request])
