"""What NVML knows of the cards, as plain facts; judges nothing. Whatever looks like the pynvml module can be asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pynvml

_NVIDIA = "0x10de"
_DISPLAY_CLASSES = ("0x0300", "0x0302")  # VGA and 3D controllers
_MOST_LINKS = 18

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Holder:
    """A process with memory on a card. command and started (seconds since the epoch) are empty where this process may not look."""

    pid: int
    memory_bytes: int | None
    command: str = ""
    started: float | None = None


@dataclass(frozen=True, slots=True)
class Instance:
    """A part of a card in MIG mode that CUDA takes for a device; name: its profile, such as '1g.18gb'. None where NVML does not say."""

    name: str
    uuid: str
    memory_bytes: int | None
    used_bytes: int | None
    holders: tuple[Holder, ...] = ()
    graphics: tuple[Holder, ...] = ()


@dataclass(frozen=True, slots=True)
class Card:
    """One card; None where NVML does not say. generation, width: of the PCIe link now; most_*: that card and slot can reach together.
    nvlinks: active ones. graphics: processes that draw, such as a desktop. split: in MIG mode, into the instances."""

    index: int
    name: str
    memory_bytes: int | None
    used_bytes: int | None
    capability: str | None
    generation: int | None
    most_generation: int | None
    width: int | None
    most_width: int | None
    nvlinks: int | None
    holders: tuple[Holder, ...] = ()
    graphics: tuple[Holder, ...] = ()
    uuid: str = ""
    split: bool = False
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True, slots=True)
class Cards:
    """All cards. trouble: why NVML did not answer, with the class of its error. on_bus: NVIDIA cards on the PCI bus, driver or not.

    cuda: the newest the driver can run, such as '13.0'. peers: whether each pair can read one another's memory.
    """

    cards: tuple[Card, ...] = ()
    driver: str = ""
    cuda: str = ""
    trouble: str = ""
    trouble_kind: str = ""
    on_bus: int = 0
    peers: dict[tuple[int, int], bool] = field(default_factory=dict)


def read_cards(nvml: Any = pynvml, bus: Path = Path("/sys/bus/pci/devices")) -> Cards:
    """Ask NVML; any of its errors becomes a fact, none is raised. nvml: pynvml, or what answers as it does."""
    on_bus = count_on_bus(bus)
    try:
        nvml.nvmlInit()
    except pynvml.NVMLError as error:
        return Cards(trouble=str(error), trouble_kind=type(error).__name__.removeprefix("NVMLError_"), on_bus=on_bus)
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
        number = _ask(nvml.nvmlSystemGetCudaDriverVersion) or 0
        return Cards(
            cards=tuple(_card(nvml, index, handle) for index, handle in enumerate(handles)),
            driver=_text(_ask(nvml.nvmlSystemGetDriverVersion)),
            cuda=f"{number // 1000}.{number % 1000 // 10}" if number else "",
            on_bus=on_bus,
            peers=_peers(nvml, handles),
        )
    except pynvml.NVMLError as error:
        return Cards(trouble=str(error), trouble_kind=type(error).__name__.removeprefix("NVMLError_"), on_bus=on_bus)
    finally:
        _ask(nvml.nvmlShutdown)


def count_on_bus(bus: Path) -> int:
    """NVIDIA display controllers that the kernel sees, whether or not a driver has them; 0 without sysfs."""
    found = 0
    for device in bus.glob("*"):
        try:
            vendor, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
        except OSError:
            continue
        found += vendor == _NVIDIA and kind.startswith(_DISPLAY_CLASSES)
    return found


def _card(nvml: Any, index: int, handle: Any) -> Card:
    memory = _ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    capability = _ask(nvml.nvmlDeviceGetCudaComputeCapability, handle)
    split = bool((_ask(nvml.nvmlDeviceGetMigMode, handle) or (0, 0))[0])  # as it is now, and after the next reset
    return Card(
        index=index,
        name=_text(_ask(nvml.nvmlDeviceGetName, handle)) or "unnamed",
        memory_bytes=memory and int(memory.total),
        used_bytes=memory and int(memory.used),
        capability=capability and f"{capability[0]}.{capability[1]}",
        generation=_ask(nvml.nvmlDeviceGetCurrPcieLinkGeneration, handle),
        most_generation=_ask(nvml.nvmlDeviceGetMaxPcieLinkGeneration, handle),
        width=_ask(nvml.nvmlDeviceGetCurrPcieLinkWidth, handle),
        most_width=_ask(nvml.nvmlDeviceGetMaxPcieLinkWidth, handle),
        nvlinks=_nvlinks(nvml, handle),
        holders=tuple(map(_holder, _ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ())),
        graphics=tuple(map(_holder, _ask(nvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or ())),
        uuid=_text(_ask(nvml.nvmlDeviceGetUUID, handle)),
        split=split,
        instances=_instances(nvml, handle) if split else (),
    )


def _instances(nvml: Any, handle: Any) -> tuple[Instance, ...]:
    """Those that were made, in order; NVML has a number for each that there could be."""
    places = range(_ask(nvml.nvmlDeviceGetMaxMigDeviceCount, handle) or 0)
    found = [_ask(nvml.nvmlDeviceGetMigDeviceHandleByIndex, handle, place) for place in places]
    return tuple(_instance(nvml, part) for part in found if part is not None)


def _instance(nvml: Any, handle: Any) -> Instance:
    memory = _ask(nvml.nvmlDeviceGetMemoryInfo, handle)
    return Instance(
        name=_text(_ask(nvml.nvmlDeviceGetName, handle)).rpartition("MIG ")[2] or "unnamed",
        uuid=_text(_ask(nvml.nvmlDeviceGetUUID, handle)),
        memory_bytes=memory and int(memory.total),
        used_bytes=memory and int(memory.used),
        holders=tuple(map(_holder, _ask(nvml.nvmlDeviceGetComputeRunningProcesses, handle) or ())),
        graphics=tuple(map(_holder, _ask(nvml.nvmlDeviceGetGraphicsRunningProcesses, handle) or ())),
    )


def _holder(process: Any) -> Holder:
    """The process by its id; one in another container, or one that has ended, has no name here."""
    memory = process.usedGpuMemory
    try:
        known = psutil.Process(process.pid)
        command = " ".join(known.cmdline()) or known.name()
        return Holder(process.pid, memory, command, known.create_time())
    except psutil.Error:
        return Holder(process.pid, memory)


def _nvlinks(nvml: Any, handle: Any) -> int | None:
    """Active links; None where the card has none to ask."""
    states = [_ask(nvml.nvmlDeviceGetNvLinkState, handle, link) for link in range(_MOST_LINKS)]
    known = [state for state in states if state is not None]
    return sum(map(int, known)) if known else None


def _peers(nvml: Any, handles: list[Any]) -> dict[tuple[int, int], bool]:
    found = {}
    for one, other in combinations(range(len(handles)), 2):
        status = _ask(nvml.nvmlDeviceGetP2PStatus, handles[one], handles[other], pynvml.NVML_P2P_CAPS_INDEX_READ)
        if status is not None:
            found[one, other] = status == pynvml.NVML_P2P_STATUS_OK
    return found


def _ask(question: Callable[..., Value], *arguments: Any) -> Value | None:
    """The answer, or None where the card or the driver has none."""
    try:
        return question(*arguments)
    except (pynvml.NVMLError, AttributeError):  # an older library lacks a function
        return None


def _text(value: str | bytes | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
