"""Predicts time, memory and throughput of a batch on a machine, and which arrangement of its cards suits; measures nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas

from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.errors import CapacityError, OptionError
from seqgpt_lab.studies.costs import Machine, Seconds, pass_seconds
from seqgpt_lab.studies.display import short
from seqgpt_lab.studies.passes import Pass, Workload, about_budget, passes_of
from seqgpt_lab.studies.plan_memory import Memory, memory
from seqgpt_lab.studies.rigs import Rig

SEQGPT_560M = ModelConfig(vocab_size=250880, hidden_size=1024, layers=24, heads=16)
"""The shape of SeqGPT-560M, for plans without its files."""
TARGETS = ("throughput", "latency", "memory")
_TOLD = ("batch", "length", "output", "passes", "drafted", "cached", "max_new_tokens", "token_budget", "at_work")


@dataclass(frozen=True, slots=True)
class Arrangement:
    """How many processes share the weights (ranks), and how many copies of them there are (replicas)."""

    ranks: int = 1
    replicas: int = 1

    @property
    def workers(self) -> int:
        return self.ranks * self.replicas

    def __str__(self) -> str:
        """For people: `one process`, `2 ranks`, `2 replicas`, `2 replicas of 2 ranks`."""
        parts = [f"{self.replicas} replicas" if self.replicas > 1 else "", f"{self.ranks} ranks" if self.ranks > 1 else ""]
        return " of ".join(filter(None, parts)) or "one process"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to expect. prompt, writing: seconds of the passes that admit prompts and of those that only write; memory: of one worker."""

    machine: Machine
    workload: Workload
    arrangement: Arrangement
    prompt: Seconds
    writing: Seconds
    memory: Memory

    @property
    def seconds(self) -> float:
        """From a batch's start to its last id."""
        return self.prompt.total + self.writing.total

    @property
    def documents_a_second(self) -> float:
        """Of all replicas together, each with batches of this kind."""
        return self.workload.batch * self.arrangement.replicas / self.seconds

    @property
    def held(self) -> float:
        """Bytes that count against a target of least memory: of a card, or of all workers where they share one machine's memory."""
        return self.memory.total * (1 if self.machine.rig.kind == "cuda" else self.arrangement.workers)

    @property
    def limit(self) -> str:
        """The part of the work that takes longest."""
        return (self.prompt + self.writing).largest

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: seconds of each phase by part, memory by part, throughput, what limits, which figures are estimates."""
        phases = {"prompt": self.prompt, "writing": self.writing}
        return {
            "rig": self.machine.rig.name,
            "dtype": self.machine.dtype,
            "arrangement": str(self.arrangement),
            **{name: getattr(self.workload, name) for name in _TOLD},
            "seconds": self.seconds,
            "documents_a_second": self.documents_a_second,
            "limit": self.limit,
            **{f"{phase}_seconds": {"total": parts.total, **_parts(parts)} for phase, parts in phases.items()},
            "memory_bytes": {"total": self.memory.total, **_parts(self.memory)},
            "estimated_figures": self.machine.rig.uncertain,
            "counting": about_counting(self.machine.rig),
        }


def plan(
    rig: Rig, config: ModelConfig, workload: Workload, *, dtype: str = "fp16", arrangement: Arrangement = Arrangement(), check: bool = True
) -> Plan:
    """The prediction. Raises OptionError for more workers than a rig has cards, or heads that ranks cannot share.

    Raises CapacityError, unless `check` is off, for what does not fit, saying by how much and what would.
    """
    if rig.kind == "cuda" and arrangement.workers > rig.devices:
        raise OptionError(f"{arrangement} need {arrangement.workers} cards, {rig.name} has {rig.devices}; lower ranks or replicas")
    machine = Machine(rig, config, dtype, arrangement.ranks)
    needed = memory(machine, workload)
    # Before any pass is counted: of what never fits there may be more than can ever be.
    if check and needed.total > _room(rig, arrangement):
        raise CapacityError(_too_large(machine, workload, arrangement, needed))
    # Workers on one CPU share its bandwidth and power; each on a card of its own keeps all of it.
    slower = 1 / rig.share_of_speed if arrangement.workers > 1 else 1.0
    prompt, writing = (_together(machine, some).times(slower) for some in passes_of(workload))
    return Plan(machine, workload, arrangement, prompt, writing, needed)


def _together(machine: Machine, passes: Sequence[Pass]) -> Seconds:
    return sum((pass_seconds(machine, one) for one in passes), Seconds())


def _room(rig: Rig, arrangement: Arrangement) -> float:
    """Bytes that one worker may take: a card, or its share of the machine; 5% are left to others."""
    return 0.95 * (rig.memory_bytes if rig.kind == "cuda" else rig.memory_bytes / arrangement.workers)


def _too_large(machine: Machine, workload: Workload, arrangement: Arrangement, needed: Memory) -> str:
    """By how much it does not fit, and what would: a smaller batch, a shorter text, a shorter answer, then another dtype or more ranks."""
    has = _room(machine.rig, arrangement)
    over = (
        f"{arrangement} on {machine.rig.name} needs {needed.total / 1e9:.1f} GB a worker and has {has / 1e9:.1f}: "
        f"{(needed.total - has) / 1e9:.1f} GB too much"
    )
    batch = _largest(lambda size: memory(machine, replace(workload, batch=size)).total <= has, workload.batch)
    if batch:
        waiting = about_budget(replace(workload, batch=batch))
        return f"{over}; a batch of {batch} instead of {workload.batch} fits{f'. {waiting}' if waiting else ''}"
    length = _largest(
        lambda size: memory(machine, replace(workload, batch=1, length=size, cached=min(workload.cached, size - 1))).total <= has,
        workload.length,
    )
    if length:
        return f"{over}; one text of {length} tokens at a time fits"
    shortest = replace(workload, batch=1, length=1, cached=0)
    answer = _largest(
        lambda size: memory(machine, replace(shortest, output=min(workload.output, size), max_new_tokens=size)).total <= has,
        max(workload.output, workload.max_new_tokens),
    )
    if answer:
        return f"{over}; room for an answer of {answer} tokens (output and max_new_tokens) to one text of a single token fits"
    return f"{over}; the weights alone take {needed.weights / 1e9:.1f} GB: use a smaller dtype, more ranks, or another machine"


def _largest(fits: Any, most: int) -> int:
    """The largest number in [1, most] that fits, 0 for none; what fits once fits for every smaller number."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def arrangements(rig: Rig, config: ModelConfig) -> list[Arrangement]:
    """One process, ranks on all cards, replicas on all cards; on a CPU, two stand for several."""
    several = rig.devices if rig.kind == "cuda" else 2
    if several == 1:
        return [Arrangement()]
    shared = [Arrangement(ranks=several)] if config.heads % several == 0 else []
    return [Arrangement(), *shared, Arrangement(replicas=several)]


