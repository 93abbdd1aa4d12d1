"""Latency and throughput over batch and length: cells, the article's scenarios beside them, and what is recommended for a target."""

from __future__ import annotations

from pathlib import Path

import pandas
import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.documents import write_jsonl
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.studies.batch_length import (
    MANY_LABELS,
    _reuse_rows,
    about_rounds,
    about_scenarios,
    grid_frame,
    measure_claims,
    measure_grid,
    recommend,
    scenario_table,
    show_grid,
    show_scenarios,
    techniques_named,
)
from seqgpt_lab.studies.benchmark import Benchmark
from seqgpt_lab.studies.sources import Source, find_sources
from seqgpt_lab.studies.turns import Result
from seqgpt_lab.studies.workloads import Texts
from tests.checkpoints import write_random_checkpoint


def _cell(technique: str, batch: int, length: int, latency: float) -> dict[str, object]:
    return {"technique": technique, "batch": batch, "length": length, "latency": latency, "documents_a_second": batch / latency}


GRID = pandas.DataFrame(
    [
        _cell("plain", 1, 256, 0.2),
        _cell("ours", 1, 256, 0.1),
        _cell("ours", 16, 256, 0.8),
        _cell("ours", 16, 512, 4.0),
        _cell("ours", 1, 512, 0.5),
    ]
)


def _first(source: Source, number: int, folder: Path) -> Source:
    """A source with its first so many documents."""
    path = folder / source.documents.name
    write_jsonl(path, source.load()[:number])
    return Source(source.kind, path, source.labels)


def test_a_grid_is_measured_and_laid_out_by_cell(tmp_path: Path) -> None:
    model = write_random_checkpoint(tmp_path)
    texts = Texts(model, find_sources(kinds=["resume", "invoice"], split="dev"))
    calls: list[tuple[str, int, int]] = []
    found = measure_grid(model, texts, [1, 2], [80, 96], ["ours, plain", "ours"], dtype="fp32", progress=lambda *call: calls.append(call))
    grid = grid_frame(found)
    assert sorted(map(tuple, grid[["batch", "length"]].drop_duplicates().to_numpy().tolist())) == [(1, 80), (1, 96), (2, 80), (2, 96)]
    assert set(grid["technique"]) == {"ours", "ours, plain"} and set(grid["same_answers"]) == {1.0}
    assert (grid["latency"] * grid["documents_a_second"]).tolist() == pytest.approx(grid["batch"].tolist())
    assert calls[-1] == ("cells", 5, 5) and [done for _, done, _ in calls] == sorted(done for _, done, _ in calls)
    few = Texts(model, [_first(source, 3, tmp_path) for source in find_sources(kinds=["resume"], split="dev")])
    with Engine.load(model, dtype="fp32", device="cpu") as engine:
        claims = measure_claims(engine, texts, found, batch=2, length=96, repeats=1)
        # The grid has been measured by then: fewer documents than a batch lose nothing.
        assert list(measure_claims(engine, few, found, batch=4, length=96, repeats=1)["claim"]) == list(claims["claim"])
    # What this engine is quicker by than itself without anything is not the reuse of a text.
    assert list(claims["claim"]) == ["embedding cache", "dynamic padding"]
    assert f"at most {claims['figure'][0]:.4f}x" == claims["measured"][0] and list(claims["claimed"]) == [3.2, 40.0]
    assert claims["measured"][0].startswith("at most 1.") and "to their longest" in claims["how"][1]


def test_scenarios_take_the_quickest_technique_and_keep_claims_apart() -> None:
    frame = scenario_table(GRID)
    assert list(frame["scenario"]) == ["real time", "bulk"] and list(frame["technique"]) == ["ours", "ours"]
    assert frame["claimed_latency"][0] == 0.142 and frame["claimed_documents_a_second"][1] == 832
    text = str(about_scenarios(frame, "Measured on a toaster."))
    assert "Real time: **100 ms** a batch of 1, 10 documents/s" in text and "the article claims 142 ms" in text
    assert "4 documents/s (ours); the article claims 832/s" in text and text.endswith("Measured on a toaster.")
    assert "None of the article's scenarios" in str(about_scenarios(scenario_table(GRID[GRID["length"] == 1]), ""))


def test_tables_for_people_have_units_and_say_what_a_figure_rests_on() -> None:
    grid = BeautifulSoup(show_grid(GRID.assign(same_answers=0.984)).html, "html.parser")
    assert [head.get_text() for head in grid.select("th")] == [
        "technique",
        "batch",
        "prompt (tokens)",
        "a batch (ms)",
        "documents/s",
        "answers equal to the first technique's",
    ]
    assert [cell.get_text() for cell in grid.select("tbody tr")[0].select("td")] == ["plain", "1", "256", "200", "5", "98.4%"]
    real_time, bulk = BeautifulSoup(show_scenarios(scenario_table(GRID)).html, "html.parser").select("tbody tr")
    assert [cell.get_text() for cell in real_time.select("td")][4:] == ["100", "142", "10", ""]
    assert [cell.get_text() for cell in bulk.select("td")][4:] == ["4,000", "", "4", "832"]
    (alone,) = BeautifulSoup(show_scenarios(scenario_table(GRID[:2])).html, "html.parser").select("tbody tr")
    assert [cell.get_text() for cell in alone.select("td")][4:] == ["100", "142", "10", ""], "None is no word for people"
    assert show_scenarios(scenario_table(GRID[:0])).html == ""
    once, thrice = (
        Benchmark({}, (Result("w", "", "ours", 8, 900, 8, 9.0, 1.0, 1.0, 0.0, 0.0, seconds),)) for seconds in ((1.0,), (1.0,) * 3)
    )
    assert "of one timed round" in str(about_rounds(once)) and "median of 3 timed rounds" in str(about_rounds(thrice))


def test_a_recommendation_keeps_to_the_target() -> None:
    assert "256 tokens: **batch 16**, ours: 20 documents/s" in str(recommend(GRID))
    assert "256 tokens: **batch 1**, ours: 10 documents/s, 100 ms" in str(recommend(GRID, latency=0.15))
    missed = str(recommend(GRID, latency=0.15, rate=15))
    assert "at most 150 ms a batch and at least 15 documents/s" in missed
    assert "256 tokens: nothing measured here fits; the quickest takes 100 ms (batch 1), the most is 20 documents/s (batch 16)" in missed


def test_reuse_is_the_ratio_to_the_run_without_it() -> None:
    results = tuple(
        Result(MANY_LABELS, "", name, 8, 900, 8, 9.0, 1.0, 1.0, 0.0, 0.0, (seconds,))
        for name, seconds in (("ours, plain", 12.0), ("ours without prefix", 4.0), ("ours", 1.0))
    )
    (row,) = _reuse_rows(Benchmark({}, results))
    assert row["figure"] == 4.0 and "'ours' against 'ours without prefix'" in str(row["how"])
    assert _reuse_rows(Benchmark({}, (results[0], results[2]))) == []


@pytest.mark.parametrize("names", ([], ["theirs"]))
def test_techniques_that_do_not_exist_are_named(names: list[str]) -> None:
    with pytest.raises(OptionError, match=r"there are no techniques .* there are"):
        techniques_named(names)
