"""Judges which cards, and which MIG instance, a process here may use; knows only facts that were read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from seqgpt_lab.apps.doctor.in_use import in_use
from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.apps.doctor.nvml import Card, Cards, Instance
from seqgpt_lab.studies.rigs import Rig


def check_split(card: Card, used: Mapping[int, Card | Instance]) -> Line:
    """A card in MIG mode, of which a process has one instance."""
    name, here = f"mig {card.index}", used.get(card.index)
    if not card.instances:
        why = "CUDA has no device on it; without another card everything runs on the CPU"
        fix = (
            f"sudo nvidia-smi mig -i {card.index} -cgi PROFILE -C makes one (-lgip lists the profiles), or sudo nvidia-smi -i {card.index} "
            "-mig 0 ends MIG mode"
        )
        return Line(name, "failed", "MIG mode without an instance", "an instance", why, fix)
    shown = f"MIG mode, instances {', '.join(part.name for part in card.instances)}"
    if not isinstance(here, Instance):
        return Line(name, "note", f"{shown}; none of them is used here", why="CUDA gives a process one instance, and no card beside it")
    why = (
        "CUDA gives a process one instance, so tensor_parallel=2 and replicas=2 do not start; CUDA_VISIBLE_DEVICES=MIG-… chooses another "
        "(`nvidia-smi -L` lists them)"
    )
    return Line(name, "note", f"{shown}; {here.name} ({here.uuid}) is used here", why=why)


def check_visible(cards: Cards, rig: Rig | None, devices: int, visible: str | None, order: str) -> Iterator[Line]:
    """Whether PyTorch sees every card that the driver has, or those that CUDA_VISIBLE_DEVICES chooses, if they are enough for the rig.

    devices: how many PyTorch sees. visible, order: CUDA_VISIBLE_DEVICES (None where unset) and CUDA_DEVICE_ORDER.
    """
    if not cards.cards:
        return
    used, wanted = in_use(cards, visible, order), rig.devices if rig is not None and rig.kind == "cuda" else 1
    shown, expected = f"PyTorch sees {devices} of {len(cards.cards)}", f"all {len(cards.cards)}"
    if devices >= len(cards.cards):
        yield Line("visible-cards", "ok", shown, expected)
    elif visible is not None and devices == len(used) >= wanted:
        why = "what is left out is not used, and not judged here"
        yield Line("visible-cards", "note", f"{shown}, as CUDA_VISIBLE_DEVICES={visible} chooses", expected, why)
    else:
        why = "what is hidden is not used: replicas=2 and tensor_parallel=2 then end in an OptionError"
        yield Line("visible-cards", "failed", shown, expected, why, _unhide(cards, bool(used), visible))


def _unhide(cards: Cards, some: bool, visible: str | None) -> str:
    """How the cards that PyTorch does not see come into sight. some: CUDA gives this process at least one device."""
    if visible is not None and not some:
        return f"CUDA_VISIBLE_DEVICES is {visible!r}, which names no device here (`nvidia-smi -L` lists them): unset it, or name one"
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES is {visible!r}: unset CUDA_VISIBLE_DEVICES, or name all cards"
    if any(card.split for card in cards.cards):
        return "see the line `mig`: CUDA gives a process one instance, or else cards of which none is in MIG mode"
    return "look at `dmesg | grep -i xid` for a card that failed, and at the container's --gpus option"
