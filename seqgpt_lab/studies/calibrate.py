"""Measures the figures of a machine that a plan rests on, each by itself and none from a whole run; predicts nothing."""

from __future__ import annotations

import multiprocessing
import os
import platform
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.engine.attention import Geometry, SdpaAttention, alibi_slopes
from seqgpt_lab.engine.config import DTYPES, ModelConfig
from seqgpt_lab.engine.decode import Request, decode
from seqgpt_lab.engine.linear import packable, packed_weight, product
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.studies.costs import OPS_A_LAYER, OPS_A_PASS
from seqgpt_lab.studies.rigs import Rig

Progress = Callable[[int, int], None]
_WIDTH = 1024
_HEADS, _DIM = 16, 64
_ROUNDS = 5
_OVERHEAD_LAYERS = (2, 18)
_OVERHEAD_IDS = 24


def calibrate(
    name: str = "this-machine", *, dtypes: Sequence[str] = tuple(DTYPES), device: str = "auto", progress: Progress | None = None
) -> Rig:
    """This machine as a rig, each figure the best of several rounds: what it does when nothing else runs.

    dtypes: those that are not asked for take fp32's figures. Takes about half a minute on two cores.
    """
    where = torch.device("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else torch.device(device)
    steps: list[Callable[[], dict[str, Any]]] = [partial(_by_dtype, dtype, where) for dtype in dict.fromkeys(("fp32", *dtypes))]
    steps += [partial(measure, where) for measure in (_overheads, _moves, _workers)]
    found: dict[str, Any] = {}
    for done, measure in enumerate(steps):
        for figure, value in measure().items():
            found[figure] = {**found[figure], **value} if isinstance(value, dict) and figure in found else value
        if progress:
            progress(done + 1, len(steps))
    return Rig.from_dict(_record(name, where, found), "calibrate")


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


@torch.inference_mode()
def _by_dtype(dtype: str, where: torch.device) -> dict[str, Any]:
    """Products, attention and GELU in one dtype. Reading is timed on one row over weights larger than any cache, multiplying on many
    rows less that reading."""
    kind = DTYPES[dtype]
    figures: dict[str, Any] = {}
    count = 24 if where.type == "cpu" else 64
    weights = [_weight(4 * _WIDTH, _WIDTH, kind, where) for _ in range(count)]
    size = sum(weight.nbytes for weight in weights)
    one, many = _random((1, _WIDTH), kind, where), _random((256, _WIDTH), kind, where)
    reading = best_of(lambda: [product(one, weight) for weight in weights])
    some = weights[:6]
    multiplying = best_of(lambda: [product(many, weight) for weight in some], 3) - reading * len(some) / count
    figures["flops"] = {dtype: 2 * 256 * sum(weight.numel() for weight in some) / multiplying}
    if dtype in ("fp32", "bf16"):  # memory is memory; the dtype the CPU runs in is measured last and stays
        figures["bandwidth"] = size / reading
        small = [_weight(_WIDTH, 256, kind, where) for _ in range(8)]
        row = _random((1, 256), kind, where)
        figures["cache_bandwidth"] = sum(weight.nbytes for weight in small) / best_of(
            lambda: [product(row, weight) for weight in small], 20
        )
    wide = _random((512, 4 * _WIDTH), kind, where)
    figures["map_rate"] = {dtype: wide.numel() / best_of(lambda: functional.gelu(wide, approximate="tanh"))}
    figures |= _attention(dtype, kind, where, size / reading)
    return figures


def _attention(dtype: str, kind: torch.dtype, where: torch.device, bandwidth: float) -> dict[str, Any]:
    """The engine's own attention, of a prompt and of a lone query a row."""
    attention, slopes = SdpaAttention(), alibi_slopes(_HEADS).to(where)

    rows, slots = 8, 256
    stored_bytes = 2 * rows * slots * _HEADS * _DIM * kind.itemsize
    # Several layers' keys and values, so that they come from memory as they do in a pass.
    layers = [_random((2, rows, slots + 32, _HEADS, _DIM), kind, where)[:, :, :slots] for _ in range(4)]

    def seconds(fed: int) -> float:
        query = _random((rows, fed, _HEADS, _DIM), kind, where)
        starts = torch.full((rows,), slots - fed, device=where)
        prepared = attention.prepare(Geometry(starts, fed, slots), slopes, kind)
        return best_of(lambda: [attention.attend(query, keys, values, prepared) for keys, values in layers], 3) / len(layers)

    multiplying = max(1e-9, seconds(slots) - stored_bytes / bandwidth)
    return {
        "attention_flops": {dtype: 4 * rows * slots * slots * _HEADS * _DIM / multiplying},
        "single_query_bandwidth": {dtype: stored_bytes / seconds(1)},
    }


def _overheads(where: torch.device) -> dict[str, Any]:
    """Starting operations: a model so small that nothing else counts, with few layers and with many."""
    kind = torch.float32
    times = []
    for layers in _OVERHEAD_LAYERS:
        config = ModelConfig(vocab_size=64, hidden_size=64, layers=layers, heads=1, eos_token_id=63)
        model = Bloom(config).to(where, kind).eval()
        with torch.no_grad():
            model.word_embeddings.weight[63] = 0.0  # the end, which never has the largest logit
            model.word_embeddings.weight[1] = 1.0
        request = Request((1, 2, 3), _OVERHEAD_IDS)
        written = decode(model, [request])[0]
        times.append(best_of(partial(decode, model, [request])) / written.timing.passes)
    few, many = _OVERHEAD_LAYERS
    op_seconds = (times[1] - times[0]) / (many - few) / OPS_A_LAYER
    return {"op_seconds": op_seconds, "pass_seconds": max(0.0, times[0] - op_seconds * (few * OPS_A_LAYER + OPS_A_PASS))}


@torch.inference_mode()
def _moves(where: torch.device) -> dict[str, Any]:
    """Adding and normalising hidden vectors, in the dtype that the machine would run."""
    kind = torch.bfloat16 if where.type == "cpu" else torch.float16
    hidden, scale = _random((1024, _WIDTH), kind, where), _random((_WIDTH,), kind, where)

    def work() -> Tensor:
        return hidden + functional.layer_norm(hidden + hidden, (_WIDTH,), scale, scale)

    return {"elementwise_bandwidth": 8 * hidden.nbytes / best_of(work)}  # three vectors a sum, two a LayerNorm


def _workers(where: torch.device) -> dict[str, Any]:
    """Two processes at once: what each keeps of its speed alone, and what a sum over both costs; one where there is no second card."""
    if where.type == "cuda" and torch.cuda.device_count() < 2:
        return {"share_of_speed": 1.0, "reduce_seconds": 24e-6, "link_bandwidth": 10e9, "runtime_bytes": 0.6e9}
    with TemporaryDirectory() as folder:
        spawn = multiprocessing.get_context("spawn")
        answers = [spawn.Pipe(duplex=False) for _ in range(2)]
        processes = [spawn.Process(target=_worker, args=(rank, folder, where.type, answers[rank][1]), daemon=True) for rank in range(2)]
        for process in processes:
            process.start()
        found = [answer.recv() if answer.poll(120) else {} for answer, _ in answers]
        for process in processes:
            process.join(10)
    if not all(found):
        raise RuntimeError("a worker of the calibration did not answer within 120 s")
    slowest = {name: max(one[name] for one in found) for name in found[0]}
    link = slowest["large_bytes"] / max(1e-9, slowest["large"] - slowest["small"])
    return {
        "share_of_speed": min(1.0, slowest["alone"] / slowest["together"]) if where.type == "cpu" else 1.0,
        "reduce_seconds": slowest["small"],
        "link_bandwidth": link,
        "runtime_bytes": slowest["runtime"],
    }


def _worker(rank: int, folder: str, kind: str, answer: Any) -> None:
    """One of two: alone in turn, then both at once, then sums. Sends a mapping of figures."""
    import torch.distributed as dist

    where = torch.device(f"cuda:{rank}" if kind == "cuda" else "cpu")
    torch.set_num_threads(max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0)) // 2)))
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    dtype = torch.bfloat16 if kind == "cpu" else torch.float16
    weights = [_weight(4 * _WIDTH, _WIDTH, dtype, where) for _ in range(12)]
    rows = _random((16, _WIDTH), dtype, where)
    figures: dict[str, float] = {"runtime": float(psutil.Process().memory_info().rss - sum(weight.nbytes for weight in weights))}

    def work() -> object:
        return [product(rows, weight) for weight in weights]

    for turn in range(2):
        dist.barrier()
        if turn == rank:
            figures["alone"] = best_of(work)
    dist.barrier()
    figures["together"] = best_of(work, 2 * _ROUNDS)
    dist.barrier()
    for name, numbers in (("small", 1024), ("large", 512 * 1024)):
        summed = torch.zeros(numbers, dtype=dtype, device=where)
        figures[name] = best_of(partial(dist.all_reduce, summed), 30, waits=True)
    figures["large_bytes"] = 512 * 1024 * dtype.itemsize
    answer.send(figures)
    dist.barrier()
    dist.destroy_process_group()


