"""Draws speeds: bars by contestant, and heat maps over batch and length; knows nothing of what was run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure

from seqgpt_lab.reports.drawing import BAR, SETTINGS, WIDTH_INCHES, Drawing, bars, svg_of
from seqgpt_lab.studies.display import short

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

_CELL_INCHES = 0.42
_COLUMNS = 3  # maps side by side


def speeds(frame: pandas.DataFrame) -> Drawing:
    """Throughput of each contestant on each workload as a bar, its ratio and share of equal answers beside it.

    frame: columns `workload`, `contestant`, `documents_a_second`, `ratio`, `same_answers`, as `Benchmark.table()` gives them.
    """
    names = [f"{row['workload']} · {row['contestant']}" for _, row in frame.iterrows()]
    notes = [
        f"{short(row['documents_a_second'])}/s  ({row['ratio']:.2f}x, {row['same_answers']:.0%} of answers equal)"
        for _, row in frame.iterrows()
    ]
    values = [float(value) for value in frame["documents_a_second"]]
    return bars("Documents a second", names, values, notes, frame, longest=max(values, default=0.0) or 1.0)


def heat_maps(frame: pandas.DataFrame, value: str, caption: str, *, better: str) -> Drawing:
    """A map a technique: batch from top to bottom, length from left to right, each cell's number in it, the stronger its colour the better.

    Colours mean the same in all maps. frame: columns `technique`, `batch`, `length` and `value`; better: 'high' or 'low', for the shade.
    Cells without a row stay empty.
    """
    techniques = list(dict.fromkeys(frame["technique"]))
    batches, lengths = sorted(set(frame["batch"])), sorted(set(frame["length"]))
    rows = max(1, math.ceil(len(techniques) / _COLUMNS))
    known = [math.log(number) for number in frame[value] if number > 0]
    ends = (min(known, default=0.0), max(known, default=1.0))
    figure = Figure(figsize=(WIDTH_INCHES, rows * (_CELL_INCHES * max(1, len(batches)) + 0.9)))
    with matplotlib.rc_context(SETTINGS):
        for place, technique in enumerate(techniques):
            axes = figure.add_subplot(rows, min(_COLUMNS, len(techniques)), place + 1)
            chosen = frame[frame["technique"] == technique]
            _map(axes, str(technique), _grid(chosen, value, batches, lengths), batches, lengths, ends, better)
        figure.subplots_adjust(
            left=0.09, right=0.99, top=1 - 0.3 / figure.get_figheight(), bottom=0.45 / figure.get_figheight(), wspace=0.25
        )
        figure.subplots_adjust(hspace=0.9)
        svg = svg_of(figure)
    return Drawing(caption, svg, frame.to_csv(index=False))


def _grid(frame: pandas.DataFrame, value: str, batches: Sequence[Any], lengths: Sequence[Any]) -> list[list[float]]:
    known = {(row["batch"], row["length"]): float(row[value]) for _, row in frame.iterrows()}
    return [[known.get((batch, length), math.nan) for length in lengths] for batch in batches]


def _map(
    axes: Axes,
    title: str,
    grid: list[list[float]],
    batches: Sequence[Any],
    lengths: Sequence[Any],
    ends: tuple[float, float],
    better: str,
) -> None:
    """Rectangles, not an image: they take the page's colour, and the shade is their opacity. ends: logarithms of the least and most."""
    low, high = ends
    for y, row in enumerate(grid):
        for x, number in enumerate(row):
            if not number > 0:
                continue
            share = (math.log(number) - low) / (high - low) if high > low else 0.5
            shade = share if better == "high" else 1 - share
            axes.add_patch(matplotlib.patches.Rectangle((x, y), 0.96, 0.94, facecolor=BAR, alpha=0.1 + 0.55 * shade, linewidth=0))
            axes.text(x + 0.48, y + 0.47, short(number), ha="center", va="center", fontsize=9)
    axes.set_xlim(0, len(lengths))
    axes.set_ylim(len(batches), 0)
    axes.set_xticks([x + 0.48 for x in range(len(lengths))], [f"{length} tokens" for length in lengths], fontsize=8)
    axes.set_yticks([y + 0.47 for y in range(len(batches))], [f"batch {batch}" for batch in batches], fontsize=8)
    axes.set_title(title, fontsize=10, loc="left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
