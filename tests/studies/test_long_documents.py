"""Planting keeps every value at its place, the same seed gives the same text, and a table tells what was found where."""

from __future__ import annotations

import re
from pathlib import Path
from typing import cast

import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.extraction.windows import Window
from seqgpt_lab.reports.runner import run_notebook
from seqgpt_lab.resources import bundled_notebook
from seqgpt_lab.studies.long_documents import (
    _scores,
    about_lengths,
    about_windows,
    compare_lengths,
    compare_windows,
    plant,
    plant_lengths,
    show_lengths,
    show_windows,
)
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


@pytest.mark.parametrize(("documents", "each"), [(0, 2), (-1, 2), (2, 0)])
def test_nothing_is_not_planted(source: Source, documents: int, each: int) -> None:
    with pytest.raises(OptionError, match=f"documents is {documents} and each {each}; at least one"):
        plant(source, documents=documents, each=each, length=1000)


@pytest.mark.parametrize(("max_lengths", "overlaps"), [([], [16]), ([256], [])])
def test_no_windows_are_refused_before_anything_is_read(source: Source, max_lengths: list[int], overlaps: list[int]) -> None:
    planted = plant(source, documents=2, each=2, length=600)
    with pytest.raises(OptionError, match=re.escape(f"max_lengths is {max_lengths} and overlaps {overlaps}; give")):
        compare_windows(cast(Engine, None), planted, max_lengths, overlaps)


def test_each_way_of_reading_has_a_row(source: Source, model: Path) -> None:
    planted = plant(source, documents=2, each=2, length=600)
    with Engine.load(model, dtype="fp32") as engine:
        frame = compare_windows(engine, planted, [160, 256], [16], max_new_tokens=2)
    assert list(frame["read"]) == ["alone", "long", "long"] and list(frame["max_length"]) == [256, 160, 256]
    assert frame["windows"][1] > frame["windows"][2] > 1
    assert frame["recall_at_edges"].isna().tolist() == [True, False, False]
    frame["recall"], frame["precision"] = [0.9, 0.5, 0.89], [1.0, 1.0, 0.5]
    told = str(about_windows(frame))
    assert "**0.890** (-0.010), with windows of 256 tokens" in told and "below the documents alone: 256 with 16." in told
    assert f"Alone, recall is **0.900** ({frame['values'][0]} gold values); in the long texts at best (of 2 ways)" in told
    frame["recall"], frame["precision"] = [0.9, 0.8, 0.8], [1.0, 0.5, 0.6]
    assert "with windows of 256 tokens" in str(about_windows(frame)), "of equals the one that invents least"
    heads = BeautifulSoup(show_windows(frame).html, "html.parser").select("thead th")
    assert [head.get_text() for head in heads][1:3] == ["window (tokens)", "overlap (characters)"]


def test_edges_and_places_are_told_apart() -> None:
    """Values at 0, 50 and 100; a window ends at 60; the one at 50 and one that is not there were found."""
    text = f"张伟{'。' * 48}李娜{'。' * 48}王五{'。' * 48}"
    gold = tuple(Entity("姓名", start, start + 2, text[start : start + 2]) for start in (0, 50, 100))
    spans = tuple(Span(text[start : start + 2], start, start + 2, 0.5) for start in (50, 104))
    found = Extraction("d", text, (Field("姓名", spans),), "", False, ())
    windows = [Window(0, 60), Window(0, len(text))]
    scored = _scores([Document("d", text, gold)], [found], LabelSet.of("姓名"), [windows])
    assert scored == {"values": 3, "recall": pytest.approx(1 / 3), "values_at_edges": 1, "recall_at_edges": 1.0, "precision": 0.5}


def test_cost_by_length_is_told(source: Source, model: Path) -> None:
    with Engine.load(model, dtype="fp32") as engine:
        frame = compare_lengths(engine, plant_lengths(source, [600, 2400], each=2), max_new_tokens=2)
    assert frame["characters"].tolist() == [pytest.approx(600, abs=40), pytest.approx(2400, abs=40)]
    frame["seconds_a_thousand"] = [0.5, 0.6]
    assert "a thousand of them takes 0.50 to 0.60 s, in the longest 1.20 times" in str(about_lengths(frame))
    assert str(about_lengths(frame[::-1])) == str(about_lengths(frame)), "in whatever order the lengths were given"
    assert "Each text was read once." in str(about_lengths(frame)) and "time (s a thousand characters)" in show_lengths(frame).html


def test_the_notebook_runs(model: Path, tmp_path: Path) -> None:
    given = {"model": str(model), "documents": 2, "each": 2, "length": 600, "max_lengths": [256], "overlaps": [16]}
    given |= {"lengths": [600, 900], "max_new_tokens": 2}
    run = run_notebook(bundled_notebook("09_long_documents.ipynb"), given, tmp_path)
    assert run.status == "completed", run.error
    assert "metrics.json" in run.artifacts