def _record(name: str, where: torch.device, found: dict[str, Any]) -> dict[str, Any]:
    """The rig's mapping: what was measured, and what the machine says of itself."""
    cuda = where.type == "cuda"
    threads = torch.get_num_threads()
    properties = torch.cuda.get_device_properties(where) if cuda else None
    device = properties.name if properties else _processor()
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    measured = f"measured: seqgpt-lab calibrate, {when}, torch {torch.__version__}" + ("" if cuda else f", {threads} thread(s)")
    for figure in ("flops", "attention_flops", "single_query_bandwidth", "map_rate"):
        found[figure] = {dtype: found[figure].get(dtype, found[figure]["fp32"]) for dtype in DTYPES}
    figures = {
        "devices": torch.cuda.device_count() if cuda else 1,
        "memory_bytes": float(properties.total_memory if properties else psutil.virtual_memory().total),
        "cache_bytes": float(properties.L2_cache_size if properties else _cache_bytes()),
        **found,
    }
    basis = {figure: measured for figure in figures}
    if cuda and torch.cuda.device_count() < 2:
        basis |= {figure: "estimate: not measured, there is one card" for figure in ("share_of_speed", "reduce_seconds", "link_bandwidth")}
        basis["runtime_bytes"] = "estimate: a CUDA context with its kernels and workspaces"
    about = f"{device}, {figures['devices']} card(s)" if cuda else f"{device}, {threads} thread(s) of {len(os.sched_getaffinity(0))} cores"
    texts = {"name": name, "about": about, "kind": where.type, "device": device, "overlap": cuda}
    return {**texts, **figures, "basis": basis, "expects": {}}


def _cache_bytes() -> int:
    """Of the last cache that the kernel names for the first processor; 0 where it names none."""
    sizes = [path.read_text(encoding="ascii").strip() for path in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))]
    return max((int(text[:-1]) * {"K": 2**10, "M": 2**20}[text[-1]] for text in sizes), default=0)


def _processor() -> str:
    from contextlib import suppress

    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def _random(shape: tuple[int, ...], kind: torch.dtype, where: torch.device) -> Tensor:
    return torch.randn(shape, device=where).to(kind)


def _weight(outer: int, inner: int, kind: torch.dtype, where: torch.device) -> Tensor:
    """A weight [outer, inner], laid out as the engine would lay it out."""
    weight = _random((outer, inner), kind, where)
    return packed_weight(weight) if packable(weight) else weight
