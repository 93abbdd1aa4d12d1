"""Runs contestants on the same workloads in rounds in which they take turns; times, ratios and equal answers as tables. Draws nothing.

A ratio is the median of the ratios within rounds, so that a machine that slows down slows both sides of each. Every round has texts
of its own: what a cache remembers from the round before is of no use.
"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

import pandas
import torch

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.config import resolve_device, resolve_dtype
from seqgpt_lab.engine.requests import Completion
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import sha256_of, write_json
from seqgpt_lab.studies.contestants import Contestant, Running, started
from seqgpt_lab.studies.display import Prose, plain, short
from seqgpt_lab.studies.workloads import Task, Workload

Progress = Callable[[str, int, int], None]
"""Called with the workload, how many of its turns are done and how many there are."""
_WARM_UP = 4  # tasks: enough to start threads and to touch the weights


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant on one workload. seconds: of each round, which all contestants share; documents: prompts a round.

    same_answers: share of answers that are token for token the first contestant's. passes: of the model, for a request on average;
    0 where an engine does not tell. seconds_to_first: the prompt's pass; 0 likewise.
    """

    workload: str
    contestant: str
    batch: int
    prompt_tokens: int
    documents: int
    answer_tokens: float
    same_answers: float
    passes: float
    seconds_to_first: float
    seconds: tuple[float, ...]


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
    progress: Progress | None = None,
) -> Benchmark:
    """Every contestant on every workload. dtype: of this engine and of transformers.

    record: a JSON file that is written after each workload, and from which workloads that are whole in it are taken over, where model,
    machine, contestants and rounds are the same. Raises OptionError for nothing to run or a record of something else.
    """
    if not workloads or not contestants:
        raise OptionError(f"{len(workloads)} workloads and {len(contestants)} contestants; at least one of each is needed")
    machine = describe_machine(model, dtype)
    found = list(_recorded(record, machine, workloads, contestants))
    done = {result.workload for result in found}
    waiting = [workload for workload in workloads if workload.name not in done]
    if waiting:
        with started(model, contestants, dtype) as running:
            for workload in waiting:
                found += _measure(workload, running, progress)
                if record:
                    write_json(record, Benchmark(machine, tuple(found)).to_dict())
    return Benchmark(machine, tuple(found))


def _measure(workload: Workload, running: Sequence[Running], progress: Progress | None) -> list[Result]:
    warm_up, *rounds = workload.rounds
    seconds: list[list[float]] = [[] for _ in running]
    answers: list[list[Completion]] = [[] for _ in running]
    turns, done = len(running) * (len(rounds) + 1), 0
    for number, tasks in enumerate((warm_up[:_WARM_UP], *rounds)):
        for place in _order(len(running), number):
            begun = time.perf_counter()
            completions = running[place].run(tasks, workload.batch)
            if number:
                seconds[place].append(time.perf_counter() - begun)
                answers[place] += completions
            done += 1
            if progress:
                progress(workload.name, done, turns)
    lengths = [len(request.prompt_ids) for tasks in rounds for request in running[0].requests(tasks)]
    return [
        _result(workload, one, rounds, mean(lengths), times, mine, answers[0])
        for one, times, mine in zip(running, seconds, answers, strict=True)
    ]


def _order(count: int, turn: int) -> list[int]:
    """Who begins changes from round to round."""
    return [(turn + place) % count for place in range(count)]


def _result(
    workload: Workload,
    running: Running,
    rounds: Sequence[Sequence[Task]],
    prompt_tokens: float,
    seconds: Sequence[float],
    answers: Sequence[Completion],
    wanted: Sequence[Completion],
) -> Result:
    same = [mine.token_ids == theirs.token_ids for mine, theirs in zip(answers, wanted, strict=True)]
    return Result(
        workload=workload.name,
        contestant=running.contestant.name,
        batch=workload.batch,
        prompt_tokens=round(prompt_tokens),
        documents=len(rounds[0]),
        answer_tokens=mean(len(answer.token_ids) for answer in answers),
        same_answers=mean(same),
        passes=mean(answer.timing.passes for answer in answers),
        seconds_to_first=median(answer.timing.prefill for answer in answers),
        seconds=tuple(seconds),
    )


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
        "processor": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "cores": len(os.sched_getaffinity(0)),
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


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _recorded(
    record: Path | None, machine: Mapping[str, Any], workloads: Sequence[Workload], contestants: Sequence[Contestant]
) -> list[Result]:
    """The results in the record for workloads that are wanted, in the order wanted."""
    if record is None or not record.exists():
        return []
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        theirs, results = content["machine"], [Result(**{**row, "seconds": tuple(row["seconds"])}) for row in content["results"]]
    except (ValueError, KeyError, TypeError) as error:
        raise OptionError(f"{record} is not the record of a benchmark ({error!r}); name a new file") from error
    differing = [key for key in machine if theirs.get(key) != machine[key]]
    if differing:
        raise OptionError(f"{record} was made with another {', '.join(differing)}; name a new file")
    names = [contestant.name for contestant in contestants]
    kept = []
    for workload in workloads:
        rows = [result for result in results if result.workload == workload.name]
        whole = [row.contestant for row in rows] == names and all(len(row.seconds) == len(workload.rounds) - 1 for row in rows)
        kept += rows if whole else []
    return kept
