"""The roofline: a phase's floor is what its bytes and operations take at the machine's speeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.studies import roofline as module
from seqgpt_lab.studies.roofline import Roofline, about_roofline, measure_phases, measure_roofline
from tests.checkpoints import write_random_checkpoint


def test_the_slower_of_reading_and_computing_is_the_floor() -> None:
    roofline = Roofline(bandwidth=100.0, flops=1000.0)
    assert roofline.floor(200.0, 1000.0) == 2.0 and roofline.floor(200.0, 5000.0) == 5.0


def test_speeds_and_phases_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_BYTES", 1 << 24)
    monkeypatch.setattr(module, "_PRODUCTS", ((256, 256, 256),))
    checkpoint = write_random_checkpoint(tmp_path, vocabulary=1000)
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as engine:
        speeds = measure_roofline(engine.dtype, engine.device, repeats=2)
        assert speeds.bandwidth > 1e8 and speeds.flops > 1e8
        found, frame = measure_phases(engine, batches=(1, 2), prompt=20, drafted=(1, 4), repeats=1)
        layers = sum(parameter.nbytes for parameter in engine.model.h.parameters())
    assert list(frame["phase"]) == ["prompt", "decode", "decode", "head"] * 2
    assert list(frame["positions"]) == [20, 1, 4, 1] * 2
    single = frame[(frame["phase"] == "decode") & (frame["batch"] == 1) & (frame["positions"] == 1)].iloc[0]
    assert single["floor"] >= layers / found.bandwidth
    assert single["times_floor"] == pytest.approx(single["seconds"] / single["floor"])
    assert "GB/s" in str(about_roofline(found, frame))
