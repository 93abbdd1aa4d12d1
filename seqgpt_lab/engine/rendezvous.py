"""How the ranks of one replica find each other and which library adds up their parts; knows no model.

A file in a directory of this engine's own, instead of a port: any number of engines on a machine cannot collide. Ranks on the CPU then
add up through memory they share. Where that is impossible, or SEQGPT_LAB_REDUCTION=gloo asks for it, gloo takes free ports of the
loopback interface by itself; NCCL talks through the driver and shared memory.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

import torch
import torch.distributed

from seqgpt_lab.engine.exchange import MemoryExchange, create_memory, is_supported
from seqgpt_lab.engine.messages import WorkerSpec
from seqgpt_lab.errors import OptionError

REDUCTION = "SEQGPT_LAB_REDUCTION"

_PATIENCE = timedelta(hours=1)
"""Longer than any pass: it is the parent that notices dead and stuck ranks, within seconds, and ends the others."""


def join_ranks(spec: WorkerSpec) -> MemoryExchange | None:
    """Meet the other ranks and reduce once, so that what cannot work shows at the start; nothing to do for a world of one.

    The shared memory through which the ranks exchange tensors, or None where torch.distributed does that.
    """
    if spec.world_size == 1:
        return None
    device = torch.device(spec.device)
    store = torch.distributed.FileStore(str(spec.store), spec.world_size)  # type: ignore[attr-defined]
    met = torch.ones(1, device=device)
    exchange, how = None, choose_reduction(device)
    if how == "memory":
        exchange = share_memory(store, spec.rank, spec.world_size)
        exchange.sum(met)
    else:
        _prepare_gloo() if how == "gloo" else prepare_nccl(device)
        torch.distributed.init_process_group(how, store=store, rank=spec.rank, world_size=spec.world_size, timeout=_PATIENCE)
        torch.distributed.all_reduce(met)
    if int(met.item()) != spec.world_size:
        raise RuntimeError(f"the ranks' first sum is {met.item():g}, not {spec.world_size}: {how} does not add up on this machine")
    return exchange


def choose_reduction(device: torch.device) -> str:
    """nccl on CUDA; on the CPU what SEQGPT_LAB_REDUCTION says (memory or gloo), else memory where it works. Raises OptionError."""
    if device.type == "cuda":
        return "nccl"
    wanted = os.environ.get(REDUCTION) or ("memory" if is_supported() else "gloo")
    if wanted not in ("memory", "gloo"):
        raise OptionError(f"{REDUCTION}={wanted!r} is no way to add up over ranks on a CPU; use memory or gloo")
    if wanted == "memory" and not is_supported():
        raise OptionError(f"{REDUCTION}=memory needs Linux on x86-64; use gloo here")
    return wanted


def share_memory(store: Any, rank: int, world_size: int) -> MemoryExchange:
    """Rank 0 makes the memory and tells the others where it is; it has no name, so it goes with the last process that holds it.

    store: a torch.distributed store that all ranks share.
    """
    if rank == 0:
        descriptor = create_memory(world_size)
        store.set("memory", f"/proc/{os.getpid()}/fd/{descriptor}")
    else:
        try:
            descriptor = os.open(store.get("memory").decode(), os.O_RDWR)
        except OSError as error:
            raise RuntimeError(f"the ranks cannot share memory here ({error}); set {REDUCTION}=gloo") from error
    exchange = MemoryExchange(descriptor, rank, world_size)
    if rank != 0:
        os.close(descriptor)  # rank 0 keeps its own open: that is the others' way in
    return exchange


def prepare_nccl(device: torch.device) -> None:
    """Before a group of ranks starts NCCL: device, with its number, becomes this process's card; no peer-to-peer where the cards lack it,
    unless told otherwise.

    GeForce 40 cards have no NVLink and their driver disables peer-to-peer over PCIe; some driver versions nevertheless announce
    it, and NCCL then hangs or adds up garbage. Going through host memory (/dev/shm) always works and costs these cards nothing.
    """
    torch.cuda.set_device(device)
    cards = range(torch.cuda.device_count())
    geforce = any("RTX 40" in torch.cuda.get_device_name(card) for card in cards)
    if geforce or not all(torch.cuda.can_device_access_peer(device.index, card) for card in cards if card != device.index):
        os.environ.setdefault("NCCL_P2P_DISABLE", "1")


def _prepare_gloo() -> None:
    """The loopback interface, unless told otherwise: the host's name may not resolve on a machine without network."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
