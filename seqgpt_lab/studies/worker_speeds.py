"""Times two processes at once on this machine: what each keeps of its speed, and what adding up over both costs. Knows no model."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.connection import Connection, wait
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import torch
from torch import Tensor

from seqgpt_lab.engine.cuda import prepare_cuda
from seqgpt_lab.engine.linear import Linear
from seqgpt_lab.engine.rendezvous import choose_reduction, prepare_nccl, share_memory
from seqgpt_lab.errors import WorkerError
from seqgpt_lab.studies.speeds import WIDTH, best_of, drawn

_ROUNDS = 10
_PATIENCE = 120.0  # seconds until both have answered


def worker_speeds(where: torch.device) -> dict[str, Any]:
    """Two processes at once: what each keeps of its speed alone, and what a sum over both costs; one where there is no second card.

    runtime_bytes: what a process holds beside its weights. On a card that is what it adds to what was in use there before: CUDA's context,
    kernels, workspaces and NCCL's buffers. Other processes' memory on the card does not count as long as it stays the same.
    Raises WorkerError when one of them dies or hangs.
    """
    if where.type == "cuda" and torch.cuda.device_count() < 2:
        return {"share_of_speed": 1.0, "reduce_seconds": 24e-6, "link_bandwidth": 10e9, "runtime_bytes": 0.6e9}
    before = [_used_bytes(torch.device("cuda", rank)) if where.type == "cuda" else 0 for rank in range(2)]
    with TemporaryDirectory() as folder:
        spawn = multiprocessing.get_context("spawn")
        answers = [spawn.Pipe(duplex=False) for _ in range(2)]
        processes = [
            spawn.Process(
                target=_worker, args=(rank, folder, where.type, torch.get_num_threads(), before[rank], answers[rank][1]), daemon=True
            )
            for rank in range(2)
        ]
        for process in processes:
            process.start()
        for _, theirs in answers:
            theirs.close()  # now only the worker holds it, so its end is heard
        try:
            found = _answers([ours for ours, _ in answers])
            for process in processes:
                process.join(10)
        finally:
            for process in processes:
                process.kill()  # one whose peer is gone waits for it on its card
    slowest = {name: max(one[name] for one in found) for name in found[0]}
    link = slowest["large_bytes"] / max(1e-9, slowest["large"] - slowest["small"])
    return {
        "share_of_speed": min(1.0, slowest["alone"] / slowest["together"]) if where.type == "cpu" else 1.0,
        "reduce_seconds": slowest["small"],
        "link_bandwidth": link,
        "runtime_bytes": slowest["runtime"],
    }


def _answers(pipes: Sequence[Connection]) -> list[dict[str, float]]:
    """What each has found, in the order of the pipes. Raises WorkerError."""
    found: dict[Connection, dict[str, float]] = {}
    latest = time.monotonic() + _PATIENCE
    mend = "what it said stands above; `seqgpt-lab doctor` looks at what two processes need, and two cards may need NCCL_P2P_DISABLE=1"
    while len(found) < len(pipes):
        ready = wait([pipe for pipe in pipes if pipe not in found], max(0.0, latest - time.monotonic()))
        if not ready:
            raise WorkerError(f"a process of the calibration has not answered for {_PATIENCE:g} s; {mend}")
        for pipe in (pipe for pipe in pipes if pipe in ready):
            try:
                found[pipe] = pipe.recv()
            except (EOFError, OSError):
                raise WorkerError(f"a process of the calibration has died; {mend}") from None
    return [found[pipe] for pipe in pipes]


@torch.inference_mode()
def _worker(rank: int, folder: str, kind: str, threads: int, before: int, answer: Any) -> None:
    """One of two: alone in turn with all threads, then both at once with half of them each, then sums. Sends a mapping of figures.

    before: bytes in use on its card when the two were started.
    """
    import torch.distributed as dist

    where = torch.device(f"cuda:{rank}" if kind == "cuda" else "cpu")
    prepare_cuda(where)
    if kind == "cuda":
        prepare_nccl(where)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    dtype = torch.bfloat16 if kind == "cpu" else torch.float16
    linears = [Linear(WIDTH, 4 * WIDTH, device=where, dtype=dtype) for _ in range(12)]
    for linear in linears:
        linear.pack()
    rows = drawn((16, WIDTH), dtype, where)
    if kind == "cuda":  # cuBLAS and NCCL take their room with the first product and the first sum
        dist.all_reduce(linears[0](rows))
        torch.cuda.synchronize(where)
    held = _used_bytes(where) - before
    figures: dict[str, float] = {"runtime": float(held - sum(linear.weight.nbytes for linear in linears))}

    def work() -> object:
        return [linear(rows) for linear in linears]

    torch.set_num_threads(threads)
    for turn in range(2):
        dist.barrier()
        if turn == rank:
            figures["alone"] = best_of(work, where, elapsed=True)
    torch.set_num_threads(max(1, threads // 2))
    dist.barrier()
    figures["together"] = best_of(work, where, _ROUNDS, elapsed=True)
    add_up: Callable[[Tensor], object] = dist.all_reduce
    if choose_reduction(where) == "memory":
        add_up = share_memory(dist.FileStore(f"{folder}/sums", 2), rank, 2).sum  # type: ignore[attr-defined]
    dist.barrier()
    for name, numbers in (("small", WIDTH), ("large", 512 * WIDTH)):
        summed = torch.zeros(numbers, dtype=dtype, device=where)
        figures[name] = best_of(partial(add_up, summed), where, 30, elapsed=True)
    figures["large_bytes"] = (512 - 1) * WIDTH * dtype.itemsize
    answer.send(figures)
    dist.barrier()
    dist.destroy_process_group()


def _used_bytes(where: torch.device) -> int:
    """Of this process's memory; on a card of all of it, other processes' included, so that only what it grows by tells of one process.

    On a card CUDA's own context of the process that asks is there from the first question on.
    """
    if where.type == "cpu":
        return int(psutil.Process().memory_info().rss)
    free, total = torch.cuda.mem_get_info(where)
    return total - free
