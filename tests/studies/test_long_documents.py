"""Planting keeps every value at its place, the same seed gives the same text, and a table tells what was found where."""

from __future__ import annotations

from pathlib import Path

import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.resources import bundled_notebook
from seqgpt_lab.studies.long_documents import about_windows, compare_windows, plant
from seqgpt_lab.studies.sources import Source, find_sources
from tests.checkpoints import write_random_checkpoint


@pytest.fixture(scope="module")
def source() -> Source:
    return find_sources([], ["resume"], "dev")[0]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), hidden=64, heads=1, layers=1)


def test_planted_documents_keep_their_values_in_every_region(source: Source) -> None:
    planted = plant(source, documents=8, each=4, length=3000)
    assert planted == plant(source, documents=8, each=4, length=3000) != plant(source, documents=8, each=4, length=3000, seed=1)
    assert sum(len(document.gold) for document in planted.long) == sum(len(document.gold) for document in planted.short)
    for document in planted.long:  # that each value stands where it says, Document itself has checked
        assert 2900 < len(document.text) < 3300
        assert {entity.start * 4 // len(document.text) for entity in document.gold} == {0, 1, 2, 3}
    with pytest.raises(OptionError, match="plant fewer"):
        plant(source, documents=8, each=8, length=100)


def test_each_way_of_reading_has_a_row(source: Source, model: Path) -> None:
    planted = plant(source, documents=2, each=2, length=600)
    with Engine.load(model, dtype="fp32") as engine:
        frame = compare_windows(engine, planted, [160, 256], [16], max_new_tokens=2)
    assert list(frame["read"]) == ["alone", "long", "long"] and list(frame["max_length"]) == [256, 160, 256]
    assert frame["windows"][1] > frame["windows"][2] > 1
    frame["recall"], frame["precision"] = [0.9, 0.5, 0.88], [1.0, 1.0, 0.5]
    assert "**0.880** (-0.020), with max_length 256" in str(about_windows(frame))


def test_the_notebook_runs(model: Path, tmp_path: Path) -> None:
    given = {"model": str(model), "documents": 2, "each": 2, "length": 600, "max_lengths": [256], "overlaps": [16], "max_new_tokens": 2}
    run = run_notebook(bundled_notebook("09_long_documents.ipynb"), given, tmp_path)
    assert run.status == "completed", run.error
    assert "metrics.json" in run.artifacts