def compare(rig: Rig, config: ModelConfig, workload: Workload, dtype: str) -> list[Plan]:
    """A plan for each arrangement that fits. Raises CapacityError, for one process, when none does."""
    every = arrangements(rig, config)
    needed = {one: memory(Machine(rig, config, dtype, one.ranks), workload).total for one in every}
    # Where none fits, the simplest says by how much.
    fitting = [one for one in every if needed[one] <= _room(rig, one)] or every[:1]
    return [plan(rig, config, workload, dtype=dtype, arrangement=one) for one in fitting]


def best(plans: list[Plan], target: str) -> tuple[Plan, str]:
    """The plan that serves a target, and why. Raises OptionError for unknown targets."""
    if target not in TARGETS:
        raise OptionError(f"unknown target {target!r}; choose {', '.join(TARGETS)}")
    # Of equals the simplest, which comes first.
    if target == "throughput":
        chosen = max(plans, key=lambda one: one.documents_a_second)
    else:
        chosen = min(plans, key=lambda one: one.seconds if target == "latency" else one.held)
    return chosen, _why(chosen, plans, target)


def _why(chosen: Plan, plans: list[Plan], target: str) -> str:
    figures = {
        "throughput": lambda one: f"{short(one.documents_a_second)} documents/s",
        "latency": lambda one: f"{short(one.seconds * 1e3)} ms a batch",
        "memory": lambda one: f"{short(one.held / 1e9)} GB {'a worker' if one.machine.rig.kind == 'cuda' else 'in all'}",
    }
    others = ", ".join(f"{one.arrangement} {figures[target](one)}" for one in plans if one is not chosen)
    text = f"{chosen.arrangement}: {figures[target](chosen)}{f' ({others})' if others else ''}."
    shared = next((one for one in plans if one.arrangement.ranks > 1), None)
    alone = next((one for one in plans if one.arrangement.workers == 1), None)
    return text + _sharing(shared, alone) if shared and alone and target != "memory" else text


def _sharing(shared: Plan, alone: Plan) -> str:
    """What ranks save of the work, what they spend, and what of it passes while a card waits for operations to be started."""
    parts, whole = shared.prompt + shared.writing, alone.prompt + alone.writing
    saved = (whole.total - whole.starts) - (parts.total - parts.starts - parts.sums)
    work = f"save {short(saved * 1e3)} ms of work" if saved >= 0 else f"take {short(-saved * 1e3)} ms more for the work"
    text = f" Ranks {work} and spend {short(parts.sums * 1e3)} ms on sums"
    waited = whole.starts - parts.starts
    if not alone.machine.rig.overlap or abs(waited) < 1e-5:
        return f"{text}."
    if waited > 0:
        return f"{text}, {short(waited * 1e3)} ms of it while the card would wait for operations to be started."
    return f"{text}; {short(-waited * 1e3)} ms of what is saved the card waits for operations to be started."


def about_counting(rig: Rig) -> str:
    """What a plan does not count, in sentences: of the engine's work on a CPU, some that it is spared and some that it does besides."""
    text = "Each prompt is counted with a text of its own."
    if rig.kind == "cuda":
        return text
    return (
        f"{text} Not counted: rows about one text attend to it once for all of them, which takes less time, and in bf16 a pass computes "
        "a few tokens more than it is asked, up to one of few sizes."
    )


def table(plans: list[Plan]) -> pandas.DataFrame:
    """One row a plan: arrangement, batch, rows at work at a time, length, output, passes, milliseconds of both phases and in all, documents
    a second, GB, limit."""
    return pandas.DataFrame(
        {
            "rig": one.machine.rig.name,
            "dtype": one.machine.dtype,
            "arrangement": str(one.arrangement),
            "batch": one.workload.batch,
            "at_work": one.workload.at_work,
            "length": one.workload.length,
            "output": one.workload.output,
            "passes": one.workload.passes,
            "prompt_ms": one.prompt.total * 1e3,
            "writing_ms": one.writing.total * 1e3,
            "batch_ms": one.seconds * 1e3,
            "documents_a_second": one.documents_a_second,
            "GB_a_worker": one.memory.total / 1e9,
            "limit": one.limit,
        }
        for one in plans
    )


def _parts(parts: Any) -> dict[str, float]:
    return {name: float(getattr(parts, name)) for name in parts.__slots__}
