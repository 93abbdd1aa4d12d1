"""The machine check on simulated rigs: the right diagnosis and remedy for each fault, and nothing else wrong."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pynvml
import pytest

from seqgpt_lab.apps.doctor.card_checks import check_cards
from seqgpt_lab.apps.doctor.examine import choose_rig
from seqgpt_lab.apps.doctor.host_checks import Host, check_host
from seqgpt_lab.apps.doctor.line import Line, as_text, exit_code
from seqgpt_lab.apps.doctor.nvml import read_cards
from seqgpt_lab.apps.doctor.room_checks import NEEDED_BYTES
from seqgpt_lab.apps.doctor.software_checks import Software, check_software
from seqgpt_lab.apps.doctor.torch_checks import Torch, check_torch
from seqgpt_lab.studies.costs import Machine
from seqgpt_lab.studies.passes import Workload
from seqgpt_lab.studies.plan_memory import memory
from seqgpt_lab.studies.planner import SEQGPT_560M
from seqgpt_lab.studies.rigs import Rig
from tests.apps.doctor.conftest import GIB, SimulatedCard, SimulatedNvml, process


@pytest.fixture
def bus(tmp_path: Path) -> Path:
    """A PCI bus with two NVIDIA cards, each with its sound device, and a network card."""
    for slot, (vendor, kind) in enumerate([("0x10de", "0x030000"), ("0x10de", "0x040300")] * 2 + [("0x8086", "0x020000")]):
        folder = tmp_path / f"0000:{slot:02x}:00.0"
        folder.mkdir()
        (folder / "vendor").write_text(f"{vendor}\n")
        (folder / "class").write_text(f"{kind}\n")
    return tmp_path


@pytest.fixture
def rig() -> Rig:
    return Rig.load("dual-4090")


def wrong(lines: list[Line]) -> dict[str, Line]:
    """The lines that want mending, by name."""
    return {line.name: line for line in lines if line.status in ("warning", "failed")}


def everything(nvml: SimulatedNvml, bus: Path, torch: Torch, host: Host, rig: Rig | None) -> list[Line]:
    cards = read_cards(nvml, bus)
    return [*check_cards(cards, rig, torch.cuda), *check_torch(torch, cards, rig), *check_host(host, rig)]


def test_a_healthy_rig_has_nothing_to_mend(healthy: SimulatedNvml, bus: Path, rig_torch: Torch, rig_host: Host, rig: Rig) -> None:
    lines = everything(healthy, bus, rig_torch, rig_host, rig)
    assert not wrong(lines) and exit_code(lines) == 0 and not healthy.open
    shown = {line.name: line for line in lines}
    assert shown["cards"].found == "2 x NVIDIA GeForce RTX 4090"
    assert shown["link 0"].status == "ok" and shown["link 1"].status == "note" and "at rest" in shown["link 1"].why
    assert shown["peer-to-peer"].status == "note" and "NCCL_P2P_DISABLE=1" in shown["peer-to-peer"].why
    assert shown["nvlink"].found.startswith("none") and shown["nvlink"].status == "ok"
    assert choose_rig(read_cards(healthy, bus)) == rig


def test_links_between_cards_that_a_rig_has_and_that_are_not_there(healthy: SimulatedNvml, bus: Path, rig: Rig) -> None:
    linked = replace(rig, expects={**rig.expects, "nvlink": True, "peer_to_peer": True})
    found = wrong(check_cards(read_cards(healthy, bus), linked))
    assert {name: line.status for name, line in found.items()} == {"nvlink": "warning", "peer-to-peer": "warning"}
    assert "over PCIe" in found["nvlink"].why and "bridge" in found["nvlink"].fix
    assert "host memory" in found["peer-to-peer"].why and "ACS and IOMMU" in found["peer-to-peer"].fix


def test_cards_of_another_kind_and_cards_before_ampere(bus: Path, rig: Rig, rig_torch: Torch) -> None:
    other = read_cards(SimulatedNvml(*[SimulatedCard(name="NVIDIA RTX 6000 Ada Generation")] * 2), bus)
    found = wrong(check_cards(other, rig))
    assert found.keys() == {"cards"} and found["cards"].status == "warning" and "--rig NAME" in found["cards"].fix
    old = read_cards(SimulatedNvml(*[SimulatedCard(name="Tesla T4", capability=(7, 5))] * 2), bus)
    found = wrong([*check_cards(old, None), *check_torch(rig_torch, old, None)])
    assert {name: line.status for name, line in found.items()} == {"capability": "warning", "flash-attn": "warning"}
    assert "--attention sdpa" in found["capability"].fix and "older than Ampere" in found["flash-attn"].found


def test_a_thread_a_core_is_not_blamed_on_a_variable(rig_host: Host) -> None:
    """PyTorch takes one thread a core by itself, also where a core runs two."""
    for held, status in (("", "ok"), ("OMP_NUM_THREADS=16", "note")):
        (line,) = (one for one in check_host(replace(rig_host, threads=16, held_threads=held), None) if one.name == "processor")
        assert line.status == status and held in line.why


def test_more_threads_than_a_containers_quota_has_processors(rig_host: Host) -> None:
    few = replace(rig_host, quota=2.5, threads=16)
    found = wrong(check_host(few, None))
    assert found.keys() == {"processor"} and found["processor"].status == "warning"
    assert "quota leaves that of 2.5" in found["processor"].found and "OMP_NUM_THREADS=2 " in found["processor"].fix
    assert not wrong(check_host(replace(few, threads=2), None))


def test_an_x8_slot(bus: Path, rig: Rig, rig_torch: Torch, rig_host: Host) -> None:
    nvml = SimulatedNvml(SimulatedCard(), SimulatedCard(width=8, most_width=8))
    found = wrong(everything(nvml, bus, rig_torch, rig_host, rig))
    assert found.keys() == {"link 1"} and found["link 1"].status == "warning"
    assert "x8 lanes" in found["link 1"].why and "8/16" in found["link 1"].why and "x16 slot" in found["link 1"].fix


def test_a_link_that_came_up_narrow_is_not_blamed_on_the_slot(bus: Path, rig: Rig) -> None:
    found = wrong(check_cards(read_cards(SimulatedNvml(SimulatedCard(width=4), SimulatedCard()), bus), rig))
    assert "x4 of x16" in found["link 0"].why and "reseat" in found["link 0"].fix


def test_a_slot_of_an_older_generation(bus: Path, rig: Rig) -> None:
    found = wrong(check_cards(read_cards(SimulatedNvml(SimulatedCard(generation=3, most_generation=3), SimulatedCard()), bus), rig))
    assert found.keys() == {"link 0"} and "BIOS" in found["link 0"].fix


@pytest.mark.parametrize(("path", "remedy"), [("", "pip install --force-reinstall"), ("/usr/local/cuda/lib64", "unset LD_LIBRARY_PATH")])
def test_missing_cudnn(healthy: SimulatedNvml, bus: Path, rig: Rig, rig_torch: Torch, rig_host: Host, path: str, remedy: str) -> None:
    trouble = "libcudnn.so.9: cannot open shared object file: No such file or directory"
    torch = replace(rig_torch, cudnn=None, cudnn_trouble=trouble, library_path=path)
    lines = everything(healthy, bus, torch, rig_host, rig)
    assert wrong(lines).keys() == {"cudnn"} and exit_code(lines) == 1
    assert wrong(lines)["cudnn"].found == trouble and wrong(lines)["cudnn"].fix.startswith(remedy)


def test_a_second_cudnn_in_front_of_pytorchs_own(healthy: SimulatedNvml, bus: Path, rig: Rig, rig_torch: Torch, tmp_path: Path) -> None:
    (tmp_path / "libcudnn.so.8").touch()
    torch = replace(rig_torch, cudnn=8907, library_path=f"{tmp_path}:/nowhere")
    found = wrong(check_torch(torch, read_cards(healthy, bus), rig))
    assert found.keys() == {"cudnn", "library-path"} and found["cudnn"].found == "8.9.7"
    assert str(tmp_path) in found["library-path"].found


def test_a_card_held_by_a_stale_process(bus: Path, rig: Rig, rig_torch: Torch, rig_host: Host) -> None:
    held = SimulatedCard(used=22 * GIB, holders=[process(os.getpid(), 15 * GIB), process(999_999_999, None)])
    lines = everything(SimulatedNvml(held, SimulatedCard()), bus, rig_torch, rig_host, rig)
    found = wrong(lines)
    assert found.keys() == {"holders 0", "memory 0"} and exit_code(lines) == 1
    assert f"pid {os.getpid()} (" in found["holders 0"].found and "15.0 GiB" in found["holders 0"].found
    assert "not visible from here" in found["holders 0"].found and f"kill {os.getpid()} (" in found["holders 0"].fix
    assert "kill 999999999" not in found["holders 0"].fix and "999999999 cannot be seen" in found["holders 0"].fix
    assert found["memory 0"].status == "failed" and "holders 0" in found["memory 0"].fix


def test_memory_wanted_is_what_the_planner_expects(rig: Rig) -> None:
    planned = memory(Machine(rig, SEQGPT_560M, "fp16"), Workload.of(16, 512, 40)).total
    assert planned <= NEEDED_BYTES <= planned + GIB / 2


def test_memory_taken_by_something_unseen(bus: Path, rig: Rig) -> None:
    cards = read_cards(SimulatedNvml(SimulatedCard(used=6 * GIB), SimulatedCard(used=6 * GIB, graphics=[process(1, 5 * GIB)])), bus)
    found = wrong(check_cards(cards, rig))
    assert found.keys() == {"holders 0"} and "fuser" in found["holders 0"].fix


def test_one_card_of_two_visible_to_the_driver(bus: Path, rig: Rig, rig_torch: Torch, rig_host: Host) -> None:
    torch = replace(rig_torch, devices=1, products=rig_torch.products[:2])
    found = wrong(everything(SimulatedNvml(SimulatedCard()), bus, torch, rig_host, rig))
    assert found.keys() == {"cards"} and found["cards"].status == "failed"
    assert "the bus shows 2" in found["cards"].fix and "dmesg" in found["cards"].fix


def test_one_card_of_two_visible_to_pytorch(healthy: SimulatedNvml, bus: Path, rig: Rig, rig_torch: Torch, rig_host: Host) -> None:
    torch = replace(rig_torch, devices=1, products=rig_torch.products[:2], visible="0")
    lines = everything(healthy, bus, torch, rig_host, rig)
    found = wrong(lines)
    assert found.keys() == {"visible-cards"} and exit_code(lines) == 1
    assert found["visible-cards"].found == "PyTorch sees 1 of 2" and "unset CUDA_VISIBLE_DEVICES" in found["visible-cards"].fix


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "container toolkit"),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "modprobe"),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "reboot"),
        (pynvml.NVML_ERROR_UNKNOWN, "nvidia-smi"),
    ],
)
def test_a_gpu_without_nvml(bus: Path, error: int, remedy: str) -> None:
    cards = read_cards(SimulatedNvml(trouble=error), bus)
    rig = choose_rig(cards)
    (line,) = check_cards(cards, rig)
    assert rig is not None and rig.name == "dual-4090"
    assert line.status == "failed" and line.found.startswith("2 NVIDIA card(s) on the PCI bus") and remedy in line.fix


def test_no_gpu_is_a_note_unless_a_rig_wants_one(tmp_path: Path, rig: Rig) -> None:
    cards = read_cards(SimulatedNvml(trouble=pynvml.NVML_ERROR_LIBRARY_NOT_FOUND), tmp_path)
    assert choose_rig(cards) is None
    assert [line.status for line in check_cards(cards, None)] == ["note"]
    assert [(line.status, line.expected) for line in check_cards(cards, rig)] == [("failed", "2 x NVIDIA GeForce RTX 4090")]


def test_the_articles_driver_is_too_old_for_this_pytorch(bus: Path, rig: Rig, rig_torch: Torch) -> None:
    cards = read_cards(SimulatedNvml(SimulatedCard(), SimulatedCard(), driver="535.129.03", cuda=12020), bus)
    found = wrong(check_cards(cards, rig, rig_torch.cuda))
    assert found.keys() == {"driver"} and "built for CUDA 13.0" in found["driver"].why
    assert found["driver"].fix == "install driver 580 or newer, or a PyTorch built for CUDA 12"
    found = wrong(check_torch(rig_torch, cards, rig))
    assert found.keys() == {"torch-cuda"} and "up to 12.2" in found["torch-cuda"].why


@pytest.mark.parametrize("built", ["12.1", "12.8", "11.8"])
def test_a_driver_is_right_that_runs_the_pytorch_that_is_here(bus: Path, rig: Rig, rig_torch: Torch, built: str) -> None:
    """Who has followed the advice and installed a PyTorch for the driver has nothing to mend; 12.2 runs all of CUDA 12."""
    cards = read_cards(SimulatedNvml(SimulatedCard(), SimulatedCard(), driver="535.129.03", cuda=12020), bus)
    assert not wrong([*check_cards(cards, rig, built), *check_torch(replace(rig_torch, cuda=built), cards, rig)])


def test_a_driver_is_compared_with_the_rigs_where_pytorch_has_no_cuda(bus: Path, rig: Rig) -> None:
    old, new = (
        read_cards(SimulatedNvml(SimulatedCard(), SimulatedCard(), driver=driver, cuda=cuda), bus)
        for driver, cuda in (("535.129.03", 12020), ("580.95.05", 13000))
    )
    found = wrong(check_cards(old, rig, ""))
    assert found.keys() == {"driver"} and found["driver"].expected == "580 or newer" and "is tested with" in found["driver"].why
    assert not wrong(check_cards(new, rig, "")) and not wrong(check_cards(old, None, ""))


def test_a_driver_for_a_pytorch_that_no_rig_tells_of(bus: Path) -> None:
    cards = read_cards(SimulatedNvml(SimulatedCard(), driver="470.10", cuda=11040), bus)
    assert wrong(check_cards(cards, None, "12.8"))["driver"].fix == "install a driver for CUDA 12, or a PyTorch built for CUDA 11"


@pytest.mark.parametrize(
    ("change", "name", "told"),
    [
        ({"kernels": ("sm_50", "sm_60")}, "kernels", "no kernel image"),
        ({"products": (("cpu", "float16"), ("cuda:0", "float32"))}, "fp16-product", "another precision"),
        ({"flash": "2.3.0"}, "flash-attn", "no ALiBi"),
        ({"flash": "", "flash_trouble": "it is not installed"}, "flash-attn", "SDPA"),
        ({"flash": "2.8.3", "flash_trouble": "undefined symbol: _ZN3c10"}, "flash-attn", "SDPA"),
        ({"cuda": "", "devices": 0}, "torch-cuda", "CPU build"),
        ({"devices": 2, "trouble": "CUDA unknown error"}, "torch-cuda", "on the CPU"),
    ],
)
def test_what_pytorch_lacks(
    healthy: SimulatedNvml, bus: Path, rig: Rig, rig_torch: Torch, change: dict[str, object], name: str, told: str
) -> None:
    found = wrong(check_torch(replace(rig_torch, **change), read_cards(healthy, bus), rig))  # type: ignore[arg-type]
    assert found.keys() == {name} and told in found[name].why


@pytest.mark.parametrize(
    ("change", "name", "status", "told"),
    [
        ({"shm_bytes": None}, "shm", "failed", "--shm-size"),
        ({"shm_bytes": 64 * 2**20}, "shm", "warning", "--shm-size"),
        ({"limit_bytes": 3_000_000_000}, "ram", "failed", "limit"),
        ({"ram_bytes": 33_000_000_000}, "ram", "warning", "add memory"),
        ({"disk": "hdd"}, "disk", "warning", "NVMe"),
        ({"system": "Windows-11"}, "system", "warning", "WSL"),
    ],
)
def test_what_the_machine_lacks(rig_host: Host, rig: Rig, change: dict[str, object], name: str, status: str, told: str) -> None:
    found = wrong(check_host(replace(rig_host, **change), rig))  # type: ignore[arg-type]
    assert found.keys() == {name} and found[name].status == status and told in found[name].fix


def test_a_container_without_shared_memory_is_only_a_risk_on_one_card_or_none(rig_host: Host) -> None:
    assert wrong(check_host(replace(rig_host, shm_bytes=None), None))["shm"].status == "warning"


def test_what_software_lacks() -> None:
    good = Software("3.11.7", 30, (), (), "/usr/share/fonts/wqy.ttc", "4.6.6", "8.1.9", True, True)
    assert not wrong(check_software(good))
    bad = Software("3.10.2", 30, ("torch is 2.1.0, wanted ==2.13.0",), (), "", "4.6.6", "8.1.9", False, True)
    found = wrong(check_software(bad))
    assert {name: line.status for name, line in found.items()} == {
        "python": "failed",
        "packages": "failed",
        "font": "warning",
        "jupyter": "warning",
    }
    assert "torch is 2.1.0" in found["packages"].found
    assert "matplotlib is missing" in wrong(check_software(replace(good, absent_extras=("matplotlib is missing",))))["packages"].found


@pytest.mark.parametrize(
    ("tree", "own", "notebooks"),
    [
        (True, "make setup", "pip install -c constraints.txt -e '.[lab]'"),
        (False, "pip install seqgpt-lab", "pip install 'seqgpt-lab[lab]'"),
    ],
    ids=["source tree", "installed"],
)
def test_packages_are_brought_from_where_the_lab_came(tree: bool, own: str, notebooks: str) -> None:
    bare = Software("3.11.7", 30, (), ("matplotlib is missing",), "/usr/share/fonts/wqy.ttc", "", "", False, tree)
    assert {name: line.fix for name, line in wrong(check_software(bare)).items()} == {"packages": notebooks, "jupyter": notebooks}
    assert wrong(check_software(replace(bare, unmet=("torch is 2.1.0, wanted ==2.13.0",))))["packages"].fix == own


def test_text_names_what_to_do_and_hides_what_is_well() -> None:
    text = as_text(
        [Line("a", "ok", "fine", "fine", "never mind", "nothing"), Line("b", "failed", "odd", "even", "it matters", "do this")], "r"
    )
    assert "expected" not in as_text([Line("c", "note", "no", "no")], "r")
    assert "never mind" not in text and "why: it matters" in text and "fix: do this" in text and text.endswith("1 ok, 1 failed")
