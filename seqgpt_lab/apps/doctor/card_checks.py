"""Judges the cards against a rig: are they there, linked as they should be, free; knows only facts that were read."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from seqgpt_lab.apps.doctor.in_use import in_use, used_cards
from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.apps.doctor.nvml import Card, Cards
from seqgpt_lab.apps.doctor.room_checks import check_holders, check_memory
from seqgpt_lab.apps.doctor.visible_checks import check_split
from seqgpt_lab.studies.rigs import Rig

_MENDS = {
    "LibraryNotFound": "install the NVIDIA driver; in a container, start it with the NVIDIA container toolkit (`docker run --gpus all …`)",
    "DriverNotLoaded": "load it: `sudo modprobe nvidia` (`dmesg` says why it fails); after a kernel update, reinstall the driver",
    "LibRmVersionMismatch": "the driver was updated under a running kernel module: reboot the machine",
    "NoPermission": "let your user read /dev/nvidia* (`ls -l /dev/nvidia*`; on many systems the group is `video` or `render`)",
    "GpuIsLost": "a card fell off the bus: look at `dmesg | grep -i xid`, its power cables and seat, then reboot",
}


def check_cards(found: Cards, rig: Rig | None, built: str = "", visible: str | None = None, order: str = "") -> list[Line]:
    """All lines on cards. Without any card and without a rig that wants some: one note.

    built: the CUDA version that the PyTorch here is built for, which the driver has to run; empty for none, and then the rig says which
    driver is wanted. visible, order: CUDA_VISIBLE_DEVICES and CUDA_DEVICE_ORDER; whether a card that is left out has room is no matter.
    """
    wants = rig is not None and rig.kind == "cuda"
    if found.trouble or not found.cards:
        return [_no_cards(found, rig if wants else None)]
    used = in_use(found, visible, order)
    lines = [_count(found, rig), _driver(found, rig, built), *(check_split(card, used) for card in found.cards if card.split)]
    lines += [
        *(check_memory(*each) for each in used.items()),
        *_capability(used_cards(found, used), rig),
        *(_link(card, rig) for card in found.cards),
    ]
    return [*lines, _nvlink(found, rig), *_peer(found, rig), *(check_holders(*each) for each in used.items())]


def _no_cards(found: Cards, rig: Rig | None) -> Line:
    wanted = f"{rig.devices} x {rig.device}" if rig else ""
    if not found.on_bus:
        if rig is None:
            return Line("cards", "note", "no NVIDIA card; the lab runs on the CPU")
        fix = "check the cards' seat and power (`lspci | grep -i nvidia` should list them); in a virtual machine, pass them through"
        return Line("cards", "failed", "no NVIDIA card on the PCI bus", wanted, "without a card everything runs on the CPU", fix)
    shown = f"{found.on_bus} NVIDIA card(s) on the PCI bus, but NVML says: {found.trouble or 'no devices'}"
    fix = _MENDS.get(found.trouble_kind, "see whether `nvidia-smi` works; if it does not, reinstall the driver and reboot")
    return Line("cards", "failed", shown, wanted, "CUDA needs a driver that answers; until then everything runs on the CPU", fix)


def _count(found: Cards, rig: Rig | None) -> Line:
    names = sorted({card.name for card in found.cards})
    shown = f"{len(found.cards)} x {', '.join(names)}"
    if rig is None:
        return Line("cards", "ok", shown)
    expected = f"{rig.devices} x {rig.device}"
    if len(found.cards) < rig.devices:
        fix = (
            f"the bus shows {found.on_bus}: the driver left one out, see `dmesg | grep -i -e nvrm -e xid`"
            if found.on_bus > len(found.cards)
            else "check the other card's seat, power cables and slot (`lspci | grep -i nvidia`); in a container, ask for all (`--gpus all`)"
        )
        return Line("cards", "failed", shown, expected, "a missing card halves throughput, and tensor_parallel=2 does not start", fix)
    if names != [rig.device]:
        why = "predictions and expectations are for another card"
        return Line(
            "cards",
            "warning",
            shown,
            expected,
            why,
            "compare with the rig that this is: --rig NAME, or make one with `seqgpt-lab calibrate`",
        )
    return Line("cards", "ok", shown, expected)


def _driver(found: Cards, rig: Rig | None, built: str) -> Line:
    """Whether it runs the CUDA of the PyTorch here, of which a major version's drivers run all; without one, that of the rig's."""
    shown = f"driver {found.driver or 'unknown'}, runs CUDA up to {found.cuda or 'unknown'}"
    expects = rig.expects if rig else {}
    branch, cuda = str(expects.get("driver", "")), str(expects.get("cuda", ""))
    if built and version(built)[:1] != version(cuda)[:1]:
        branch = ""  # of drivers for another CUDA than that of the PyTorch here
    newer = f"{branch} or newer" if branch else ""
    if built and found.cuda:
        low, wanted = version(found.cuda)[:1] < version(built)[:1], f"one that runs CUDA {_major(built)}"
        why = f"the PyTorch here is built for CUDA {built}, which this driver cannot run; its first CUDA call would fail"
    else:
        low, wanted = version(found.driver) < version(branch), newer
        why = f"PyTorch as the lab is tested with it is built for CUDA {cuda}, which older drivers cannot run"
    if not low:
        return Line("driver", "ok", shown, wanted)
    other = f", or a PyTorch built for CUDA {_major(found.cuda)}" if found.cuda else ""
    return Line(
        "driver", "failed", shown, wanted, why, f"install {f'driver {newer}' if newer else f'a driver for CUDA {_major(built)}'}{other}"
    )


def _major(cuda: str) -> str:
    return cuda.split(".")[0]


def _capability(cards: Sequence[Card], rig: Rig | None) -> Iterator[Line]:
    shown = ", ".join(sorted({card.capability or "unknown" for card in cards}))
    wanted = str(rig.expects.get("compute_capability", "")) if rig else ""
    low = any(card.capability and version(card.capability) < (8, 0) for card in cards)
    if low:
        yield Line(
            "capability",
            "warning",
            shown,
            wanted or "8.0",
            "flash-attn and fast bf16 begin at 8.0",
            "use --attention sdpa --dtype fp16 on this card",
        )
    else:
        differs = bool(wanted) and shown != wanted
        yield Line("capability", "note" if differs else "ok", shown, wanted, "not the card this rig is about" if differs else "")


def _link(card: Card, rig: Rig | None) -> Line:
    """Width is the slot's or a riser's; the generation falls to 1 while a card idles, which mends itself under load."""
    name = f"link {card.index}"
    if card.width is None or card.generation is None:
        return Line(name, "note", "the driver does not say", why="virtual machines often hide the link")
    shown = f"PCIe {card.generation}.0 x{card.width} now, {card.most_generation or '?'}.0 x{card.most_width or '?'} at most here"
    width = int(rig.expects.get("pcie_width", 0)) if rig else card.most_width or 0
    generation = int(rig.expects.get("pcie_generation", 0)) if rig else card.most_generation or 0
    expected = f"PCIe {generation}.0 x{width}" if rig else ""
    if card.width < width:
        slot = (card.most_width or 0) < width
        cause = f"the slot has x{card.most_width} lanes for it" if slot else f"the link came up with x{card.width} of x{card.most_width}"
        why = f"{cause}: copies and sums between cards run at {card.width}/{width} of the speed; one card alone is barely slower"
        fix = "move the card to an x16 slot, or take out what shares its lanes (an M.2 disk, another card); the board's manual says which"
        return Line(
            name,
            "warning",
            shown,
            expected,
            why,
            fix if slot else "reseat the card and its riser, and look for dust on the contacts; then reboot",
        )
    if (card.most_generation or generation) < generation:
        why = "the slot, a riser or a BIOS setting holds the link down"
        return Line(
            name, "warning", shown, expected, why, f"set the slot to PCIe {generation}.0 or auto in the BIOS; try without the riser"
        )
    if card.generation < generation:
        why = "normal for a card at rest: it saves power and comes up to speed under load; check again while it works"
        return Line(name, "note", shown, expected, why)
    return Line(name, "ok", shown, expected)


def _nvlink(found: Cards, rig: Rig | None) -> Line:
    active = [card.nvlinks or 0 for card in found.cards]
    shown = f"{min(active)} active link(s) a card" if any(active) else "none"
    if rig is None or rig.devices < 2 or "nvlink" not in rig.expects:
        return Line("nvlink", "ok", shown)
    if rig.expects["nvlink"] and not all(active):
        return Line(
            "nvlink",
            "warning",
            shown,
            "active",
            "sums between cards go over PCIe instead",
            "seat the bridge; `nvidia-smi nvlink -s` shows each link",
        )
    if not rig.expects["nvlink"] and not any(active):
        return Line("nvlink", "ok", f"{shown}, and this card has no connector for it", "none")
    return Line("nvlink", "ok", shown)


def _peer(found: Cards, rig: Rig | None) -> Iterator[Line]:
    if not found.peers:
        return
    shown = "yes" if all(found.peers.values()) else "no"
    expected = bool(rig.expects.get("peer_to_peer")) if rig else False
    if shown == "no" and expected:
        yield Line(
            "peer-to-peer",
            "warning",
            shown,
            "yes",
            "sums go through host memory",
            "turn ACS and IOMMU off in the BIOS; `nvidia-smi topo -p2p r` shows pairs",
        )
    elif shown == "no":
        why = "the driver switches it off for this card: sums go through /dev/shm. If tensor_parallel=2 hangs, set NCCL_P2P_DISABLE=1"
        yield Line("peer-to-peer", "note", shown, "no" if rig else "", why)
    else:
        yield Line("peer-to-peer", "ok", shown)


def version(text: str) -> tuple[int, ...]:
    """The numbers of a version text, such as (535, 129, 3); empty for an unknown one, which is below every other."""
    return tuple(int(part) for part in re.findall(r"\d+", text))
