"""A simulated NVML with the answers of a healthy rig of two RTX 4090, and facts of a machine around it, to be spoilt one at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from seqgpt_lab.apps.doctor.host_checks import Host
from seqgpt_lab.apps.doctor.torch_checks import Torch

GIB = 2**30


@dataclass
class SimulatedInstance:
    """What one MIG instance answers: to what a card does too, but its name."""

    name: str
    uuid: str
    total: int = 18 * GIB
    used: int = 50 * 2**20
    holders: list[Any] = field(default_factory=list)
    graphics: list[Any] = field(default_factory=list)


@dataclass
class SimulatedCard:
    """What one card answers. parts: of one in MIG mode, None where an instance could be and is not; without the list it knows no MIG."""

    name: str = "NVIDIA GeForce RTX 4090"
    total: int = 25757220864  # as the driver reports 24 GiB less what it keeps
    used: int = 420 * 2**20
    capability: tuple[int, int] = (8, 9)
    generation: int = 4
    most_generation: int = 4
    width: int = 16
    most_width: int = 16
    holders: list[Any] = field(default_factory=list)
    graphics: list[Any] = field(default_factory=list)
    uuid: str = "GPU-11111111-2222"
    parts: list[SimulatedInstance | None] | None = None


class SimulatedNvml:
    """Answers as pynvml does, with its errors: a card without NVLink says NotSupported, peers say why not, and in MIG mode a card tells
    its memory to nobody but root."""

    def __init__(self, *cards: SimulatedCard, driver: str = "580.95.05", cuda: int = 13000, trouble: int | None = None) -> None:
        self.cards, self.driver, self.cuda, self.trouble, self.open = list(cards), driver, cuda, trouble, False
        self.peer = pynvml.NVML_P2P_STATUS_CHIPSET_NOT_SUPPORTED

    def nvmlInit(self) -> None:  # noqa: N802
        if self.trouble is not None:
            raise pynvml.NVMLError(self.trouble)
        self.open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open = False

    def __getattr__(self, name: str) -> Any:
        cards = self.cards
        answers = {
            "nvmlDeviceGetCount": lambda: len(cards),
            "nvmlDeviceGetHandleByIndex": lambda index: cards[index],
            "nvmlSystemGetDriverVersion": lambda: self.driver,
            "nvmlSystemGetCudaDriverVersion": lambda: self.cuda,
            "nvmlDeviceGetName": lambda card: card.name,
            "nvmlDeviceGetMemoryInfo": self._memory,
            "nvmlDeviceGetUUID": lambda card: card.uuid,
            "nvmlDeviceGetMigMode": self._mig_mode,
            "nvmlDeviceGetMaxMigDeviceCount": lambda card: len(card.parts),
            "nvmlDeviceGetMigDeviceHandleByIndex": self._part,
            "nvmlDeviceGetCudaComputeCapability": lambda card: card.capability,
            "nvmlDeviceGetCurrPcieLinkGeneration": lambda card: card.generation,
            "nvmlDeviceGetMaxPcieLinkGeneration": lambda card: card.most_generation,
            "nvmlDeviceGetCurrPcieLinkWidth": lambda card: card.width,
            "nvmlDeviceGetMaxPcieLinkWidth": lambda card: card.most_width,
            "nvmlDeviceGetComputeRunningProcesses": lambda card: card.holders,
            "nvmlDeviceGetGraphicsRunningProcesses": lambda card: card.graphics,
            "nvmlDeviceGetP2PStatus": lambda one, other, what: self.peer,
        }
        if name == "nvmlDeviceGetNvLinkState":
            return self._no_nvlink
        if name not in answers:
            raise AttributeError(name)
        return answers[name]

    @staticmethod
    def _memory(card: SimulatedCard | SimulatedInstance) -> SimpleNamespace:
        if isinstance(card, SimulatedCard) and card.parts is not None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NO_PERMISSION)
        return SimpleNamespace(total=card.total, used=card.used, free=card.total - card.used)

    @staticmethod
    def _mig_mode(card: SimulatedCard) -> list[int]:
        if card.parts is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return [pynvml.NVML_DEVICE_MIG_ENABLE, pynvml.NVML_DEVICE_MIG_ENABLE]

    @staticmethod
    def _part(card: SimulatedCard, place: int) -> SimulatedInstance:
        found = (card.parts or [])[place]
        if found is None:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return found

    @staticmethod
    def _no_nvlink(card: SimulatedCard, link: int) -> int:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def process(pid: int, memory: int | None) -> SimpleNamespace:
    """A process as NVML lists it."""
    return SimpleNamespace(pid=pid, usedGpuMemory=memory)


def split_card(*parts: SimulatedInstance | None) -> SimulatedCard:
    """An H200 in MIG mode."""
    return SimulatedCard(name="NVIDIA H200", capability=(9, 0), uuid="GPU-99999999-8888", parts=list(parts))


@pytest.fixture
def healthy() -> SimulatedNvml:
    return SimulatedNvml(SimulatedCard(), SimulatedCard(generation=1, width=16, uuid="GPU-33333333-4444"))  # the second one is at rest


@pytest.fixture
def rig_torch() -> Torch:
    """PyTorch as it should be on the rig."""
    kernels = ("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120")
    products = tuple((device, "float16") for device in ("cpu", "cuda:0", "cuda:1"))
    return Torch("2.13.0", "13.0", devices=2, cudnn=91002, kernels=kernels, products=products, flash="2.8.3")


@pytest.fixture
def rig_host() -> Host:
    return Host("Linux-6.8.0-x86_64-with-glibc2.35", 67_200_000_000, None, 33_000_000_000, "nvme", 5.1e9, "tiny", ("AMX",), 32, 32)
