"""Predicts what memory one worker comes to hold for a batch: weights, cache, texts kept, and the largest pass; measures nothing."""

from __future__ import annotations

from dataclasses import dataclass

from seqgpt_lab.engine.choose import STATES_AT_ONCE
from seqgpt_lab.engine.decode import PROMPT_TOKENS_A_PASS
from seqgpt_lab.engine.model import IDS_AT_ONCE
from seqgpt_lab.engine.packing import BLOCK
from seqgpt_lab.studies.costs import Machine
from seqgpt_lab.studies.passes import Workload

# Of a distance between a token and a slot while the bias is made: as an integer, as a float, and masked.
_DISTANCE_BYTES = 17


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one worker: a card, or a process on a CPU. cache: keys and values, of which a card has slots for every row of the batch;
    kept: the most that is kept of texts for later requests; activations: the largest of a pass at a time, the bias and logits included."""

    runtime: float
    weights: float
    cache: float
    kept: float
    activations: float

    @property
    def total(self) -> float:
        return self.runtime + self.weights + self.cache + self.kept + self.activations


def memory(machine: Machine, workload: Workload) -> Memory:
    """What one worker needs at its peak, once it has kept as much of texts as it may.

    The cache has slots for prompts and the longest answers of the whole batch; on a CPU those that are written to take memory.
    """
    on_cpu, token = machine.rig.kind == "cpu", machine.token_bytes()
    cache = (workload.at_work * (workload.length + workload.output) if on_cpu else workload.batch * workload.slots) * token
    # A text is copied to be kept before older ones go.
    kept = workload.kept_bytes + workload.length * token if workload.kept_bytes else 0.0
    # On a CPU in bf16 the LM head lies there twice, see Bloom.pack.
    twice = machine.vocabulary * machine.config.hidden_size * machine.item_bytes if on_cpu and machine.dtype == "bf16" else 0
    return Memory(machine.rig.runtime_bytes, machine.weight_bytes + twice, cache, kept, _activations(machine, workload))


def _activations(machine: Machine, work: Workload) -> float:
    """The largest of three moments of a full pass: the bias in the making, the MLP of a layer beside the bias, the logits in the end.

    Never less for a larger batch, nor for a longer text by itself, so that what fits can be searched for.
    """
    hidden, item, new = machine.config.hidden_size, machine.item_bytes, work.length - work.cached
    rows = work.at_work
    asked = rows * (1 + work.guesses)
    tokens = min(rows * new, max(PROMPT_TOKENS_A_PASS, new)) + asked
    distances = float(new * (new + BLOCK) / 2 if new > BLOCK else new * new)  # of a prompt by itself, in blocks
    if rows > 1:  # prompts side by side are one rectangle
        distances = max(distances, float(min(new, PROMPT_TOKENS_A_PASS // 2) ** 2))
    if work.cached:
        distances = min(rows * new, max(PROMPT_TOKENS_A_PASS, new)) * work.length
    inside = tokens * hidden * (3 + 8 / machine.ranks) * item  # hidden, its norm, the residual; the MLP before and after GELU
    ids = min(work.head_ids or machine.vocabulary, machine.vocabulary)
    making = distances * (_DISTANCE_BYTES + machine.heads * (4 + item))
    at_once = ids if work.head_ids else min(ids, IDS_AT_ONCE[machine.rig.kind])
    return float(max(making, inside + distances * machine.heads * item, min(asked, STATES_AT_ONCE) * at_once * item))
