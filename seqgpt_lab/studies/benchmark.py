"""Runs contestants on the same workloads in rounds in which they take turns; times, ratios and equal answers as tables. Draws nothing.

A ratio is the median of the ratios within rounds, so that a machine that slows down slows both sides of each. Every round has texts
of its own, and nothing is remembered of the workload before: what a cache holds is of no use but within a round.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import pandas
import torch

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.config import resolve_device, resolve_dtype
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import sha256_of
from seqgpt_lab.machine import processors
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.contestants import Contestant, Running, loaded
from seqgpt_lab.studies.display import Prose, plain, short
from seqgpt_lab.studies.processor import processor_name
from seqgpt_lab.studies.turns import Record, Result, Turn, results_of
from seqgpt_lab.studies.workloads import Workload

_PAUSE_SECONDS = 0.5  # before another engine's turn: threads of OpenMP spin for a while after their work, on the cores of whoever is next
_WARM_UP = 4  # tasks: enough to start threads and to touch the weights


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Results by workload, then by contestant in the order they ran, and where they come from."""

    machine: Mapping[str, Any]
    results: tuple[Result, ...]

    def table(self) -> pandas.DataFrame:
        """A row a result: workload, contestant, batch, tokens_in, tokens_out, documents_a_second, seconds_a_batch, ratio (throughput over
        the workload's first contestant's), same_answers, passes."""
        return pandas.DataFrame([_row(result, self._first(result.workload)) for result in self.results])

    def ratio(self, workload: str, contestant: str, against: str) -> float:
        """How many times as fast one contestant is as another on a workload. Raises OptionError for those that did not run."""
        found = {result.contestant: result for result in self.results if result.workload == workload}
        if contestant not in found or against not in found:
            raise OptionError(f"{contestant!r} and {against!r} did not both run on {workload!r}; these did: {list(found)}")
        return _ratio(found[contestant], found[against])

    def _first(self, workload: str) -> Result:
        return next(result for result in self.results if result.workload == workload)

    def about(self) -> Prose:
        """A sentence a workload, and on which machine it was measured."""
        parts = []
        for workload in dict.fromkeys(result.workload for result in self.results):
            first, *others = (result for result in self.results if result.workload == workload)
            rates = [_sentence(result, first) for result in others]
            parts.append(f"**{plain(workload)}**: {plain(first.contestant)} {short(_rate(first))} documents/s" + "".join(rates) + ".")
        return Prose("\n\n".join([*parts, about_machine(self.machine)]))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: machine, results with every round's seconds, and the table's derived figures."""
        rows = self.table().to_dict("records") if self.results else []
        return {"machine": dict(self.machine), "results": [asdict(result) for result in self.results], "table": rows}


def run_benchmark(
    model: str | Path,
    workloads: Sequence[Workload],
    contestants: Sequence[Contestant],
    *,
    dtype: str = "auto",
    record: Path | None = None,
    progress: TaskProgress | None = None,
) -> Benchmark:
    """Every contestant on every workload. dtype: of this engine and of transformers.

    record: a JSON file that is written after each turn, and from which what was measured already is taken over, where model, machine,
    contestants, texts and labels are the same; workloads of other names stay in it. progress: called with a workload and its turns. Raises
    OptionError for nothing to run or a record of something else.
    """
    if not workloads or not contestants:
        raise OptionError(f"{len(workloads)} workloads and {len(contestants)} contestants; at least one of each is needed")
    machine = describe_machine(model, dtype)
    kept = Record(record, machine, [contestant.name for contestant in contestants])
    waiting = [workload for workload in workloads if not kept.whole(workload)]
    if waiting:
        with loaded(model, contestants, dtype) as afresh:
            for workload in waiting:
                kept.finish(workload, _measure(workload, afresh(), kept, Benchmark(machine, tuple(kept.results)).to_dict(), progress))
                kept.write(Benchmark(machine, tuple(kept.results)).to_dict())
    return Benchmark(machine, tuple(result for workload in workloads for result in kept.whole(workload)))


def _measure(
    workload: Workload, running: Sequence[Running], kept: Record, before: Mapping[str, Any], progress: TaskProgress | None
) -> list[Result]:
    """running: contestants that know no text yet, for workloads may have some in common. before: what the record holds of whole workloads,
    which is written again after each turn, with the turns of this one."""
    turns = kept.turns_of(workload)
    warm_up, *rounds = workload.rounds
    total, done, last = len(running) * len(workload.rounds), len(turns), ""
    for number, tasks in enumerate((warm_up[:_WARM_UP], *rounds), -1):
        for place in _order(len(running), number + 1):
            if (number, place) in turns:
                continue
            if running[place].contestant.engine != last:
                time.sleep(_PAUSE_SECONDS)
            last = running[place].contestant.engine
            begun = time.perf_counter()
            completions = running[place].run(tasks, workload.batch)
            if number >= 0:
                turns[number, place] = Turn.of(time.perf_counter() - begun, completions)
                kept.write(before)
            done += 1
            if progress:
                progress(workload.name, done, total)
    tokens = mean(len(request.prompt_ids) for tasks in rounds for request in running[0].requests(tasks))
    return results_of(workload, kept.contestants, round(tokens), turns)


def _order(count: int, turn: int) -> list[int]:
    """Who begins changes from round to round."""
    return [(turn + place) % count for place in range(count)]


def _rate(result: Result) -> float:
    return result.documents / median(result.seconds)


def _ratio(result: Result, base: Result) -> float:
    return median(theirs / mine for mine, theirs in zip(result.seconds, base.seconds, strict=True))


def _row(result: Result, first: Result) -> dict[str, Any]:
    return {
        "workload": result.workload,
        "contestant": result.contestant,
        "batch": result.batch,
        "tokens_in": result.prompt_tokens,
        "tokens_out": result.answer_tokens,
        "documents_a_second": _rate(result),
        "seconds_a_batch": median(result.seconds) * min(result.batch, result.documents) / result.documents,
        "ratio": _ratio(result, first),
        "same_answers": result.same_answers,
        "passes": result.passes,
    }


def _sentence(result: Result, first: Result) -> str:
    equal = "all answers equal" if result.same_answers == 1 else f"{result.same_answers:.1%} of the answers equal"
    return f"; {plain(result.contestant)} **{_ratio(result, first):.2f}x** that, {equal}"


def describe_machine(model: str | Path, dtype: str) -> dict[str, Any]:
    """What a figure depends on: processor, threads, library versions, number format, and the model by its SHA-256."""
    checkpoint, device = find_checkpoint(model), resolve_device("auto")
    return {
        "processor": torch.cuda.get_device_name() if device.type == "cuda" else processor_name(),
        "cores": processors(),
        "threads": torch.get_num_threads(),
        "device": device.type,
        "dtype": str(resolve_dtype(dtype, device)).removeprefix("torch."),
        "torch": torch.__version__,
        "system": platform.platform(),
        "model": str(model),
        "model_sha256": {path.name: sha256_of(path) for path in checkpoint.weights},
    }


def about_machine(machine: Mapping[str, Any]) -> str:
    """On which machine, in a sentence."""
    return (
        f"Measured on {plain(machine['processor'])} ({machine['device']}), {machine['threads']} threads on {machine['cores']} cores, in "
        f"{machine['dtype']}; on another machine the figures are others."
    )
