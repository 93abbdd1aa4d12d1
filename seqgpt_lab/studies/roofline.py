"""What this machine can read and multiply a second, measured, and how far each phase of decoding is from that. Knows no text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import pandas
import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom, fresh_geometry
from seqgpt_lab.studies.benchmark import Benchmark
from seqgpt_lab.studies.display import Prose
from seqgpt_lab.studies.speeds import best_of, scored

_READ_BYTES = 1 << 28  # many times any cache
# Rows, inner, columns of the products timed; a card is done with a CPU's sooner than it is told of the next.
_PRODUCTS = {"cpu": ((2048, 2048, 2048), (1024, 1024, 4096)), "cuda": ((8192, 4096, 8192),)}


@dataclass(frozen=True, slots=True)
class Roofline:
    """bandwidth: bytes read a second. flops: operations a second in the used dtype, a multiplication and an addition being two."""

    bandwidth: float
    flops: float

    def floor(self, bytes_read: float, operations: float) -> float:
        """Seconds that no implementation on this machine can go below: reading and computing at once, each at full speed."""
        return max(bytes_read / self.bandwidth, operations / self.flops)


def measure_roofline(dtype: torch.dtype, device: torch.device, repeats: int = 5) -> Roofline:
    """The best of some repeats: noise only ever slows down. Takes a second or two and a gigabyte at most.

    Reading is measured as a matrix times a vector, as decoding does it, and as a plain sum of numbers; the faster counts.
    """
    matrix = torch.ones(_READ_BYTES // dtype.itemsize // 4096, 4096, dtype=dtype, device=device)
    vector = torch.ones(1, 4096, dtype=dtype, device=device)
    whole = matrix.view(torch.int64) if device.type == "cpu" else matrix
    reading = [lambda: torch.nn.functional.linear(vector, matrix), lambda: whole.sum()]
    seconds = min(best_of(work, device, repeats, elapsed=True) for work in reading)
    flops = 0.0
    for rows, inner, columns in _PRODUCTS[device.type]:
        left, right = torch.randn(rows, inner, device=device).to(dtype), torch.randn(columns, inner, device=device).to(dtype)
        product = best_of(lambda left=left, right=right: torch.nn.functional.linear(left, right), device, repeats, elapsed=True)  # type: ignore[misc]
        flops = max(flops, 2 * rows * inner * columns / product)
    return Roofline(_READ_BYTES / seconds, flops)


def measure_phases(
    engine: Engine, *, batches: Sequence[int], prompt: int, drafted: Sequence[int] = (1, 8, 16), repeats: int = 5
) -> tuple[Roofline, pandas.DataFrame]:
    """The machine's speeds, measured before and after, and a row a phase and batch: the prompt's pass, decode passes over so many
    positions a row, the LM head for a position a row.

    Columns: phase, batch, positions (a row), seconds (the best of `repeats`), floor (of the roofline), times_floor.
    Attention and the cache are left out of the floor, which is therefore a little too low: the distance is not flattered.
    """
    model, config = engine.model, engine.config
    weights = sum(parameter.nbytes for parameter in model.h.parameters())
    linear = sum(parameter.numel() for parameter in model.h.parameters() if parameter.dim() == 2)
    head = model.word_embeddings.weight
    before = measure_roofline(engine.dtype, engine.device, repeats)
    timed: list[tuple[str, int, int, float, float, float]] = []  # phase, batch, positions, seconds, bytes read, operations
    with torch.inference_mode():
        for batch in batches:
            phases: list[tuple[str, int, Callable[[], object]]] = [("prompt", prompt, _prompt_pass(model, batch, prompt))]
            phases += [("decode", count, _decode_pass(model, config, batch, prompt, count)) for count in drafted]
            for phase, positions, work in phases:
                seconds = best_of(work, engine.device, repeats, elapsed=True)
                timed.append((phase, batch, positions, seconds, weights, 2 * linear * batch * positions))
            hidden = torch.ones(batch, config.hidden_size, dtype=head.dtype, device=engine.device)
            seconds = best_of(lambda hidden=hidden: scored(model, hidden), engine.device, repeats, elapsed=True)  # type: ignore[misc]
            timed.append(("head", batch, 1, seconds, head.nbytes, 2 * head.numel() * batch))
    after = measure_roofline(engine.dtype, engine.device, repeats)
    roofline = Roofline(max(before.bandwidth, after.bandwidth), max(before.flops, after.flops))
    rows = [(*row[:4], roofline.floor(*row[4:]), row[3] / roofline.floor(*row[4:])) for row in timed]
    return roofline, pandas.DataFrame(rows, columns=["phase", "batch", "positions", "seconds", "floor", "times_floor"])


def distances(engine: Engine, roofline: Roofline, found: Benchmark) -> pandas.DataFrame:
    """How far whole runs are from the floor of the passes they made: workload, contestant, seconds (a round), floor, times_floor.

    A row a result of this engine. Of each pass the weights are read once and each position is computed, of prompts what was not kept from
    an earlier request; the whole LM head is read each pass, but for grounded answers, which need little of it. Prompts are taken to be
    computed together, a batch at a time, and nothing beside them.
    """
    layers = engine.model.h
    weights = sum(parameter.nbytes for parameter in layers.parameters())
    linear = sum(parameter.numel() for parameter in layers.parameters() if parameter.dim() == 2)
    head = engine.model.word_embeddings.weight
    rows = []
    for result in [result for result in found.results if result.passes]:
        rows_at_once = min(result.batch, result.documents)
        batches, steps = result.documents / rows_at_once, max(0.0, result.passes - 1)
        written = result.answer_tokens / steps if steps else 0.0
        fed = result.prompt_tokens - result.reused_tokens
        floor = roofline.floor(weights, 2 * linear * rows_at_once * fed)
        floor += steps * roofline.floor(weights, 2 * linear * rows_at_once * written)
        if "grounded" not in result.contestant:
            floor += (steps + 1) * roofline.floor(head.nbytes, 2 * head.numel() * rows_at_once)
        seconds = median(result.seconds)
        rows.append((result.workload, result.contestant, seconds, batches * floor, seconds / (batches * floor)))
    return pandas.DataFrame(rows, columns=["workload", "contestant", "seconds", "floor", "times_floor"])


def about_roofline(roofline: Roofline, phases: pandas.DataFrame) -> Prose:
    """The machine's two speeds, and which phases are how far from their floor, in sentences."""
    text = f"This machine reads {roofline.bandwidth / 1e9:.3g} GB/s and computes {roofline.flops / 1e12:.3g} TFLOP/s."
    for phase, rows in phases.groupby("phase", sort=False):
        text += f" The {phase}: {rows['times_floor'].min():.2f} to {rows['times_floor'].max():.2f} times its floor."
    return Prose(text)


def _prompt_pass(model: Bloom, batch: int, prompt: int) -> Callable[[], Tensor]:
    ids = torch.zeros(batch, prompt, dtype=torch.int64, device=model.slopes.device)
    return lambda: model(ids, fresh_geometry(ids))


def _decode_pass(model: Bloom, config: ModelConfig, batch: int, filled: int, count: int) -> Callable[[], Tensor]:
    """`count` new positions a row after `filled` ones."""
    device, slots = model.slopes.device, filled + count
    weight = model.word_embeddings.weight
    cache = KVCache(config.layers, batch, slots, len(model.slopes), config.head_dim, dtype=weight.dtype, device=device)
    ids = torch.zeros(batch, count, dtype=torch.int64, device=device)
    geometry = Geometry(torch.full((batch,), filled, device=device), count, slots)
    return lambda: model(ids, geometry, cache)
