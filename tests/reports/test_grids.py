"""Heat maps and bars of speeds: every number is in the drawing, and the better cell is the darker one."""

from __future__ import annotations

import re

import pandas

from seqgpt_lab.reports.grids import heat_maps, speeds

GRID = pandas.DataFrame(
    [
        {"technique": technique, "batch": batch, "length": 256, "rate": rate}
        for technique, batch, rate in (("a", 1, 7.25), ("a", 4, 91.5), ("b", 1, 3.5))
    ]
)


def _shades(better: str) -> list[str]:
    svg = heat_maps(GRID[GRID["technique"] == "a"], "rate", "Rates", better=better).svg
    return re.findall(r"opacity: ([\d.]+)", svg)


def test_every_known_cell_is_drawn_with_its_number_and_unknown_ones_are_not() -> None:
    drawing = heat_maps(GRID, "rate", "Rates", better="high")
    for text in ("7.25", "91.5", "3.5", "batch 4", "256 tokens", ">a<", ">b<"):
        assert text in drawing.svg
    assert "nan" not in drawing.svg and drawing.caption == "Rates" and "91.5" in drawing.csv


def test_the_better_cell_is_darker() -> None:
    high, low = [float(shade) for shade in _shades("high")], [float(shade) for shade in _shades("low")]
    assert high[0] < high[1] and low[0] > low[1]


def test_colours_mean_the_same_in_every_map() -> None:
    slow, fast, slower = (float(shade) for shade in re.findall(r"opacity: ([\d.]+)", heat_maps(GRID, "rate", "Rates", better="high").svg))
    assert slower < slow < fast


def test_speeds_name_workload_contestant_and_ratio() -> None:
    frame = pandas.DataFrame([{"workload": "batch 1", "contestant": "ours", "documents_a_second": 2.5, "ratio": 7.1, "same_answers": 1.0}])
    assert "batch 1 · ours" in speeds(frame).svg and "7.10x" in speeds(frame).svg
    assert "nothing to draw" in speeds(frame[:0]).svg
