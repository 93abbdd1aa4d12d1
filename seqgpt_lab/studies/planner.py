"""Predicts time, memory and throughput of a batch on a machine, and which arrangement of its cards suits; measures nothing.

A technique is what it changes: passes an answer takes, ids fed a row and pass, ids the LM head scores, prompt ids already cached.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import pandas

from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.errors import CapacityError, OptionError
from seqgpt_lab.studies.costs import Machine, Pass, Seconds, pass_seconds
from seqgpt_lab.studies.rigs import Rig

SEQGPT_560M = ModelConfig(vocab_size=250880, hidden_size=1024, layers=24, heads=16)
"""The shape of SeqGPT-560M, for plans without its files."""
TECHNIQUES = ("plain", "drafted", "grounded")
TARGETS = ("throughput", "latency", "memory")
# Slots beyond prompt and answer that the engine keeps for guesses that turn out wrong.
DRAFT_SLOTS = 15
# Measured with structural drafts on the bundled documents' gold answers: answers of 46 ids took 5.4 passes with 15 ids drafted.
_DRAFTED_IDS_A_PASS = 46 / 5.4
_GROUNDED_HEAD_IDS = 64


@dataclass(frozen=True, slots=True)
class Workload:
    """A batch and how it is answered. length: prompt ids of each row, padding included; output: ids written, the end not counted.

    passes: through the model for one batch, the prompt's included. fed: ids of the answer a row and pass, guesses included.
    head_ids: vocabulary rows scored, None for all. cached: prompt ids whose keys are there already.
    """

    batch: int
    length: int
    output: int
    passes: int
    fed: int = 1
    head_ids: int | None = None
    cached: int = 0

    @classmethod
    def of(cls, batch: int, length: int, output: int, technique: str = "plain", cached: int = 0) -> Workload:
        """With the passes that a technique takes as a rule. Raises OptionError for counts below 1 and unknown techniques."""
        if min(batch, length, output) < 1 or not 0 <= cached < length:
            raise OptionError(f"batch {batch}, length {length} and output {output} must be at least 1, and cached {cached} below length")
        if technique == "plain":
            return cls(batch, length, output, output + 1, cached=cached)  # the end is a choice of its own
        if technique not in TECHNIQUES:
            raise OptionError(f"unknown technique {technique!r}; choose {', '.join(TECHNIQUES)}")
        passes = math.ceil(output / _DRAFTED_IDS_A_PASS)
        head_ids = _GROUNDED_HEAD_IDS if technique == "grounded" else None
        return cls(batch, length, output, passes, 1 + DRAFT_SLOTS, head_ids, cached)


@dataclass(frozen=True, slots=True)
class Arrangement:
    """ranks that share the weights, times replicas that each hold them all."""

    ranks: int = 1
    replicas: int = 1

    @property
    def workers(self) -> int:
        return self.ranks * self.replicas

    def __str__(self) -> str:
        parts = [f"{self.ranks} ranks" if self.ranks > 1 else "", f"{self.replicas} replicas" if self.replicas > 1 else ""]
        return " x ".join(filter(None, parts)) or "one process"


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one worker: a card, or a process on a CPU. activations: the largest of a pass at a time, the bias and logits included."""

    runtime: float
    weights: float
    cache: float
    activations: float

    @property
    def total(self) -> float:
        return self.runtime + self.weights + self.cache + self.activations


@dataclass(frozen=True, slots=True)
class Plan:
    """What to expect. prompt, writing: seconds of the first pass and of all later ones; memory: of one worker."""

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
            **{name: getattr(self.workload, name) for name in ("batch", "length", "output", "passes", "fed", "cached")},
            "seconds": self.seconds,
            "documents_a_second": self.documents_a_second,
            "limit": self.limit,
            **{f"{phase}_seconds": {"total": parts.total, **_parts(parts)} for phase, parts in phases.items()},
            "memory_bytes": {"total": self.memory.total, **_parts(self.memory)},
            "estimated_figures": self.machine.rig.uncertain,
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
    first, later = _passes(workload)
    # Workers on one CPU share its bandwidth and power; each on a card of its own keeps all of it.
    slower = 1 / rig.share_of_speed if arrangement.workers > 1 else 1.0
    prompt = pass_seconds(machine, first).times(slower)
    writing = pass_seconds(machine, later).times((workload.passes - 1) * slower)
    found = Plan(machine, workload, arrangement, prompt, writing, memory(machine, workload))
    if check and found.memory.total > room(found):
        raise CapacityError(_too_large(found))
    return found


def _passes(workload: Workload) -> tuple[Pass, Pass]:
    """The prompt's pass, and a later one of middling length."""
    batch, guesses = workload.batch, workload.fed - 1
    new, asked = workload.length - workload.cached + guesses, batch * workload.fed
    first = Pass(batch, new, workload.length + guesses, asked, workload.head_ids)
    middle = workload.length + workload.output // 2 + workload.fed
    return first, Pass(batch, workload.fed, middle, asked, workload.head_ids)


