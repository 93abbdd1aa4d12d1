"""The grid of batches that the planner is held to, and how much memory a batch takes in a process of its own."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.studies.passes import TECHNIQUES
from seqgpt_lab.studies.plan_cases import NO_BUDGET, Case, grid, requests_of, workload_of
from seqgpt_lab.studies.planner import Arrangement, plan
from seqgpt_lab.studies.rigs import Rig


def check_memory(model: str | Path, rig: Rig, cases: Sequence[Case], *, dtype: str = "bf16") -> pandas.DataFrame:
    """One row a case, in one process: predicted and measured peak bytes, and the error. Each case runs in a fresh process on the CPU."""
    spawn = multiprocessing.get_context("spawn")
    rows = []
    for case in cases:
        receive, send = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_peak, args=(model, dtype, case, send), daemon=True)
        process.start()
        send.close()
        measured, workload = receive.recv()
        process.join()
        config = ModelConfig.read(find_checkpoint(model).config)
        found = plan(rig, config, workload, dtype=dtype, check=False).memory
        rows.append({**case.to_dict(), "predicted": found.total, "measured": measured, "error": abs(found.total / measured - 1)})
    return pandas.DataFrame(rows)


def _peak(model: str | Path, dtype: str, case: Case, answer: Any) -> None:
    """In a process of its own: the largest resident size from after the load to the end of a batch."""
    with Engine.load(model, dtype=dtype, device="cpu", batch_size=case.batch, token_budget=NO_BUDGET) as engine:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak of loading
        written = engine.generate(requests_of(engine, case))
        status = Path("/proc/self/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found, "Linux tells the peak of every process"
        answer.send((int(found.group(1)) * 1024, workload_of(case, written)))


def worst_factor(frame: pandas.DataFrame) -> float:
    """The largest of predicted over measured and measured over predicted."""
    return float(frame["ratio"].map(lambda ratio: max(ratio, 1 / ratio)).max())


def every_case() -> Iterator[tuple[str, str, Case]]:
    """The grid that the planner is held to: (`wide` or `tiny`, dtype, case). `wide` is a model of SeqGPT-560M's shape.

    Nothing of it is calibrated: `calibrate` times single operations, at other sizes.
    """
    one, ranks, replicas = Arrangement(), Arrangement(ranks=2), Arrangement(replicas=2)
    for case in grid((1, 3, 10), (96, 300), TECHNIQUES, (one,)):
        yield "wide", "bf16", case
    for case in grid((6,), (150,), ("plain", "drafted"), (one,)):
        yield "wide", "bf16", replace(case, spread=0.8)
    for case in grid((1, 10), (96, 700), TECHNIQUES, (one,)):
        yield "tiny", "bf16", case
    for case in grid((5,), (200,), ("plain", "drafted"), (one, replicas)):
        yield "tiny", "fp32", case
    for case in grid((1, 6), (96,), ("plain", "drafted"), (ranks, replicas)):
        yield "wide", "bf16", case
