"""What torch is set to before a model is loaded on a card; the settings can be read back on any build, and no card is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
import torch

from seqgpt_lab.engine import worker_process
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.cuda import prepare_cuda
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.messages import ModelSpec, WorkerSpec


def settings() -> dict[str, bool]:
    return {
        "fp16 sums": torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        "bf16 sums": torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        "cuDNN attention": torch.backends.cuda.cudnn_sdp_enabled(),  # type: ignore[no-untyped-call]
    }


@pytest.fixture(autouse=True)
def _torchs_own() -> Iterator[None]:
    """Each test starts from torch's defaults, and leaves them."""
    for step in range(2):
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = True
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
        torch.backends.cuda.enable_cudnn_sdp(True)
        if step == 0:
            yield


def test_the_settings_are_for_cards_only() -> None:
    assert all(settings().values())
    prepare_cuda(torch.device("cpu"))
    assert all(settings().values())
    prepare_cuda(torch.device("cuda:1"))
    assert not any(settings().values())


def _in_this_process() -> None:
    Engine.load("tiny", dtype="fp16", device="cuda", attention="sdpa")


def _in_a_worker() -> None:
    checkpoint, threads, nowhere = find_checkpoint("tiny"), torch.get_num_threads(), Path()
    model = ModelSpec(checkpoint.config, checkpoint.weights, "fp16", "sdpa", threads, rows=1, token_budget=1, cache="none", cache_bytes=0)
    worker_process._load(WorkerSpec(model, 0, 0, 1, "cuda:1", nowhere, nowhere, nowhere))


@pytest.mark.parametrize("load", (_in_this_process, _in_a_worker))
def test_they_are_made_before_a_model_is_loaded_on_a_card(load: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[dict[str, bool]] = []

    def load_model(*_: object, **__: object) -> NoReturn:
        found.append(settings())
        raise InterruptedError("far enough")

    monkeypatch.setattr("seqgpt_lab.engine.engine.resolve_device", lambda name: torch.device(name))
    monkeypatch.setattr("seqgpt_lab.engine.engine.load_model", load_model)
    monkeypatch.setattr("seqgpt_lab.engine.weights.load_model", load_model)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    with pytest.raises(InterruptedError, match="far enough"):
        load()
    assert found == [dict.fromkeys(settings(), False)]
