"""Figures of a card are its own, not those of starting operations on it: measured on a card of known speed that is only simulated."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from seqgpt_lab.studies import calibrate as calibrate_module
from seqgpt_lab.studies import roofline as roofline_module
from seqgpt_lab.studies import speeds as speeds_module
from seqgpt_lab.studies.calibrate import calibrate
from seqgpt_lab.studies.rigs import Rig
from seqgpt_lab.studies.roofline import measure_roofline
from tests.studies.simulated_card import BANDWIDTH, FLOPS, seconds_of, simulated_card


@pytest.fixture(scope="module")
def rig() -> Rig:
    """The simulated card, calibrated; but for the loop, which looks at numbers."""
    about = SimpleNamespace(name="a card", total_memory=24e9, L2_cache_size=50e6)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speeds_module, "best_of", seconds_of)
        patch.setattr(calibrate_module, "resolve_device", lambda name: torch.device(name))
        patch.setattr(calibrate_module, "_overheads", lambda where: {"op_seconds": 6e-6, "row_seconds": 2e-5, "pass_seconds": 1e-4})
        patch.setattr(torch.cuda, "get_device_properties", lambda where: about)
        with simulated_card(patch):
            return calibrate("simulated", device="cuda:0")  # with its number: without one, PyTorch for CPUs cannot move there


def test_products_are_as_quick_as_the_card(rig: Rig) -> None:
    for dtype in ("fp32", "fp16", "bf16"):
        assert 0.8 * FLOPS < rig.flops[dtype] <= FLOPS
        assert 0.05 * FLOPS < rig.attention_flops[dtype] <= FLOPS  # it reads a bias beside keys and values


def test_reading_is_as_quick_as_the_cards_memory(rig: Rig) -> None:
    for found in (rig.bandwidth, *rig.single_query_bandwidth.values()):
        assert 0.5 * BANDWIDTH < found <= BANDWIDTH
    assert 0.5 * BANDWIDTH < rig.elementwise_bandwidth < 1.5 * BANDWIDTH  # of vectors, which it does not count as the simulation does
    assert all(0.5 * BANDWIDTH < 2 * item * rig.map_rate[dtype] <= BANDWIDTH for dtype, item in (("fp32", 4), ("fp16", 2), ("bf16", 2)))


def test_the_roofline_of_a_card_is_the_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline_module, "best_of", seconds_of)
    with simulated_card(monkeypatch):
        found = measure_roofline(torch.float16, torch.device("cuda:0"))
    assert 0.9 * FLOPS < found.flops <= FLOPS and 0.8 * BANDWIDTH < found.bandwidth <= BANDWIDTH