def memory(machine: Machine, workload: Workload) -> Memory:
    """What one worker needs at its peak, which is the prompt's pass."""
    config, item = machine.config, machine.item_bytes
    slots = workload.length + workload.output + DRAFT_SLOTS
    # A CPU gives memory when it is written to: slots that no answer reaches cost nothing there.
    used = slots if machine.rig.kind == "cuda" else workload.length + workload.output
    tokens = workload.batch * (workload.length - workload.cached)
    ids = min(workload.head_ids or machine.vocabulary, machine.vocabulary)
    bias = machine.heads * (workload.length - workload.cached) * workload.length * (workload.batch if workload.cached else 1)
    inside = tokens * config.hidden_size * (3 + 8 / machine.ranks) * item  # hidden, its norm, the residual; the MLP before and after GELU
    peak = max(10 * bias, inside + item * bias, workload.batch * ids * (item + 4))
    # On a CPU in bf16 the LM head lies there twice, see Bloom.pack.
    copied = machine.vocabulary * config.hidden_size * item if (machine.rig.kind, machine.dtype) == ("cpu", "bf16") else 0
    return Memory(machine.rig.runtime_bytes, machine.weight_bytes + copied, workload.batch * used * machine.token_bytes(), peak)


def room(found: Plan) -> float:
    """Bytes that one worker may take: a card, or its share of the machine; 5% are left to others."""
    rig, workers = found.machine.rig, found.arrangement.workers
    return 0.95 * (rig.memory_bytes if rig.kind == "cuda" else rig.memory_bytes / workers)


def _too_large(found: Plan) -> str:
    """By how much it does not fit, and what would: a smaller batch, then a shorter text, then another dtype or more ranks."""
    needed, has, workload = found.memory.total, room(found), found.workload
    over = (
        f"{found.arrangement} on {found.machine.rig.name} needs {needed / 1e9:.1f} GB a worker and has {has / 1e9:.1f}: "
        f"{(needed - has) / 1e9:.1f} GB too much"
    )
    batch = _largest(lambda size: memory(found.machine, replace(workload, batch=size)).total <= has, workload.batch)
    if batch:
        return f"{over}; a batch of {batch} instead of {workload.batch} fits"
    length = _largest(
        lambda size: memory(found.machine, replace(workload, batch=1, length=size, cached=min(workload.cached, size - 1))).total <= has,
        workload.length,
    )
    if length:
        return f"{over}; one text of {length} tokens at a time fits"
    return f"{over}; the weights alone take {found.memory.weights / 1e9:.1f} GB: use a smaller dtype, more ranks, or another machine"


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
    every = [plan(rig, config, workload, dtype=dtype, arrangement=one, check=False) for one in arrangements(rig, config)]
    fitting = [found for found in every if found.memory.total <= room(found)]
    if not fitting:
        raise CapacityError(_too_large(every[0]))
    return fitting


def best(plans: list[Plan], target: str) -> tuple[Plan, str]:
    """The plan that serves a target, and why. Raises OptionError for unknown targets."""
    if target not in TARGETS:
        raise OptionError(f"unknown target {target!r}; choose {', '.join(TARGETS)}")
    # Of equals the simplest, which comes first.
    if target == "throughput":
        chosen = max(plans, key=lambda one: one.documents_a_second)
    else:
        chosen = min(plans, key=lambda one: one.seconds if target == "latency" else one.memory.total)
    return chosen, _why(chosen, plans, target)


def _why(chosen: Plan, plans: list[Plan], target: str) -> str:
    figures = {
        "throughput": lambda one: f"{one.documents_a_second:.3g} documents/s",
        "latency": lambda one: f"{one.seconds * 1e3:.3g} ms a batch",
        "memory": lambda one: f"{one.memory.total / 1e9:.3g} GB a worker",
    }
    others = ", ".join(f"{one.arrangement} {figures[target](one)}" for one in plans if one is not chosen)
    text = f"{chosen.arrangement}: {figures[target](chosen)}{f' ({others})' if others else ''}."
    shared = next((one for one in plans if one.arrangement.ranks > 1), None)
    alone = next((one for one in plans if one.arrangement.workers == 1), None)
    if shared and alone and target != "memory":
        parts, whole = shared.prompt + shared.writing, alone.prompt + alone.writing
        saved = whole.total - (parts.total - parts.sums)
        text += f" Ranks save {saved * 1e3:.3g} ms of work and spend {parts.sums * 1e3:.3g} ms on sums."
    return text


def table(plans: list[Plan]) -> pandas.DataFrame:
    """One row a plan: arrangement, batch, length, output, passes, milliseconds of both phases and in all, documents a second, GB, limit."""
    return pandas.DataFrame(
        {
            "rig": one.machine.rig.name,
            "dtype": one.machine.dtype,
            "arrangement": str(one.arrangement),
            "batch": one.workload.batch,
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
