"""Holds the planner against this machine: the same batches predicted and run, side by side. Predicts and measures through others."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import pandas
import psutil

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.display import Prose
from seqgpt_lab.studies.passes import TECHNIQUES, Workload
from seqgpt_lab.studies.plan_cases import NO_BUDGET, Case, requests_of, workload_of
from seqgpt_lab.studies.planner import plan
from seqgpt_lab.studies.rigs import Rig

CLOCKS = ("wall", "processor")


def check_times(
    model: str | Path,
    rig: Rig,
    cases: Sequence[Case],
    *,
    dtype: str = "bf16",
    rounds: int = 3,
    clock: str = "wall",
    progress: TaskProgress | None = None,
) -> pandas.DataFrame:
    """One row a case: predicted and measured seconds, their ratio, the error (predicted over measured, less one, without its sign).

    Measured is the quickest of `rounds` calls of `generate`, each replica with a batch of its own, after one that does not count.
    clock: `wall`, or `processor`: the processor time of the busiest process, which is what a call takes on one thread when nothing else
    runs; ranks wait for each other, so theirs is always wall time. model: a directory from `endless_copy`.
    Raises OptionError for no rounds, no cases, an unknown clock or technique.
    """
    if clock not in CLOCKS:
        raise OptionError(f"unknown clock {clock!r}; choose {', '.join(CLOCKS)}")
    unknown = sorted({case.technique for case in cases} - set(TECHNIQUES))
    if rounds < 1 or unknown or not cases:
        raise OptionError(
            f"rounds is {rounds}, unknown techniques {unknown}, {len(cases)} cases; at least one round and one case are needed"
        )
    rows: list[dict[str, Any]] = []
    for arrangement in dict.fromkeys(case.arrangement for case in cases):
        mine = [case for case in cases if case.arrangement == arrangement]
        size = max(case.batch for case in mine)
        with Engine.load(
            model,
            dtype=dtype,
            batch_size=size,
            token_budget=NO_BUDGET,
            tensor_parallel=arrangement.ranks,
            replicas=arrangement.replicas,
        ) as engine:
            for case in mine:
                wall, busy, workload = _run(engine, case, rounds)
                found = plan(rig, engine.config, workload, dtype=dtype, arrangement=arrangement, check=False)
                measured = busy if clock == "processor" and arrangement.ranks == 1 else wall
                seconds = {"predicted": found.seconds, "measured": measured, "wall": wall, "busy": busy}
                rows.append({**case.to_dict(), "passes": workload.passes, **seconds, "limit": found.limit})
                if progress:
                    progress("configurations", len(rows), len(cases))
    frame = pandas.DataFrame(rows)
    return frame.assign(ratio=frame["predicted"] / frame["measured"], error=(frame["predicted"] / frame["measured"] - 1).abs())


def _run(engine: Engine, case: Case, rounds: int) -> tuple[float, float, Workload]:
    """Wall seconds of the quickest round, processor seconds of the busiest process in the least busy one, and the workload."""
    requests = requests_of(engine, case)
    written = engine.generate(requests)  # also the warm-up
    walls, busy = [], []
    for _ in range(rounds):
        started, before = time.perf_counter(), _processor_seconds(engine)
        engine.generate(requests)
        walls.append(time.perf_counter() - started)
        busy.append(max(after - earlier for after, earlier in zip(_processor_seconds(engine), before, strict=True)))
    return min(walls), min(busy), workload_of(case, written)


def _processor_seconds(engine: Engine) -> list[float]:
    """So far, of each process that holds weights."""
    times = [psutil.Process(worker.pid).cpu_times() for worker in engine.workers]
    return [one.user + one.system for one in times] or [time.process_time()]


def about_times(frame: pandas.DataFrame) -> Prose:
    """How far predictions are off, in sentences."""
    worst = max(frame.to_dict("records"), key=lambda row: max(row["ratio"], 1 / row["ratio"]))
    middle = median(frame["error"])
    return Prose(
        f"Over {len(frame)} configurations the median error is **{middle:.0%}**; the worst prediction is {worst['ratio']:.2f} times what "
        f"was measured ({worst['technique']}, {worst['arrangement']}, batch {worst['batch']}, length {worst['length']}). "
        "Measured on this machine only."
    )
