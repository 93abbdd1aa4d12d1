"""Times parts of the engine's model on this machine, by dtype: layers, the head, attention, moves, the choice. Knows no whole runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.engine.attention import Geometry, SdpaAttention, alibi_slopes
from seqgpt_lab.engine.config import DTYPES, ModelConfig
from seqgpt_lab.engine.model import IDS_AT_ONCE, Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.studies.costs import VECTORS_MOVED

WIDTH = 1024
_HEADS, _DIM = 16, 64
_ROUNDS = 5
# Layers are timed at these widths of the hidden vectors and numbers of tokens; what lies between is on a straight line.
_WIDTHS = {256: 6, 1024: 8}  # layers: of a small model in the last cache, of a large one in memory
_TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 512, 2048)
_MANY = 128  # tokens from which multiplying hides where the weights lie: a layer is enough, and fewer rounds
_HEAD_ROWS = 1 << 16  # of the head that is timed: larger than any cache
_VOCABULARY = 250880


@dataclass(frozen=True, slots=True)
class _Sizes:
    """How much is timed at once: so much that it takes longer than starting it does.

    cached: rows of a head that the last cache holds. product: hidden vectors that the large head multiplies. rows, slots: of the cache that
    attention looks at. tokens: whose vectors are moved.
    """

    cached: int
    product: int
    rows: int
    slots: int
    tokens: int


_SIZES = {"cpu": _Sizes(1 << 12, 64, 8, 256, 512), "cuda": _Sizes(1 << 16, 2048, 32, 1024, 1 << 14)}


def best_of(work: Callable[[], object], where: torch.device, rounds: int = _ROUNDS, *, elapsed: bool = False) -> float:
    """Seconds of the quickest of several rounds on a device, after a first one that does not count.

    On one thread of a CPU that is processor time, which other programs do not lengthen. elapsed: by the clock there too, as for work
    that waits for something.
    """
    card = where.type == "cuda"
    clock = time.process_time if torch.get_num_threads() == 1 and not card and not elapsed else time.perf_counter

    def finish() -> None:
        work()
        if card:
            torch.cuda.synchronize(where)

    finish()
    times = []
    for _ in range(rounds):
        started = clock()
        finish()
        times.append(clock() - started)
    return min(times)


def drawn(shape: tuple[int, ...], kind: torch.dtype, where: torch.device) -> Tensor:
    """Random numbers, drawn in float32."""
    return torch.randn(shape, device=where).to(kind)


def scored(model: Bloom, hidden: Tensor) -> None:
    """The whole vocabulary scored as the engine does it, block by block, none of which is kept."""
    for _ in model.logit_blocks(hidden):
        pass


@torch.inference_mode()
def speeds_of(dtype: str, where: torch.device) -> dict[str, Any]:
    """Layers, the head, attention and GELU in one dtype, by the engine's own model, laid out as it runs."""
    kind, sizes, apart = DTYPES[dtype], _SIZES[where.type], _read_apart(where)
    figures: dict[str, Any] = {"layer_seconds": {dtype: {}}}
    for width, count in _WIDTHS.items():
        large = width == WIDTH
        model = Bloom(ModelConfig(_HEAD_ROWS if large else sizes.cached, width, count, width // _DIM)).to(where, kind).eval()
        model.pack()
        figures["layer_seconds"][dtype][width] = _layers(model, kind, where)
        one, many = drawn((1, width), kind, where), drawn((sizes.product, width), kind, where)
        reading = best_of(lambda model=model, one=one: scored(model, one), where, 10)  # type: ignore[misc]
        if large:
            multiplying = best_of(lambda model=model, many=many: scored(model, many), where, 3) - apart * reading  # type: ignore[misc]
            figures["flops"] = {dtype: 2 * (sizes.product - apart) * _HEAD_ROWS * width / max(1e-9, multiplying)}
        if dtype in ("fp32", "bf16"):  # memory is memory; the dtype the CPU runs in is measured last and stays
            figures["bandwidth" if large else "cache_bandwidth"] = model.word_embeddings.weight.nbytes / reading
    if where.type != "cpu":
        del figures["layer_seconds"]  # a card reads and multiplies at once, which its two speeds tell well enough
    wide = drawn((sizes.tokens, 4 * WIDTH), kind, where)
    figures["map_rate"] = {dtype: wide.numel() / best_of(lambda: functional.gelu(wide, approximate="tanh"), where)}
    return figures | _attention(dtype, kind, where)


def _read_apart(where: torch.device) -> int:
    """Of some vectors that are multiplied, or some queries, how many are needed to read what they look at: to a CPU the first one is that,
    and what the others take is multiplying. A card reads meanwhile: there two times, alike but for noise, would be subtracted."""
    return 1 if where.type == "cpu" else 0


def _layers(model: Bloom, kind: torch.dtype, where: torch.device) -> dict[int, float]:
    """Seconds of one layer without its attention, by tokens."""

    def blind(_layer: int, query: Tensor, _key: Tensor, _value: Tensor) -> Tensor:
        return query

    found = {}
    for tokens in _TOKENS:
        hidden = drawn((1, tokens, model.config.hidden_size), kind, where)
        some = list(model.h)[: 1 if tokens >= _MANY else None]

        def work(some: Any = some, hidden: Tensor = hidden) -> object:
            return [layer(hidden, blind, 0) for layer in some]

        found[tokens] = best_of(work, where, 2 if tokens >= _MANY else _ROUNDS) / len(some)
    return found


def _attention(dtype: str, kind: torch.dtype, where: torch.device) -> dict[str, Any]:
    """The engine's own attention: of a lone query a row, and of each further one."""
    attention, slopes = SdpaAttention(), alibi_slopes(_HEADS).to(where)
    rows, slots, many, apart = _SIZES[where.type].rows, _SIZES[where.type].slots, 128, _read_apart(where)
    stored_bytes = 2 * rows * slots * _HEADS * _DIM * kind.itemsize
    # Several layers' keys and values, so that they come from memory as they do in a pass. Not by brackets, which ask for a real device.
    layers = [drawn((2, rows, slots + 32, _HEADS, _DIM), kind, where).narrow(2, 0, slots) for _ in range(4)]

    def seconds(fed: int) -> float:
        query = drawn((rows, fed, _HEADS, _DIM), kind, where)
        starts = torch.full((rows,), slots - fed, device=where)
        prepared = attention.prepare(Geometry(starts, fed, slots), slopes, kind)
        return best_of(lambda: [attention.attend(query, keys, values, prepared) for keys, values in layers], where, 3) / len(layers)

    lone = seconds(1)
    further = max(1e-9, seconds(many) - apart * lone)
    return {
        "attention_flops": {dtype: 4 * rows * (many - apart) * slots * _HEADS * _DIM / further},
        "single_query_bandwidth": {dtype: stored_bytes / lone},
    }


@torch.inference_mode()
def moves(where: torch.device) -> dict[str, Any]:
    """What a layer does to hidden vectors beside products, attention and GELU, in the dtype that the machine would run; and the choice."""
    kind, tokens = (torch.bfloat16 if where.type == "cpu" else torch.float16), _SIZES[where.type].tokens
    hidden, scale = drawn((tokens, WIDTH), kind, where), drawn((WIDTH,), kind, where)
    fused = drawn((tokens, _HEADS, 3, _DIM), kind, where)
    cache, places = drawn((2 * tokens, _HEADS, _DIM), kind, where), torch.arange(tokens, device=where)
    mixed = drawn((1, _HEADS, tokens, _DIM), kind, where).transpose(1, 2)

    def work() -> None:
        for part in (1, 2):
            functional.layer_norm(hidden + hidden, (WIDTH,), scale, scale)
            cache.index_copy_(0, places, fused.select(2, part))
        mixed.reshape(tokens, WIDTH)

    logits = drawn((16, _VOCABULARY), kind, where)
    blocks = torch.split(logits, IDS_AT_ONCE[where.type], dim=-1)
    choosing = best_of(lambda: Shard().argmax(blocks, _VOCABULARY), where, 3)
    return {"elementwise_bandwidth": VECTORS_MOVED * hidden.nbytes / best_of(work, where), "choice_rate": logits.numel() / choosing}
