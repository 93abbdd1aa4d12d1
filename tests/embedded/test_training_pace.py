"""The pace that training reports: of training alone, however long the looks at held-out questions take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from seqgpt_lab.embedded import train as train_module
from seqgpt_lab.embedded.recipe import Recipe


class Clock:
    """A trainer that takes a second a step of 100 tokens, and 1,000 seconds for a look at held-out questions."""

    def __init__(self) -> None:
        self.seconds, self.step, self.recipe, self.batches = 0.0, 0, Recipe(steps=40), Mock()

    def monotonic(self) -> float:
        return self.seconds

    def train_step(self) -> tuple[float, int]:
        self.seconds, self.step = self.seconds + 1, self.step + 1
        return 1.0, 100

    def exact_share(self, documents: int) -> float:
        self.seconds += 1000
        return 0.5

    def save(self, path: Path) -> None:
        """Takes no time."""


@pytest.mark.parametrize("evaluate_every", (7, 10, 20))
def test_the_pace_counts_no_time_of_looks_at_held_out_questions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluate_every: int
) -> None:
    clock, lines = Clock(), list[str]()
    monkeypatch.setattr(train_module, "time", SimpleNamespace(monotonic=clock.monotonic))
    train_module.train(clock, tmp_path, lines.append, evaluate_every=evaluate_every)  # type: ignore[arg-type]
    paces = [line for line in lines if "tokens/s" in line]
    assert [line.split("  ")[-1] for line in paces] == ["100 tokens/s"] * 2
