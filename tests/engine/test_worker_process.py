"""What a worker tells of a batch that failed, and what it does before it tells."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import torch

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.messages import Failure, ModelSpec, Work, WorkerSpec
from seqgpt_lab.engine.worker_process import Server
from seqgpt_lab.engine.worker_shard import WorkerShard


@pytest.mark.parametrize(
    ("error", "given_back"),
    [(torch.OutOfMemoryError("CUDA out of memory"), True), (RuntimeError("CUDA error: device-side assert triggered"), False)],
)
def test_a_card_that_takes_no_call_any_more_does_not_keep_its_worker_from_telling_why(
    monkeypatch: pytest.MonkeyPatch, error: Exception, given_back: bool
) -> None:
    """After an error that is not of memory every call of CUDA raises, that which gives memory back too."""
    told: list[Any] = []
    model: Any = SimpleNamespace(slopes=torch.zeros(1), h=[])
    mouth: Any = SimpleNamespace(say=told.append)
    connection: Any = None
    found, nowhere = find_checkpoint("tiny"), Path()
    shared = ModelSpec(found.config, found.weights, "fp32", "sdpa", 1, rows=1, token_budget=1, cache="none", cache_bytes=0)
    server = Server(WorkerSpec(shared, 0, 0, 1, "cpu", nowhere, nowhere, nowhere), model, WorkerShard(), connection, mouth)

    def run(*_: object) -> NoReturn:
        raise error

    def give_back_memory() -> None:
        told.append("given back")
        if not given_back:
            raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(server._decoder, "run", run)
    monkeypatch.setattr("seqgpt_lab.engine.memory.give_back_memory", give_back_memory)
    server._answer(Work(3, (), 1))
    *before, failure = told
    assert before == ["given back"] * given_back
    assert isinstance(failure, Failure) and failure.number == 3 and failure.message == str(error)
    assert failure.out_of_memory == given_back
