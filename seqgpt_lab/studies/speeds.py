"""Times single operations of the engine on this machine, by dtype: products, attention, GELU, moves, the choice. Knows no whole runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.engine.attention import Geometry, SdpaAttention, alibi_slopes
from seqgpt_lab.engine.config import DTYPES
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.studies.costs import VECTORS_MOVED

WIDTH = 1024
_HEADS, _DIM = 16, 64
_ROUNDS = 5
# Products are timed at these widths of the hidden vectors and numbers of tokens; what lies between is on a straight line.
_WIDTHS = (256, 1024)
_TOKENS = (1, 2, 4, 8, 16, 32, 64, 128, 512, 2048)
_MANY = 128  # tokens from which multiplying hides where the weights lie: a layer is enough, and fewer rounds
_LAYERS = {256: 6, 1024: 10}  # of a small model in the last cache, of a large one in memory
_VOCABULARY = 250880


def best_of(work: Callable[[], object], rounds: int = _ROUNDS, waits: bool = False) -> float:
    """Seconds of the quickest of several rounds, after a first one that does not count.

    On one thread of a CPU that is processor time, which other programs do not lengthen, unless the work waits for something.
    """
    alone = torch.get_num_threads() == 1 and not torch.cuda.is_available() and not waits
    clock = time.process_time if alone else time.perf_counter
    work()
    times = []
    for _ in range(rounds):
        started = clock()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(clock() - started)
    return min(times)


def drawn(shape: tuple[int, ...], kind: torch.dtype, where: torch.device) -> Tensor:
    """Random numbers, drawn in float32."""
    return torch.randn(shape, device=where).to(kind)


@torch.inference_mode()
def speeds_of(dtype: str, where: torch.device) -> dict[str, Any]:
    """Products, attention and GELU in one dtype. Reading is timed on one row over weights larger than any cache, multiplying on many
    rows less that reading."""
    kind = DTYPES[dtype]
    figures: dict[str, Any] = {}
    count = 24 if where.type == "cpu" else 64
    weights = [drawn((4 * WIDTH, WIDTH), kind, where) for _ in range(count)]
    size = sum(weight.nbytes for weight in weights)
    one, many = drawn((1, WIDTH), kind, where), drawn((256, WIDTH), kind, where)
    reading = best_of(lambda: [functional.linear(one, weight) for weight in weights])
    some = weights[:6]
    multiplying = best_of(lambda: [functional.linear(many, weight) for weight in some], 3) - reading * len(some) / count
    figures["flops"] = {dtype: 2 * 256 * sum(weight.numel() for weight in some) / multiplying}
    if dtype in ("fp32", "bf16"):  # memory is memory; the dtype the CPU runs in is measured last and stays
        figures["bandwidth"] = size / reading
        small = [drawn((WIDTH, 256), kind, where) for _ in range(8)]
        row = drawn((1, 256), kind, where)
        figures["cache_bandwidth"] = sum(weight.nbytes for weight in small) / best_of(
            lambda: [functional.linear(row, weight) for weight in small], 20
        )
    if where.type == "cpu":  # a card reads and multiplies at once, which its two speeds tell well enough
        figures["product_seconds"] = {dtype: {width: _products(width, kind, where) for width in _WIDTHS}}
    wide = drawn((512, 4 * WIDTH), kind, where)
    figures["map_rate"] = {dtype: wide.numel() / best_of(lambda: functional.gelu(wide, approximate="tanh"))}
    figures |= _attention(dtype, kind, where)
    return figures


def _products(width: int, kind: torch.dtype, where: torch.device) -> dict[int, float]:
    """Seconds of the four products of a layer, by tokens."""
    shapes = ((3 * width, width), (width, width), (4 * width, width), (width, 4 * width))
    layers = [[(drawn(shape, kind, where), drawn(shape[:1], kind, where)) for shape in shapes] for _ in range(_LAYERS[width])]
    found = {}
    for tokens in _TOKENS:
        entering = {inner: drawn((tokens, inner), kind, where) for inner in (width, 4 * width)}
        some = layers if tokens < _MANY else layers[:1]

        def work(some: Any = some, entering: dict[int, Tensor] = entering) -> object:
            return [functional.linear(entering[weight.shape[1]], weight, bias) for layer in some for weight, bias in layer]

        found[tokens] = best_of(work, _ROUNDS if tokens < _MANY else 2) / len(some)
    return found


def _attention(dtype: str, kind: torch.dtype, where: torch.device) -> dict[str, Any]:
    """The engine's own attention: of a lone query a row, and of each further one."""
    attention, slopes = SdpaAttention(), alibi_slopes(_HEADS).to(where)
    rows, slots, many = 8, 256, 128
    stored_bytes = 2 * rows * slots * _HEADS * _DIM * kind.itemsize
    # Several layers' keys and values, so that they come from memory as they do in a pass.
    layers = [drawn((2, rows, slots + 32, _HEADS, _DIM), kind, where)[:, :, :slots] for _ in range(4)]

    def seconds(fed: int) -> float:
        query = drawn((rows, fed, _HEADS, _DIM), kind, where)
        starts = torch.full((rows,), slots - fed, device=where)
        prepared = attention.prepare(Geometry(starts, fed, slots), slopes, kind)
        return best_of(lambda: [attention.attend(query, keys, values, prepared) for keys, values in layers], 3) / len(layers)

    lone = seconds(1)
    further = max(1e-9, seconds(many) - lone)
    return {
        "attention_flops": {dtype: 4 * rows * (many - 1) * slots * _HEADS * _DIM / further},
        "single_query_bandwidth": {dtype: stored_bytes / lone},
    }


@torch.inference_mode()
def moves(where: torch.device) -> dict[str, Any]:
    """What a layer does to hidden vectors beside products, attention and GELU, in the dtype that the machine would run; and the choice."""
    kind, tokens = (torch.bfloat16 if where.type == "cpu" else torch.float16), 512
    hidden, scale = drawn((tokens, WIDTH), kind, where), drawn((WIDTH,), kind, where)
    fused = drawn((tokens, _HEADS, 3, _DIM), kind, where)
    cache, places = drawn((2 * tokens, _HEADS, _DIM), kind, where), torch.arange(tokens, device=where)
    mixed = drawn((1, _HEADS, tokens, _DIM), kind, where).transpose(1, 2)

    def work() -> None:
        for part in (1, 2):
            functional.layer_norm(hidden + hidden, (WIDTH,), scale, scale)
            cache.index_copy_(0, places, fused[:, :, part])
        mixed.reshape(tokens, WIDTH)

    logits = drawn((16, _VOCABULARY), kind, where)
    choosing = best_of(lambda: Shard().argmax(logits, _VOCABULARY), 3)
    return {"elementwise_bandwidth": VECTORS_MOVED * hidden.nbytes / best_of(work), "choice_rate": logits.numel() / choosing}
