"""What an engine in this process leaves behind when it is closed."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch

from seqgpt_lab.engine.runner import LocalRunner


class Weights:
    """In place of a decoder."""

    def __init__(self, device: str) -> None:
        self.device = torch.device(device)


@pytest.mark.parametrize(("device", "given_back"), [("cuda:0", [True]), ("cpu", [])])
def test_closing_gives_a_cards_memory_back_once_the_weights_are_gone(
    monkeypatch: pytest.MonkeyPatch, device: str, given_back: list[bool]
) -> None:
    decoder: Any = Weights(device)
    still_there, runner, found = weakref.ref(decoder), LocalRunner(decoder), []
    monkeypatch.setattr("seqgpt_lab.engine.runner.give_back_memory", lambda: found.append(still_there() is None))
    del decoder
    runner.close()
    runner.close()
    assert found == given_back


def test_a_card_that_takes_no_call_any_more_is_closed_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    weights: Any = Weights("cuda:0")
    monkeypatch.setattr("seqgpt_lab.engine.runner.give_back_memory", fails)
    runner = LocalRunner(weights)
    runner.close()
    assert runner.decoder is None
