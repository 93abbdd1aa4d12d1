"""How the ranks of one replica find each other and which library adds up their parts; knows no model.

A file in a directory of this engine's own, instead of a port: any number of engines on a machine cannot collide. gloo then takes
free ports of the loopback interface by itself; NCCL talks through the driver and shared memory.
"""

from __future__ import annotations

import os
from datetime import timedelta

import torch
import torch.distributed

from seqgpt_lab.engine.messages import WorkerSpec

_PATIENCE = timedelta(hours=1)
"""Longer than any pass: it is the parent that notices dead and stuck ranks, within seconds, and ends the others."""


def join_ranks(spec: WorkerSpec) -> None:
    """Meet the other ranks and reduce once, so that what cannot work shows at the start; nothing to do for a world of one."""
    if spec.world_size == 1:
        return
    device = torch.device(spec.device)
    backend = _prepare_nccl(device) if device.type == "cuda" else _prepare_gloo()
    store = torch.distributed.FileStore(str(spec.store), spec.world_size)  # type: ignore[attr-defined]
    torch.distributed.init_process_group(backend, store=store, rank=spec.rank, world_size=spec.world_size, timeout=_PATIENCE)
    met = torch.ones(1, device=device)
    torch.distributed.all_reduce(met)
    if int(met.item()) != spec.world_size:
        raise RuntimeError(f"the ranks' first sum is {met.item():g}, not {spec.world_size}: {backend} does not add up on this machine")


def _prepare_gloo() -> str:
    """The loopback interface, unless told otherwise: the host's name may not resolve on a machine without network."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return "gloo"


def _prepare_nccl(device: torch.device) -> str:
    """Without peer-to-peer, unless told otherwise, where the cards lack it.

    GeForce 40 cards have no NVLink and their driver disables peer-to-peer over PCIe; some driver versions nevertheless announce
    it, and NCCL then hangs or adds up garbage. Going through host memory (/dev/shm) always works and costs these cards nothing.
    """
    torch.cuda.set_device(device)
    cards = range(torch.cuda.device_count())
    geforce = any("RTX 40" in torch.cuda.get_device_name(card) for card in cards)
    if geforce or not all(torch.cuda.can_device_access_peer(device.index, card) for card in cards if card != device.index):
        os.environ.setdefault("NCCL_P2P_DISABLE", "1")
    return "nccl"
