"""What a pass through the model costs on a machine: bytes over bandwidth, FLOP over rate, sums over links, starts of operations.

Counts are of this engine's model (`engine/model.py`): four products, two reductions and one attention a layer. Knows no measurements.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import torch

from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.studies.rigs import Rig

ITEM_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
# Tensor operations that the engine dispatches, counted by a test: of a layer, and of a pass beside its layers.
OPS_A_LAYER = 30
OPS_A_PASS = 38
# Hidden vectors that a layer reads or writes beside its products: two LayerNorms, two sums, heads put together, keys and values stored.
_VECTORS_MOVED = 16
# Bytes an element of the ALiBi bias costs while it is built: product, mask and rounding, each written and read again.
_BIAS_BYTES = 18


@dataclass(frozen=True, slots=True)
class Pass:
    """Work of one pass. rows: sequences; fed: new tokens of each; slots: keys that each sees, its new ones included.

    asked: hidden states that the LM head scores, in all; head_ids: vocabulary rows it scores them on, None for all.
    """

    rows: int
    fed: int
    slots: int
    asked: int
    head_ids: int | None = None


@dataclass(frozen=True, slots=True)
class Seconds:
    """Where the time of a pass goes. weights: reading them; products: multiplying; attention; elementwise: all that only moves or maps
    numbers, the ALiBi bias included; head: the LM head and the choice; sums: over ranks; starts: of operations, and the loop's own work."""

    weights: float = 0.0
    products: float = 0.0
    attention: float = 0.0
    elementwise: float = 0.0
    head: float = 0.0
    sums: float = 0.0
    starts: float = 0.0

    @property
    def total(self) -> float:
        return sum(float(getattr(self, field.name)) for field in fields(self))

    @property
    def largest(self) -> str:
        """Name of the part that takes longest: the resource that limits."""
        return max((field.name for field in fields(self)), key=lambda name: float(getattr(self, name)))

    def __add__(self, other: Seconds) -> Seconds:
        return Seconds(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def times(self, factor: float) -> Seconds:
        """Every part that often, or that much longer."""
        return Seconds(*(getattr(self, field.name) * factor for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Machine:
    """One rank of a model on a rig: shape, dtype (fp16, bf16, fp32) and the number of ranks that share the weights."""

    rig: Rig
    config: ModelConfig
    dtype: str
    ranks: int = 1

    @property
    def heads(self) -> int:
        return len(Shard(0, self.ranks).heads(self.config.heads))

    @property
    def item_bytes(self) -> int:
        return ITEM_BYTES[self.dtype]

    @property
    def weight_bytes(self) -> int:
        """Of the parameters a rank holds; the first holds most."""
        return _parameters(self.config, self.ranks) * self.item_bytes

    @property
    def layer_bytes(self) -> float:
        """Of the four products of one layer on a rank."""
        return 12 * self.config.hidden_size**2 * self.item_bytes / self.ranks

    @property
    def vocabulary(self) -> int:
        """Rows of the LM head that a rank scores."""
        return len(Shard(0, self.ranks).block(self.config.vocab_size))

    def token_bytes(self) -> float:
        """Of one token's keys and values in all layers, on a rank."""
        return 2 * self.config.layers * self.heads * self.config.head_dim * self.item_bytes


@lru_cache
def _parameters(config: ModelConfig, ranks: int) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Bloom(config, Shard(0, ranks)).parameters())


def pass_seconds(machine: Machine, work: Pass) -> Seconds:
    """Time of one pass by what it is spent on; a rig whose reading and computing overlap pays the larger of the two, as a whole."""
    rig, config = machine.rig, machine.config
    tokens = work.rows * work.fed
    read = config.layers * machine.layer_bytes / _bandwidth(machine)
    multiply = 2 * tokens * config.layers * machine.layer_bytes / machine.item_bytes / rig.flops[machine.dtype]
    if rig.overlap:
        read, multiply = (read, 0.0) if read > multiply else (0.0, multiply)
    parts = Seconds(
        weights=read,
        products=multiply,
        attention=config.layers * _attention(machine, work),
        elementwise=_elementwise(machine, work),
        head=_head(machine, work),
        sums=_sums(machine, tokens),
    )
    starts = rig.op_seconds * (OPS_A_LAYER * config.layers + OPS_A_PASS)
    if rig.overlap:  # a card works while the next operations are started; what they take longer than its work is waited for
        starts = max(0.0, starts - parts.total)
    return parts + Seconds(starts=starts + rig.pass_seconds)


def _bandwidth(machine: Machine) -> float:
    """Of the weights that every pass reads: from the last cache where the layers fit into it."""
    fits = machine.config.layers * machine.layer_bytes <= machine.rig.cache_bytes
    return machine.rig.cache_bandwidth if fits else machine.rig.bandwidth


def _attention(machine: Machine, work: Pass) -> float:
    """Of one layer: reading keys and values, and both products; a lone query a row takes another path through the library."""
    rig, width = machine.rig, machine.heads * machine.config.head_dim
    stored = 2 * work.rows * work.slots * width * machine.item_bytes
    if work.fed == 1:
        return stored / rig.single_query_bandwidth[machine.dtype]
    read = stored / rig.bandwidth
    multiply = 4 * work.rows * work.fed * work.slots * width / rig.attention_flops[machine.dtype]
    return max(read, multiply) if rig.overlap else read + multiply


def _elementwise(machine: Machine, work: Pass) -> float:
    rig, config = machine.rig, machine.config
    tokens = work.rows * work.fed
    moved = tokens * _VECTORS_MOVED * config.hidden_size * machine.item_bytes / rig.elementwise_bandwidth
    mapped = tokens * 4 * config.hidden_size / machine.ranks / rig.map_rate[machine.dtype]
    bias = work.rows * machine.heads * work.fed * work.slots * _BIAS_BYTES / rig.elementwise_bandwidth
    return config.layers * (moved + mapped) + bias


def _head(machine: Machine, work: Pass) -> float:
    """Scoring, and the softmax over what was scored, in float32."""
    rig = machine.rig
    ids = machine.vocabulary if work.head_ids is None else min(work.head_ids, machine.vocabulary)
    read = ids * machine.config.hidden_size * machine.item_bytes / rig.bandwidth
    multiply = 2 * work.asked * ids * machine.config.hidden_size / rig.flops[machine.dtype]
    choose = work.asked * ids / rig.map_rate["fp32"]
    return (max(read, multiply) if rig.overlap else read + multiply) + choose


def _sums(machine: Machine, tokens: int) -> float:
    """Two reductions a layer, one after the embedding, one to choose; each waits for the other rank and moves a hidden vector a token."""
    if machine.ranks == 1:
        return 0.0
    once = machine.rig.reduce_seconds + tokens * machine.config.hidden_size * machine.item_bytes / machine.rig.link_bandwidth
    return (2 * machine.config.layers + 1) * once + machine.rig.reduce_seconds
