"""Draws scores and mistake counts as bars; knows nothing of engines, documents or pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seqgpt_lab.reports.drawing import POOR, Drawing, bars

if TYPE_CHECKING:
    import pandas

_POOR_TOLD = f"; red: below {POOR:g}"


def label_scores(frame: pandas.DataFrame) -> Drawing:
    """F1 of each label as a bar with its support: the number of gold values it rests on.

    frame: columns `label`, `f1` (0 to 1) and `support`, as `Scores.to_frame()` gives them, optionally `kind`, named before the label.
    A label of which no value was wanted or given has no bar: its F1 of 1 by definition is no evidence. Without rows an empty figure says
    so.
    """
    names = [f"{row['kind']} · {row['label']}" if "kind" in frame else str(row["label"]) for _, row in frame.iterrows()]
    idle = [not row["support"] and row["f1"] == 1 for _, row in frame.iterrows()]
    values = [0.0 if none else float(f1) for none, f1 in zip(idle, frame["f1"], strict=True)]
    notes = [
        f"nothing to find  (n = {row['support']})" if none else f"{row['f1']:.3f}  (n = {row['support']})"
        for none, (_, row) in zip(idle, frame.iterrows(), strict=True)
    ]
    return bars(f"F1 of each label, and the number of gold values it rests on{_POOR_TOLD}", names, values, notes, frame)


def kind_scores(frame: pandas.DataFrame) -> Drawing:
    """Micro F1 of each kind of document as a bar, the share of wholly right records beside it.

    frame: columns `kind`, `f1` and `exact_record_rate` (0 to 1) and `documents`.
    """
    notes = [
        f"{row['f1']:.3f}  ({round(row['exact_record_rate'] * row['documents'])} of {row['documents']} records wholly right)"
        for _, row in frame.iterrows()
    ]
    return bars(f"Micro F1 of each kind of document{_POOR_TOLD}", [str(kind) for kind in frame["kind"]], list(frame["f1"]), notes, frame)


def variant_scores(frame: pandas.DataFrame, name: str = "variant") -> Drawing:
    """Micro F1 of each variant as a bar; beside it how far it is from the first one, with the interval, and whether that is real.

    frame: columns `name`, `micro_f1` (0 to 1), `difference`, `low`, `high` and `real`, the last four empty in the first row.
    """
    notes = [f"{row['micro_f1']:.3f}" + (_distance(row) if place else "") for place, (_, row) in enumerate(frame.iterrows())]
    caption = f"Micro F1 of each variant; in points, its distance from the first with the 95% interval{_POOR_TOLD}"
    return bars(caption, [str(one) for one in frame[name]], list(frame["micro_f1"]), notes, frame)


def _distance(row: pandas.Series[Any]) -> str:
    told = "real" if row["real"] else "not shown to be real"
    return f"  ({100 * row['difference']:+.1f}, {100 * row['low']:+.1f} to {100 * row['high']:+.1f}: {told})"


def mistake_counts(frame: pandas.DataFrame) -> Drawing:
    """How many mistakes of each kind there are, as bars. frame: columns `kind` and `mistakes`, as `mistakes.count` gives them."""
    counts = [int(count) for count in frame["mistakes"]]
    names = [str(kind) for kind in frame["kind"]]
    longest = max(counts, default=0) or 1
    return bars("Mistakes by kind", names, list(map(float, counts)), list(map(str, counts)), frame, longest)


def reliability(frame: pandas.DataFrame) -> Drawing:
    """The share of right values by how sure the model was, as bars. frame: as `Calibration.bins` gives it, a row a bin.

    In another colour where fewer are right than the bin begins with: there the model was too sure.
    """
    names = [f"{row['low']:.1f} to {row['high']:.1f}" for _, row in frame.iterrows()]
    notes = [f"{row['right']:.0%} right, sure by {row['confidence']:.0%}  (n = {row['values']:.0f})" for _, row in frame.iterrows()]
    too_sure = [bool(row["right"] < row["low"]) for _, row in frame.iterrows()]
    caption = "Share of right values by the model's confidence; red: fewer are right than the least confidence of the bin"
    return bars(caption, names, list(frame["right"]), notes, frame, alarming=too_sure)
