"""Holds the planner against this machine: the same batches predicted and run, side by side. Predicts and measures through others."""

from __future__ import annotations

import json
import multiprocessing
import random
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas
import psutil
import torch
from torch import Tensor

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.display import Prose
from seqgpt_lab.studies.passes import GUESSED, TECHNIQUES, Workload
from seqgpt_lab.studies.planner import Arrangement, plan
from seqgpt_lab.studies.rigs import Rig

CLOCKS = ("wall", "processor")
_HEAD_IDS = 64
_NO_BUDGET = 1 << 30  # every batch is at work as a whole
_LEAST_ID, _MOST_ID = 300, 3000
_MOST_REPLAYS = 8
_ALONE = Arrangement()


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration of the grid; output: ids written by every row. spread: how much shorter and longer than `length` prompts are, at
    most, as a share of it; they are evenly spread."""

    batch: int
    length: int
    technique: str
    arrangement: Arrangement = _ALONE
    output: int = 12
    spread: float = 0.0

    def lengths(self, count: int) -> list[int]:
        """Of so many prompts, `length` on average."""
        steps = [2 * index / (count - 1) - 1 if count > 1 else 0.0 for index in range(count)]
        return [round(self.length * (1 + self.spread * step)) for step in steps]


@dataclass(frozen=True, slots=True)
class Replay:
    """Drafts that are right, as long as drafts are on average: an answer known beforehand. Its own drafter, for it keeps no state."""

    answer: tuple[int, ...]

    def start(self) -> Replay:
        return self

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        return self.answer[len(written) : len(written) + min(most, GUESSED)]


@dataclass(frozen=True, slots=True)
class FewIds:
    """A constraint that always allows the same ids, as many as grounded decoding does; keeps no state."""

    ids: tuple[int, ...]

    def start(self) -> FewIds:
        return self

    def forced(self) -> Sequence[int]:
        return ()

    def allowed(self) -> Tensor:
        return torch.tensor(self.ids)

    def advance(self, token_ids: Sequence[int]) -> None:
        pass

    def rollback(self, count: int) -> None:
        pass


def endless_copy(model: str | Path, folder: Path) -> Path:
    """A model directory with the same weights whose end token is its last id, so that answers run to their limit. Links, no copies."""
    checkpoint = find_checkpoint(model)
    folder.mkdir(parents=True)
    for path in {*checkpoint.config.parent.iterdir(), checkpoint.tokenizer}:
        if path.is_file() and path != checkpoint.config:
            (folder / path.name).symlink_to(path.resolve())
    config = json.loads(checkpoint.config.read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": config["vocab_size"] - 1}), encoding="utf-8")
    return folder


def grid(batches: Iterable[int], lengths: Iterable[int], techniques: Iterable[str], arrangements: Iterable[Arrangement]) -> list[Case]:
    """Every combination. Answers of 12 ids, or 48 where several are written a pass."""
    lengths, techniques, arrangements = list(lengths), list(techniques), list(arrangements)
    return [
        Case(batch, length, technique, arrangement, 12 if technique == "plain" else 48)
        for arrangement in arrangements
        for batch in batches
        for length in lengths
        for technique in techniques
    ]


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
            token_budget=_NO_BUDGET,
            tensor_parallel=arrangement.ranks,
            replicas=arrangement.replicas,
        ) as engine:
            for case in mine:
                wall, busy, workload = _run(engine, case, rounds)
                found = plan(rig, engine.config, workload, dtype=dtype, arrangement=arrangement, check=False)
                measured = busy if clock == "processor" and arrangement.ranks == 1 else wall
                seconds = {"predicted": found.seconds, "measured": measured, "wall": wall, "busy": busy}
                rows.append({**_named(case), "passes": workload.passes, **seconds, "limit": found.limit})
                if progress:
                    progress("configurations", len(rows), len(cases))
    frame = pandas.DataFrame(rows)
    return frame.assign(ratio=frame["predicted"] / frame["measured"], error=(frame["predicted"] / frame["measured"] - 1).abs())


def _named(case: Case) -> dict[str, Any]:
    return {
        "arrangement": str(case.arrangement),
        "technique": case.technique,
        "batch": case.batch,
        "length": case.length,
        "spread": case.spread,
        "output": case.output,
    }


def _run(engine: Engine, case: Case, rounds: int) -> tuple[float, float, Workload]:
    """Wall seconds of the quickest round, processor seconds of the busiest process in the least busy one, and the workload."""
    requests = _requests(engine, case)
    written = engine.generate(requests)  # also the warm-up
    walls, busy = [], []
    for _ in range(rounds):
        started, before = time.perf_counter(), _processor_seconds(engine)
        engine.generate(requests)
        walls.append(time.perf_counter() - started)
        busy.append(max(after - earlier for after, earlier in zip(_processor_seconds(engine), before, strict=True)))
    return min(walls), min(busy), _workload(case, written)


def _processor_seconds(engine: Engine) -> list[float]:
    """So far, of each process that holds weights."""
    times = [psutil.Process(worker.pid).cpu_times() for worker in engine.workers]
    return [one.user + one.system for one in times] or [time.process_time()]


def _workload(case: Case, written: Sequence[Completion]) -> Workload:
    passes = max(completion.timing.passes for completion in written)
    output = max(len(completion.token_ids) for completion in written)
    head_ids = _HEAD_IDS if case.technique == "grounded" else None
    # These requests name no text to be kept, and have room for what they write only.
    room = {"max_new_tokens": case.output, "kept_bytes": 0, "token_budget": _NO_BUDGET}
    return Workload(case.batch, case.length, output, passes, case.technique != "plain", head_ids, **room)


def _requests(engine: Engine, case: Case) -> list[Request]:
    """Prompts of drawn ids, always the same; drafts replay what the model writes without them."""
    source = random.Random(0)
    most = min(_MOST_ID, engine.config.vocab_size - 1)
    least = min(_LEAST_ID, most // 2)
    few = FewIds(tuple(sorted(source.sample(range(least, most), min(_HEAD_IDS, most - least))))) if case.technique == "grounded" else None
    count = case.batch * case.arrangement.replicas
    prompts = [tuple(source.randrange(least, most) for _ in range(length)) for length in case.lengths(count)]
    requests = [Request(ids, case.output, constraint=few) for ids in prompts]
    if case.technique == "plain":
        return requests
    # In half precision a pass of another width may choose another id, and a draft of the narrow pass's answer then goes wrong from there
    # on; so what was written with drafts is drafted again until nothing changes.
    answers: list[tuple[int, ...]] = []
    for _ in range(_MOST_REPLAYS):
        written = [completion.token_ids for completion in engine.generate(requests)]
        if written == answers:
            break
        answers = written
        requests = [Request(ids, case.output, constraint=few, drafts=Replay(answer)) for ids, answer in zip(prompts, answers, strict=True)]
    return requests


def check_memory(
    model: str | Path, rig: Rig, cases: Sequence[Case], *, dtype: str = "bf16", progress: TaskProgress | None = None
) -> pandas.DataFrame:
    """One row a case, in one process: predicted and measured peak bytes, and the error. Each case runs in a fresh process on the CPU."""
    spawn = multiprocessing.get_context("spawn")
    rows = []
    for done, case in enumerate(cases):
        receive, send = spawn.Pipe(duplex=False)
        process = spawn.Process(target=_peak, args=(model, dtype, case, send), daemon=True)
        process.start()
        send.close()
        measured, workload = receive.recv()
        process.join()
        config = ModelConfig.read(find_checkpoint(model).config)
        found = plan(rig, config, workload, dtype=dtype, check=False).memory
        rows.append({**_named(case), "predicted": found.total, "measured": measured, "error": abs(found.total / measured - 1)})
        if progress:
            progress("memory", done + 1, len(cases))
    return pandas.DataFrame(rows)


def _peak(model: str | Path, dtype: str, case: Case, answer: Any) -> None:
    """In a process of its own: the largest resident size from after the load to the end of a batch."""
    with Engine.load(model, dtype=dtype, device="cpu", batch_size=case.batch, token_budget=_NO_BUDGET) as engine:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forget the peak of loading
        written = engine.generate(_requests(engine, case))
        status = Path("/proc/self/status").read_text(encoding="ascii")
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found, "Linux tells the peak of every process"
        answer.send((int(found.group(1)) * 1024, _workload(case, written)))


def about_times(frame: pandas.DataFrame) -> Prose:
    """How far predictions are off, in sentences."""
    worst = max(frame.to_dict("records"), key=lambda row: max(row["ratio"], 1 / row["ratio"]))
    middle = median(frame["error"])
    return Prose(
        f"Over {len(frame)} configurations the median error is **{middle:.0%}**; the worst prediction is {worst['ratio']:.2f} times what "
        f"was measured ({worst['technique']}, {worst['arrangement']}, batch {worst['batch']}, length {worst['length']}). "
        "Measured on this machine only."
    )


def worst_factor(frame: pandas.DataFrame) -> float:
    """The largest of predicted over measured and measured over predicted."""
    return float(frame["ratio"].map(lambda ratio: max(ratio, 1 / ratio)).max())


def every_case() -> Iterator[tuple[str, str, Case]]:
    """The grid that the planner is held to: (`wide` or `tiny`, dtype, case). `wide` is a model of SeqGPT-560M's shape.

    Nothing of it is calibrated: `calibrate` times single operations, at other sizes.
    """
    one, ranks, replicas = _ALONE, Arrangement(ranks=2), Arrangement(replicas=2)
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
