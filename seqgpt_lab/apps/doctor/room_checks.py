"""Judges the room on a card, or on an instance of one: how much is free, and who has the rest; knows only facts that were read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.apps.doctor.nvml import Card, Holder, Instance

_GIB = 2**30
# SeqGPT-560M in half precision with a batch of 16 texts of 512 tokens, what is kept of texts and a CUDA context included, as the planner
# has it (a test compares), and half a GiB or less beyond.
NEEDED_BYTES = 7 * _GIB // 2


def check_memory(index: int, card: Card | Instance) -> Line:
    """Whether the model and a batch fit into what is free."""
    if card.memory_bytes is None or card.used_bytes is None:
        return Line(
            f"memory {index}",
            "note",
            "the driver does not say",
            why="shared memory, as on integrated devices, has no figure of its own",
        )
    free = card.memory_bytes - card.used_bytes
    shown = f"{free / _GIB:.1f} of {card.memory_bytes / _GIB:.1f} GiB free"
    if free < NEEDED_BYTES:
        why = "SeqGPT-560M with a batch of 16 needs about that; less ends in batches that are split, or in CapacityError"
        fix = f"free the card: see the line `holders {index}`"
        return Line(f"memory {index}", "failed", shown, f"{NEEDED_BYTES / _GIB:.1f} GiB free", why, fix)
    return Line(f"memory {index}", "ok", shown, f"{NEEDED_BYTES / _GIB:.1f} GiB free")


def check_holders(index: int, card: Card | Instance) -> Line:
    """Who has memory on the card; nothing is ended here, the command is only shown."""
    name, shown = f"holders {index}", "; ".join(map(_describe, card.holders))
    if card.holders:
        why = "a process that was left behind keeps its memory and takes turns on the card, so runs are slower or do not fit"
        return Line(name, "warning", shown, "no other process", why, "; ".join(_let_go(card.holders)))
    drawing = sum(holder.memory_bytes or 0 for holder in card.graphics)
    unseen = (card.used_bytes or 0) - drawing
    if unseen > _GIB:
        why = f"{unseen / _GIB:.1f} GiB are taken by processes that this one cannot see: another container, another user, or a leftover"
        return Line(
            name, "warning", "none that can be seen", "no other process", why, "list who has the device open: sudo fuser -v /dev/nvidia*"
        )
    return Line(name, "ok", f"no computing process{f', {len(card.graphics)} that draw' if card.graphics else ''}", "no other process")


def _let_go(holders: Sequence[Holder]) -> Iterator[str]:
    """What to type. An id that names no process here is never put behind `kill`: it may be another container's numbering."""
    if pids := " ".join(str(holder.pid) for holder in holders if holder.command):
        yield f"if it is yours and not needed: kill {pids} (then kill -9 {pids} if it stays); nobody did that for you"
    if unseen := " ".join(str(holder.pid) for holder in holders if not holder.command):
        yield f"{unseen} cannot be seen from here: look on the host or as another user, sudo fuser -v /dev/nvidia*"


def _describe(holder: Holder) -> str:
    memory = f"{holder.memory_bytes / _GIB:.1f} GiB" if holder.memory_bytes is not None else "memory unknown"
    command = holder.command[:80] or "not visible from here (ended, or in another container)"
    age = f", for {(time.time() - holder.started) / 3600:.1f} h" if holder.started else ""
    return f"pid {holder.pid} ({command}{age}): {memory}"
