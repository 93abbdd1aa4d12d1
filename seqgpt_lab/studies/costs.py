"""What a pass through the model costs on a machine: bytes over bandwidth, FLOP over rate, sums over links, starts of operations.

Counts are of this engine's model (`engine/model.py`): four products, two reductions and one attention a layer. Knows no measurements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

import torch

from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.studies.passes import Group, Pass
from seqgpt_lab.studies.rigs import Rig

ITEM_BYTES = {"fp16": 2, "bf16": 2, "fp32": 4}
# Tensor operations that the engine dispatches, counted by a test: of a layer, and of a pass beside its layers.
OPS_A_LAYER = 30
OPS_A_PASS = 60
# Of a layer's, those that are within its time, and within attention's, where a rig has these measured.
OPS_TIMED = 17
# Hidden vectors that a layer reads or writes beside its products, by token: two LayerNorms (4), two sums (6), keys and values stored (4),
# heads put together (2); calibration times just these.
VECTORS_MOVED = 16
_STORED_VECTORS = 4
# Of the last layer, the share that is computed for tokens that are asked only: all products after its attention.
_ASKED_ONLY = 9 / 12
# Bytes that the ALiBi bias reads and writes while it is built: of each distance of a slot from a token, and of each head's share of it.
_DISTANCE_BYTES = 40
_BIAS_BYTES = 6


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
    curves = rig.layer_seconds.get(machine.dtype)
    read, multiply = _measured_layers(machine, curves, work) if curves else _products(machine, work)
    parts = Seconds(
        weights=read,
        products=multiply,
        attention=config.layers * sum(_attention(machine, group) for group in work.groups),
        elementwise=_elementwise(machine, work, measured=bool(curves)),
        head=_head(machine, work),
        sums=_sums(machine, work.tokens),
    )
    starts = rig.op_seconds * ((OPS_A_LAYER - (OPS_TIMED if curves else 0)) * config.layers + OPS_A_PASS)
    if rig.overlap:  # a card works while the next operations are started; what they take longer than its work is waited for
        starts = max(0.0, starts - parts.total)
    return parts + Seconds(starts=starts + rig.pass_seconds + rig.row_seconds * work.rows)


def _products(machine: Machine, work: Pass) -> tuple[float, float]:
    """The layers' products, reading and multiplying: by the rig's bandwidth and rate."""
    rig, layers = machine.rig, machine.config.layers
    read = layers * machine.layer_bytes / _bandwidth(machine)
    tokens = work.tokens * (layers - _ASKED_ONLY) + work.asked * _ASKED_ONLY
    multiply = 2 * tokens * machine.layer_bytes / machine.item_bytes / rig.flops[machine.dtype]
    if rig.overlap:
        return (read, 0.0) if read > multiply else (0.0, multiply)
    return read, multiply


def _measured_layers(machine: Machine, curves: Mapping[int, Mapping[int, float]], work: Pass) -> tuple[float, float]:
    """The layers without attention as measured on the rig: of one token, which is reading, and what all tokens take beyond that."""
    layers, width = machine.config.layers, machine.config.hidden_size
    one, many, asked = (_between_widths(curves, width, tokens) / machine.ranks for tokens in (1, work.tokens, work.asked))
    whole = (layers - _ASKED_ONLY) * many + _ASKED_ONLY * asked
    return min(layers * one, whole), max(0.0, whole - layers * one)


def _between_widths(curves: Mapping[int, Mapping[int, float]], width: int, tokens: int) -> float:
    """Seconds of one layer: of the width measured, or what lies between the two nearest, a weight's time on a straight line."""
    a_weight = {measured: interpolate(curve, tokens) / measured**2 for measured, curve in sorted(curves.items())}
    return interpolate(a_weight, min(max(width, min(a_weight)), max(a_weight))) * width**2


def _bandwidth(machine: Machine) -> float:
    """Of the weights that every pass reads: from the last cache where the layers fit into it."""
    fits = machine.config.layers * machine.layer_bytes <= machine.rig.cache_bytes
    return machine.rig.cache_bandwidth if fits else machine.rig.bandwidth


def _attention(machine: Machine, group: Group) -> float:
    """Of one layer: laying out keys and values and asking one query a row, then both products of every further query."""
    rig, width = machine.rig, machine.heads * machine.config.head_dim
    stored = 2 * group.rows * group.slots * width * machine.item_bytes
    read = stored / rig.single_query_bandwidth[machine.dtype]
    multiply = 4 * group.rows * (group.fed - 1) * group.slots * width / rig.attention_flops[machine.dtype]
    return max(read, multiply) if rig.overlap else read + multiply


def _elementwise(machine: Machine, work: Pass, measured: bool) -> float:
    """Moving vectors, GELU and the bias. measured: the layers' time holds all of that but storing keys and values, and the bias."""
    rig, config = machine.rig, machine.config
    vectors, wide = (_STORED_VECTORS, 0) if measured else (VECTORS_MOVED, 4 * config.hidden_size / machine.ranks)
    moved = work.tokens * vectors * config.hidden_size * machine.item_bytes / rig.elementwise_bandwidth
    mapped = work.tokens * wide / rig.map_rate[machine.dtype]
    biased = sum((1 if group.fresh else group.rows) * group.fed * group.slots for group in work.groups)
    bias = biased * (_DISTANCE_BYTES + machine.heads * _BIAS_BYTES) / rig.elementwise_bandwidth
    return config.layers * (moved + mapped) + bias


def _head(machine: Machine, work: Pass) -> float:
    """Scoring, and the choice among what was scored, in float32."""
    rig = machine.rig
    ids = machine.vocabulary if work.head_ids is None else min(work.head_ids, machine.vocabulary)
    head_bytes = ids * machine.config.hidden_size * machine.item_bytes
    read = head_bytes / (rig.cache_bandwidth if head_bytes <= rig.cache_bytes else rig.bandwidth)
    multiply = 2 * work.asked * ids * machine.config.hidden_size / rig.flops[machine.dtype]
    choose = work.asked * ids / rig.choice_rate
    return (max(read, multiply) if rig.overlap else read + multiply) + choose


def _sums(machine: Machine, tokens: int) -> float:
    """Two reductions a layer, one after the embedding, one to choose; each waits for the other ranks and moves a hidden vector a token.

    A rig tells what a sum over two takes. Over more a ring makes ranks - 1 times as many steps, and moves 2 (ranks - 1) / ranks times as
    much over each link (once for two).
    """
    if machine.ranks == 1:
        return 0.0
    wait, share = machine.rig.reduce_seconds * (machine.ranks - 1), 2 * (machine.ranks - 1) / machine.ranks
    moved = share * tokens * machine.config.hidden_size * machine.item_bytes / machine.rig.link_bandwidth
    return (2 * machine.config.layers + 1) * (wait + moved) + wait


def interpolate(points: Mapping[int, float], at: float) -> float:
    """On straight lines through points sorted by place; before the first and after the last, in proportion to that one's value."""
    places = list(points)
    if at >= places[-1]:
        return points[places[-1]] * (at / places[-1] if places[-1] else 1.0)
    if at <= places[0]:
        return points[places[0]]
    right = next(index for index, place in enumerate(places) if place > at)
    low, high = places[right - 1], places[right]
    return points[low] + (points[high] - points[low]) * (at - low) / (high - low)
