"""Predictions over batches, lengths, techniques and machines as tables, and a check of them on this machine; draws and prints nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas
import torch

from seqgpt_lab.engine.config import resolve_device, resolve_dtype, short_name
from seqgpt_lab.errors import CapacityError, OptionError
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies import run_files
from seqgpt_lab.studies.calibrate import calibrate
from seqgpt_lab.studies.display import Html, Prose, counted, plain
from seqgpt_lab.studies.display import table as html_table
from seqgpt_lab.studies.passes import Workload, about_budget
from seqgpt_lab.studies.plan_cases import endless_copy, grid
from seqgpt_lab.studies.plan_check import about_times, check_times
from seqgpt_lab.studies.planner import SEQGPT_560M, Arrangement, about_counting, best, compare, table
from seqgpt_lab.studies.rigs import Rig

# What a page calls what was asked, and how it says that of all rows alike; then what it calls the figures.
_ASKED = {
    "rig": ("machine", "machine {}"),
    "dtype": ("dtype", "{}"),
    "arrangement": ("arrangement", "{}"),
    "technique": ("technique", "technique {}"),
    "batch": ("batch", "batch {}"),
    "at_work": ("at work", "{} at work at a time"),
    "length": ("prompt (tokens)", "prompts of {} tokens"),
    "output": ("answer (tokens)", "answers of {} tokens"),
}
_FIGURES = {
    "prompt_ms": "prompts (ms)",
    "writing_ms": "writing (ms)",
    "batch_ms": "whole batch (ms)",
    "documents_a_second": "documents/s",
    "GB_a_worker": "GB a worker",
    "limit": "limited by",
}
# What `limited by` may name (`costs.Seconds`), in words.
_LIMITS = {
    "weights": "reading the weights from memory",
    "products": "multiplying",
    "attention": "looking back at the text, the longer the slower",
    "elementwise": "moving numbers about",
    "head": "choosing among all tokens",
    "sums": "ranks waiting for each other",
    "starts": "the processor starting operations, slower than they are worked off",
}


def first_machine(rigs: Sequence[str]) -> str:
    """The machine that the grid and the targets are of. Raises OptionError when there is none."""
    if not rigs:
        raise OptionError("rigs is []; give at least one machine, a bundled one such as dual-4090 or a .yaml file")
    return rigs[0]


def plan_grid(
    rig: str, batches: Sequence[int], lengths: Sequence[int], output: int, dtype: str, techniques: Sequence[str] = ("plain",)
) -> pandas.DataFrame:
    """One row a batch, length, technique and arrangement that fits, as `planner.table` with the technique; what fits nowhere is out.

    Raises OptionError for empty lists, CapacityError when nothing fits.
    """
    _check_asked(batches=batches, lengths=lengths, techniques=techniques)
    machine, frames, reason = Rig.load(rig), [], ""
    for length in lengths:
        for batch in batches:
            for technique in techniques:
                work = Workload.of(batch, length, output, technique)
                try:
                    frames.append(table(compare(machine, SEQGPT_560M, work, dtype)).assign(technique=technique))
                except CapacityError as error:
                    reason = str(error)
    if not frames:
        raise CapacityError(f"no batch of {list(batches)} at a length of {list(lengths)} fits {rig} in {dtype}: {reason}")
    return pandas.concat(frames, ignore_index=True)


def about_targets(rig: str, batches: Sequence[int], lengths: Sequence[int], output: int, dtype: str, target: str) -> Prose:
    """Which arrangement serves the target, at the smallest and the largest batch, and why, or that the batch does not fit; and what no
    figure counts.

    Raises OptionError for empty lists.
    """
    _check_asked(batches=batches, lengths=lengths)
    machine = Rig.load(rig)
    parts = []
    for batch in dict.fromkeys((min(batches), max(batches))):
        try:
            work = Workload.of(batch, lengths[0], output)
            _, why = best(compare(machine, SEQGPT_560M, work, dtype), target)
            parts.append(f"Batch {batch}, length {lengths[0]}, best for {target}: **{plain(why)}** {plain(about_budget(work))}".rstrip())
        except CapacityError as error:
            parts.append(f"Batch {batch}, length {lengths[0]}: does not fit. {plain(str(error))}")
    return Prose("\n\n".join([*parts, plain(about_counting(machine))]))


def _check_asked(**lists: Sequence[int] | Sequence[str]) -> None:
    empty = [name for name, given in lists.items() if not given]
    if empty:
        raise OptionError(f"nothing is asked: {' and '.join(empty)} {'is' if len(empty) == 1 else 'are'} empty; give at least one of each")


def compare_machines(rigs: Sequence[str], batch: int, length: int, output: int, dtype: str) -> pandas.DataFrame:
    """The arrangement with most throughput of each machine, one id a pass and grounded, or that the batch does not fit, without figures."""
    rows = []
    for name in rigs:
        for technique in ("plain", "grounded"):
            row = _most_throughput(Rig.load(name), Workload.of(batch, length, output, technique), dtype)
            rows.append(row.assign(technique=technique))
    frame = pandas.concat(rows, ignore_index=True)
    return frame[[*(column for column in frame.columns if column != "technique"), "technique"]]


def _most_throughput(machine: Rig, work: Workload, dtype: str) -> pandas.DataFrame:
    try:
        return table([best(compare(machine, SEQGPT_560M, work, dtype), "throughput")[0]])
    except CapacityError:
        asked = {"batch": work.batch, "at_work": work.at_work, "length": work.length, "output": work.output}
        return pandas.DataFrame([{"rig": machine.name, "dtype": dtype, "arrangement": "does not fit", **asked}])


def show_plans(frame: pandas.DataFrame) -> tuple[Prose, Html]:
    """Predictions for people: what was asked alike in all rows, and what the limits mean, in sentences; the rest as a table, with units."""
    # Where a batch fits nowhere there are no figures at all; where it fits some machines, whole numbers would get a point.
    frame = frame.reindex(columns=list(dict.fromkeys([*frame, "passes", *_FIGURES])))
    shown = frame.astype({"passes": "Int64"}).rename(columns=_FIGURES)
    if (frame["at_work"] == frame["batch"]).all():
        shown = shown.drop(columns="at_work")
    told, rest = _told_once(shown)
    return Prose(" ".join(filter(None, [told, _limits(frame)]))), html_table(rest, 1)


def show_check(frame: pandas.DataFrame) -> tuple[Prose, Html] | tuple[()]:
    """Predicted and measured times for people, in milliseconds; nothing where nothing was checked."""
    if frame.empty:
        return ()
    told, rest = _told_once(frame[[name for name in frame if name in _ASKED or name == "passes"]])
    figures = {"predicted (ms)": 1000 * frame["predicted"], "measured (ms)": 1000 * frame["measured"]}
    figures |= {"predicted / measured": frame["ratio"].map("{:.2f}".format), "error": frame["error"].map("{:.0%}".format)}
    return Prose(" ".join(filter(None, [told, _limits(frame)]))), html_table(rest.assign(**figures, **{_FIGURES["limit"]: frame["limit"]}))


def _limits(frame: pandas.DataFrame) -> str:
    """What those that occur stand for, in a sentence; empty where there are none."""
    told = "; ".join(f"{name} stands for {_LIMITS[name]}" for name in dict.fromkeys(frame["limit"].dropna()))
    return f"In the last column, {told}." if told else ""


def _told_once(frame: pandas.DataFrame) -> tuple[str, pandas.DataFrame]:
    """What was asked alike in all rows, as a sentence (empty where nothing was), and the frame without it, its heads for people."""
    alike = [name for name in _ASKED if name in frame and frame[name].nunique(dropna=False) == 1]
    told = ", ".join(plain(_ASKED[name][1].format(frame[name].iloc[0])) for name in alike)
    differing = [name for name in _ASKED if name in frame and name not in alike]
    rest = frame[[*differing, *(name for name in frame if name not in _ASKED)]]
    return f"In every row: {told}." if told else "", rest.rename(columns={name: head for name, (head, _) in _ASKED.items()})


def about_machines(rigs: Sequence[str]) -> Prose:
    """How much of each machine is estimated, in sentences."""
    loaded = [Rig.load(name) for name in rigs]
    guessed = [rig for rig in loaded if rig.kind == "cuda" and not rig.measured]
    text = "; ".join(f"{plain(rig.name)}: {_known(rig)}" for rig in loaded) + "."
    return Prose(f"{text} Of {', '.join(plain(rig.name) for rig in guessed)} nothing was measured by this project." if guessed else text)


def _known(rig: Rig) -> str:
    if rig.uncertain:
        return counted(len(rig.uncertain), "figure is an estimate", "figures are estimates")
    return "measured" if len(rig.measured) == len(rig.basis) else "measured or published"


def check_here(model: str, dtype: str = "auto", *, progress: TaskProgress | None = None) -> tuple[pandas.DataFrame, Prose]:
    """This machine calibrated and held to its own predictions on a small grid, in processor time; nothing for an empty model."""
    if not model:
        return pandas.DataFrame(), Prose("Nothing was checked.")
    device = resolve_device("auto")
    kind = short_name(resolve_dtype(dtype, device))
    rig = calibrate(dtypes=(kind,))
    clock = "processor" if rig.kind == "cpu" and torch.get_num_threads() == 1 else "wall"
    with TemporaryDirectory() as folder:
        cases = grid((1, 8), (64, 256), ("plain", "drafted"), (Arrangement(),))
        frame = check_times(endless_copy(model, Path(folder) / "endless"), rig, cases, dtype=kind, clock=clock, progress=progress)
    told = f"Measured is {'processor' if clock == 'processor' else 'elapsed'} time, the shortest of three rounds."
    return frame, Prose(f"{about_times(frame)} {told}")


def write_metrics(run_dir: str | Path, planned: pandas.DataFrame, machines: pandas.DataFrame, checked: pandas.DataFrame) -> None:
    """Write the tables as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    frames = {"planned": planned, "machines": machines, "checked_here": checked}
    run_files.write_metrics(run_dir, {name: _records(frame) for name, frame in frames.items()})


def _records(frame: pandas.DataFrame) -> list[dict[str, Any]]:
    """The rows, with null where a row has no figure."""
    rows = frame.to_dict("records")
    return [{str(name): None if isinstance(value, float) and math.isnan(value) else value for name, value in row.items()} for row in rows]
