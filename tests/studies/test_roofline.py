"""The roofline: a phase's floor is what its bytes and operations take at the machine's speeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.studies import roofline as module
from seqgpt_lab.studies.benchmark import Benchmark
from seqgpt_lab.studies.roofline import Roofline, about_roofline, distances, measure_phases, measure_roofline
from seqgpt_lab.studies.turns import Result
from tests.checkpoints import write_random_checkpoint


def test_the_slower_of_reading_and_computing_is_the_floor() -> None:
    roofline = Roofline(bandwidth=100.0, flops=1000.0)
    assert roofline.floor(200.0, 1000.0) == 2.0 and roofline.floor(200.0, 5000.0) == 5.0


def test_speeds_and_phases_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_BYTES", 1 << 24)
    monkeypatch.setattr(module, "_PRODUCTS", {"cpu": ((256, 256, 256),)})
    checkpoint = write_random_checkpoint(tmp_path, vocabulary=1000)
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as engine:
        speeds = measure_roofline(engine.dtype, engine.device, repeats=2)
        assert speeds.bandwidth > 1e8 and speeds.flops > 1e8
        found, frame = measure_phases(engine, batches=(1, 2), prompt=20, drafted=(1, 4), repeats=1)
        layers = sum(parameter.nbytes for parameter in engine.model.h.parameters())
        peer, ours = (
            Result("w", "", "peer", 2, 20, 4, 8.0, 1.0, 0.0, 0.0, 0.0, (9.0,)),
            Result("w", "", "ours", 2, 20, 4, 8.0, 1.0, 5.0, 0.1, 15.0, (3.0, 2.0)),
        )
        rows = distances(engine, Roofline(1e9, 1e30), Benchmark({}, (peer, ours)))  # so quick at sums that only reading counts
        computed = distances(engine, Roofline(1e30, 1e9), Benchmark({}, (ours,)))  # and here only computing: 5 of 20 ids, then 8
        linear, head = 12 * engine.config.hidden_size**2 * engine.config.layers, engine.model.word_embeddings.weight.nbytes
        words = engine.model.word_embeddings.weight.numel()
    assert list(rows["contestant"]) == ["ours"] and rows["seconds"][0] == 2.5
    assert rows["floor"][0] == pytest.approx(2 * 5 * (layers + head) / 1e9)
    assert computed["floor"][0] == pytest.approx(2 * 2 * 2 * (linear * (5 + 8) + 5 * words) / 1e9)
    assert rows["times_floor"][0] == pytest.approx(2.5 / rows["floor"][0])
    assert list(frame["phase"]) == ["prompt", "decode", "decode", "head"] * 2
    assert list(frame["positions"]) == [20, 1, 4, 1] * 2
    single = frame[(frame["phase"] == "decode") & (frame["batch"] == 1) & (frame["positions"] == 1)].iloc[0]
    assert single["floor"] >= layers / found.bandwidth
    assert single["times_floor"] == pytest.approx(single["seconds"] / single["floor"])
    assert "GB/s" in str(about_roofline(found, frame))
