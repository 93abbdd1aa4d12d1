"""Tells and shows how readers did on real text, from the table that `real_text` made; scores and draws nothing."""

from __future__ import annotations

import pandas

from seqgpt_lab.studies.display import Html, Prose, counted, plain, table
from seqgpt_lab.studies.real_text import ALPHA

_HEADS = {"support": "gold values", "low": "F1 low", "high": "F1 high", "f1": "F1"}
_SCORES = ["precision", "recall", "f1", "low", "high"]


def show_scores(frame: pandas.DataFrame) -> Html:
    """The table for people: without scores where there was nothing to find and nothing was given, for 1 by definition says nothing."""
    idle = _idle(frame)
    shown = frame.assign(**{name: frame[name].mask(idle) for name in _SCORES})
    return table(shown.rename(columns=_HEADS))


def of_first_reader(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The first reader's rows, as `figures.label_scores` takes them: the set is called `kind`."""
    return _mine(frame).rename(columns={"set": "kind"})


def about_scores(frame: pandas.DataFrame) -> Prose:
    """On which labels that have values the first reader has the highest and the lowest F1, how many values these rest on, and on how many
    labels it is ahead of the others beyond chance."""
    mine = _mine(frame)
    text = _extremes(mine[mine["support"] > 0])
    others = frame[frame["reader"] != mine["reader"].iloc[0]]
    for name, rows in others.groupby("reader", sort=False):
        both = rows.merge(mine, on=["set", "label"], suffixes=("", "_mine"))
        real = both[both["p"] <= ALPHA]
        ahead = int((real["f1_mine"] > real["f1"]).sum())
        text += (
            f" Against {plain(name)}, on {counted(len(both), 'label')} that it reads too: ahead on {ahead}, behind on {len(real) - ahead}, "
            f"no difference beyond chance (p above {ALPHA}, each label by itself) on {len(both) - len(real)}."
        )
    return Prose(text)


def _mine(frame: pandas.DataFrame) -> pandas.DataFrame:
    mine: pandas.DataFrame = frame[frame["reader"] == frame["reader"].iloc[0]]
    return mine


def _idle(frame: pandas.DataFrame) -> pandas.Series[bool]:
    return (frame["support"] == 0) & (frame["f1"] == 1)


def _extremes(rows: pandas.DataFrame) -> str:
    """Labels without values are none of rows: their F1 is 1 where nothing was given either, and says nothing. Of labels with the same F1
    the one with most values is named, for it says most."""
    if rows.empty:
        return "No label has a value in these texts, so no score says how well it is read."
    highest, lowest = (rows[rows["f1"] == end] for end in (rows["f1"].max(), rows["f1"].min()))
    if len(highest) == len(rows):
        return f"On {counted(len(rows), 'label')} with values in these texts: F1 {rows['f1'].iloc[0]:.3f}, {_rests_on(rows)}."
    return (
        f"Of {counted(len(rows), 'label')} with values in these texts, the highest F1 is {_end(highest)}; the lowest {_end(lowest)}. "
        "Where intervals overlap, neither is shown to be read better."
    )


def _end(rows: pandas.DataFrame) -> str:
    """The F1 that rows share, and the one of them that rests on most values."""
    named = rows.sort_values("support", ascending=False, kind="stable").iloc[0]
    shared = f", the same on {counted(len(rows), 'label')}; most values has" if len(rows) > 1 else ","
    where = f"{plain(named['label'])} in {plain(named['set'])}"
    return f"{named['f1']:.3f}{shared} {where} (n = {named['support']}, 95% interval {named['low']:.3f} to {named['high']:.3f})"


def _rests_on(rows: pandas.DataFrame) -> str:
    least, most = rows["support"].min(), rows["support"].max()
    return f"n = {least}" if least == most else f"n = {least} to {most}"
