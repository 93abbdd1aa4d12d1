"""What a run records of its model: whether it was trained in its shape, or is a smaller one at a larger one's cost."""

from __future__ import annotations

from pathlib import Path

from seqgpt_lab.embedded.widen import widen
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.convert import convert
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.files import sha256_of
from seqgpt_lab.studies.models import model_record, trained_in
from tests.checkpoints import write_random_checkpoint

SHAPE = ModelConfig(vocab_size=400, hidden_size=128, layers=2, heads=2)


def record_of(directory: Path) -> dict[str, object]:
    with Engine.load(directory, dtype="fp32", device="cpu") as engine:
        return model_record(engine)


def test_a_widening_is_told_from_a_model_of_that_shape_whatever_is_done_to_it(tmp_path: Path) -> None:
    for name in ("small", "trained"):
        (tmp_path / name).mkdir()
    small = write_random_checkpoint(tmp_path / "small", hidden=64, heads=1, layers=1, vocabulary=300, dtype="fp16")
    trained = write_random_checkpoint(tmp_path / "trained", hidden=128, heads=2, layers=2, vocabulary=400)
    halfway = widen(small, tmp_path / "halfway", hidden_size=64, heads=1, layers=2, vocabulary=300)
    wide = widen(halfway, tmp_path / "wide", hidden_size=128, heads=2, layers=2, vocabulary=400)
    found = record_of(wide)
    assert found["shape"] == record_of(trained)["shape"] == {"layers": 2, "hidden_size": 128, "heads": 2, "vocab_size": 400}
    assert found["widened_from"] == {"model.safetensors": sha256_of(small / "model.safetensors")}
    assert trained_in(record_of(trained), SHAPE) and not trained_in(found, SHAPE)
    assert not trained_in(record_of(convert(wide, tmp_path / "converted")), SHAPE)
    assert not trained_in(record_of(small), SHAPE) and not trained_in({}, SHAPE)
