"""Measures the figures of a machine that a plan rests on, each by itself and none from a whole run; predicts nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.config import DTYPES, ModelConfig, resolve_device
from seqgpt_lab.engine.cuda import prepare_cuda
from seqgpt_lab.engine.decode import decode
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.machine import memory_bytes, processors
from seqgpt_lab.progress import Progress
from seqgpt_lab.studies.costs import OPS_A_LAYER, OPS_A_PASS
from seqgpt_lab.studies.processor import processor_name
from seqgpt_lab.studies.rigs import Rig
from seqgpt_lab.studies.speeds import best_of, moves, speeds_of
from seqgpt_lab.studies.worker_speeds import worker_speeds

_OVERHEAD_LAYERS = (2, 18)
_OVERHEAD_IDS = 24
_OVERHEAD_ROWS = 9


def calibrate(
    name: str = "this-machine", *, dtypes: Sequence[str] = tuple(DTYPES), device: str = "auto", progress: Progress | None = None
) -> Rig:
    """This machine as a rig, each figure the best of several rounds: what it does when nothing else runs.

    dtypes: those that are not asked for take fp32's figures. Takes about a minute. Raises OptionError for a device that is not here.
    """
    where = resolve_device(device)
    prepare_cuda(where)
    steps: list[Callable[[], dict[str, Any]]] = [partial(speeds_of, dtype, where) for dtype in dict.fromkeys(("fp32", *dtypes))]
    steps += [partial(measure, where) for measure in (_overheads, moves, worker_speeds)]
    found: dict[str, Any] = {}
    for done, measure in enumerate(steps):
        for figure, value in measure().items():
            found[figure] = {**found[figure], **value} if isinstance(value, dict) and figure in found else value
        if progress:
            progress(done + 1, len(steps))
    return Rig.from_dict(_record(name, where, found), "calibrate")


def _overheads(where: torch.device) -> dict[str, Any]:
    """Starting operations, and the loop: models so small that nothing else counts, with few layers and with many, and with more rows."""
    few, many = _OVERHEAD_LAYERS
    once, layered, rows = _pass_seconds(where, few, 1), _pass_seconds(where, many, 1), _pass_seconds(where, few, _OVERHEAD_ROWS)
    op_seconds = (layered - once) / (many - few) / OPS_A_LAYER
    row_seconds = max(0.0, (rows - once) / (_OVERHEAD_ROWS - 1))
    rest = once - op_seconds * (few * OPS_A_LAYER + OPS_A_PASS) - row_seconds
    return {"op_seconds": op_seconds, "row_seconds": row_seconds, "pass_seconds": max(0.0, rest)}


def _pass_seconds(where: torch.device, layers: int, rows: int) -> float:
    config = ModelConfig(vocab_size=64, hidden_size=64, layers=layers, heads=1, eos_token_id=63)
    model = Bloom(config).to(where, torch.float32).eval()
    with torch.no_grad():
        model.word_embeddings.weight[63] = 0.0  # the end, which never has the largest logit
        model.word_embeddings.weight[1] = 1.0
    requests = [Request((1, 2, 3), _OVERHEAD_IDS)] * rows
    passes = decode(model, requests)[0].timing.passes
    return best_of(partial(decode, model, requests), where) / passes


def _record(name: str, where: torch.device, found: dict[str, Any]) -> dict[str, Any]:
    """The rig's mapping: what was measured, and what the machine says of itself."""
    cuda = where.type == "cuda"
    threads = torch.get_num_threads()
    properties = torch.cuda.get_device_properties(where) if cuda else None
    device = properties.name if properties else processor_name()
    when = datetime.now(UTC).strftime("%Y-%m-%d")
    measured = f"measured: seqgpt-lab calibrate, {when}, torch {torch.__version__}" + ("" if cuda else f", {threads} thread(s)")
    for figure in ("flops", "attention_flops", "single_query_bandwidth", "map_rate"):
        found[figure] = {dtype: found[figure].get(dtype, found[figure]["fp32"]) for dtype in DTYPES}
    figures = {
        "devices": torch.cuda.device_count() if cuda else 1,
        "memory_bytes": float(properties.total_memory if properties else memory_bytes()),
        "cache_bytes": float(properties.L2_cache_size if properties else _cache_bytes()),
        **found,
    }
    basis = {figure: measured for figure in figures}
    if cuda and torch.cuda.device_count() < 2:
        basis |= {figure: "estimate: not measured, there is one card" for figure in ("share_of_speed", "reduce_seconds", "link_bandwidth")}
        basis["runtime_bytes"] = "estimate: a CUDA context with its kernels and workspaces"
    about = f"{device}, {figures['devices']} card(s)" if cuda else f"{device}, {threads} thread(s) of {processors()} cores"
    texts = {"name": name, "about": about, "kind": where.type, "device": device, "overlap": cuda}
    return {**texts, **figures, "basis": basis, "expects": {}}


def _cache_bytes() -> int:
    """Of the last cache that the kernel names for the first processor; 0 where it names none."""
    sizes = [path.read_text(encoding="ascii").strip() for path in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size"))]
    return max((int(text[:-1]) * {"K": 2**10, "M": 2**20}[text[-1]] for text in sizes), default=0)
