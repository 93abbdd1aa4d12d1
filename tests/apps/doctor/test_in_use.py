"""What CUDA gives a process of the cards: some of several, or one MIG instance; the doctor judges that, and not what is left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqgpt_lab.apps.doctor import torch_checks
from seqgpt_lab.apps.doctor.card_checks import check_cards
from seqgpt_lab.apps.doctor.examine import choose_rig
from seqgpt_lab.apps.doctor.in_use import in_use
from seqgpt_lab.apps.doctor.line import Line, exit_code
from seqgpt_lab.apps.doctor.nvml import Instance, read_cards
from seqgpt_lab.apps.doctor.torch_checks import Torch, check_torch, read_torch
from seqgpt_lab.studies.rigs import Rig
from tests.apps.doctor.conftest import GIB, SimulatedCard, SimulatedInstance, SimulatedNvml, process, split_card

SMALL = SimulatedInstance("NVIDIA H200 MIG 1g.18gb", "MIG-aaaa-1")
LARGE = SimulatedInstance("NVIDIA H200 MIG 3g.71gb", "MIG-bbbb-2", total=70 * GIB)
WHOLE = SimulatedCard(name="NVIDIA H200", capability=(9, 0), uuid="GPU-77777777-6666")


def lines_of(nvml: SimulatedNvml, torch: Torch, folder: Path, rig: Rig | None = None) -> dict[str, Line]:
    cards = read_cards(nvml, folder)
    return {line.name: line for line in (*check_cards(cards, rig, torch.cuda, torch.visible), *check_torch(torch, cards, rig))}


def one_device(torch: Torch, visible: str | None) -> Torch:
    return replace(torch, devices=1, products=torch.products[:2], visible=visible)


@pytest.mark.parametrize(("visible", "used"), [(None, SMALL), ("MIG-bbbb-2", LARGE), ("MIG-bbbb-2,MIG-aaaa-1", LARGE), ("0", SMALL)])
def test_of_a_card_in_mig_mode_the_instance_in_use_is_judged(
    tmp_path: Path, rig_torch: Torch, visible: str | None, used: SimulatedInstance
) -> None:
    lines = lines_of(SimulatedNvml(split_card(SMALL, None, LARGE)), one_device(rig_torch, visible), tmp_path)
    assert exit_code(list(lines.values())) == 0 and lines["visible-cards"].status == "ok"
    assert lines["mig 0"].status == "note" and lines["mig 0"].found.startswith("MIG mode, instances 1g.18gb, 3g.71gb; ")
    assert f"({used.uuid}) is used here" in lines["mig 0"].found and "tensor_parallel=2" in lines["mig 0"].why
    assert lines["memory 0"].found.endswith(f"of {used.total / GIB:.1f} GiB free") and lines["memory 0"].status == "ok"


def test_an_instance_that_others_hold_is_named_as_a_card_is(tmp_path: Path, rig_torch: Torch) -> None:
    held = replace(SMALL, used=16 * GIB, holders=[process(999_999_999, 15 * GIB)])
    lines = lines_of(SimulatedNvml(split_card(held, LARGE)), one_device(rig_torch, None), tmp_path)
    assert lines["memory 0"].status == "failed" and lines["holders 0"].status == "warning"
    lines = lines_of(SimulatedNvml(split_card(held, LARGE)), one_device(rig_torch, "MIG-bbbb"), tmp_path)
    assert lines["memory 0"].status == "ok" and lines["holders 0"].status == "ok"


def test_mig_mode_without_an_instance(tmp_path: Path, rig_torch: Torch) -> None:
    nothing = replace(rig_torch, devices=0, products=rig_torch.products[:1], trouble="No CUDA GPUs are available")
    lines = lines_of(SimulatedNvml(split_card(None, None)), nothing, tmp_path)
    failed = {name for name, line in lines.items() if line.status == "failed"}
    assert failed == {"mig 0", "torch-cuda", "visible-cards"} and "memory 0" not in lines
    assert "-cgi" in lines["mig 0"].fix and "-i 0 -mig 0" in lines["mig 0"].fix and "`mig`" in lines["visible-cards"].fix


def test_a_name_that_is_no_instance_here(tmp_path: Path, rig_torch: Torch) -> None:
    nothing = replace(rig_torch, devices=0, products=rig_torch.products[:1], trouble="No CUDA GPUs are available", visible="MIG-cccc-3")
    lines = lines_of(SimulatedNvml(split_card(SMALL)), nothing, tmp_path)
    assert "'MIG-cccc-3', which names no device here (`nvidia-smi -L` lists them)" in lines["visible-cards"].fix
    assert "none of them is used here" in lines["mig 0"].found


def test_beside_an_instance_cuda_gives_no_card(tmp_path: Path, rig_torch: Torch) -> None:
    lines = lines_of(SimulatedNvml(WHOLE, split_card(SMALL)), one_device(rig_torch, None), tmp_path)
    assert lines["visible-cards"].status == "failed" and "`mig`" in lines["visible-cards"].fix
    assert "memory 0" not in lines and lines["memory 1"].status == "ok"
    lines = lines_of(SimulatedNvml(WHOLE, split_card(SMALL)), one_device(rig_torch, "0"), tmp_path)
    assert lines["visible-cards"].status == "note" and "none of them is used here" in lines["mig 1"].found
    assert "memory 1" not in lines and lines["memory 0"].status == "ok"


@pytest.mark.parametrize("visible", ["1", "GPU-33333333"])
def test_cards_that_are_left_out_on_purpose_are_not_judged(healthy: SimulatedNvml, tmp_path: Path, rig_torch: Torch, visible: str) -> None:
    """On a server others have theirs; a rig of two wants both all the same."""
    healthy.cards[0].used, healthy.cards[0].holders = 23 * GIB, [process(999_999_999, 22 * GIB)]
    mine = one_device(rig_torch, visible)
    lines = lines_of(healthy, mine, tmp_path)
    assert not [line for line in lines.values() if line.status in ("warning", "failed")] and "memory 0" not in lines
    assert lines["visible-cards"].status == "note" and f"CUDA_VISIBLE_DEVICES={visible}" in lines["visible-cards"].found
    assert lines_of(healthy, mine, tmp_path, Rig.load("dual-4090"))["visible-cards"].status == "failed"


def test_an_old_card_for_the_screen_that_is_left_out_spoils_nothing(tmp_path: Path, rig_torch: Torch) -> None:
    old = SimulatedCard(name="NVIDIA GeForce GT 710", total=GIB, capability=(3, 5))
    lines = lines_of(SimulatedNvml(old, SimulatedCard(uuid="GPU-5")), one_device(rig_torch, "GPU-5"), tmp_path)
    assert exit_code(list(lines.values())) == 0 and lines["kernels"].expected == "code for 8.9" and lines["flash-attn"].status == "ok"


@pytest.mark.parametrize(
    ("visible", "order", "used"),
    [
        (None, "", [0, 1]),
        ("1,0", "", [1, 0]),
        ("1,-1,0", "", [1]),
        ("7,0", "", []),
        ("", "", []),
        ("1", "PCI_BUS_ID", [1]),
    ],
)
def test_cards_are_named_as_cuda_reads_it(healthy: SimulatedNvml, tmp_path: Path, visible: str | None, order: str, used: list[int]) -> None:
    assert list(in_use(read_cards(healthy, tmp_path), visible, order)) == used


def test_numbers_of_unlike_cards_are_cudas_own_unless_they_follow_the_bus(tmp_path: Path) -> None:
    cards = read_cards(SimulatedNvml(SimulatedCard(), WHOLE), tmp_path)
    assert list(in_use(cards, "0")) == [0, 1] and list(in_use(cards, "0", "PCI_BUS_ID")) == [0]


def test_a_part_of_a_card_is_compared_with_no_rig(tmp_path: Path) -> None:
    h100 = Rig.load("h100")
    assert choose_rig(read_cards(SimulatedNvml(replace(WHOLE, name=h100.device)), tmp_path)) == h100
    assert choose_rig(read_cards(SimulatedNvml(replace(split_card(SMALL), name=h100.device)), tmp_path)) is None


def test_an_instance_is_read_with_its_profile(tmp_path: Path) -> None:
    (card,) = read_cards(SimulatedNvml(split_card(None, SMALL)), tmp_path).cards
    assert card.split and card.memory_bytes is None
    assert card.instances == (Instance("1g.18gb", "MIG-aaaa-1", 18 * GIB, 50 * 2**20),)


def test_devices_are_counted_when_cuda_has_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before, torch tells NVML's cards: of two in MIG mode CUDA gives one, and a product on the other would fail."""
    started: list[bool] = []
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "init", lambda: started.append(True))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1 if started else 2)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(torch_checks, "_cudnn", lambda: (91002, ""))
    monkeypatch.setattr(torch_checks, "_product", lambda device: "float16")
    found = read_torch()
    assert found.devices == 1 and found.products == (("cpu", "float16"), ("cuda:0", "float16"))
