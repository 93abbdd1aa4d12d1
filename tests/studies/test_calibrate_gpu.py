"""For the first machine with GPUs (`make test-gpu`): a card's figures make a rig, and lie near what plain torch finds."""

from __future__ import annotations

import pytest
import torch

from seqgpt_lab.studies.calibrate import calibrate
from seqgpt_lab.studies.speeds import best_of

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]


def test_figures_of_a_card_make_a_rig_and_are_the_cards() -> None:
    """With two cards or more NCCL adds up over two processes, as ranks do."""
    card = torch.device("cuda")
    rig = calibrate("here", device="cuda")
    left, right = torch.randn(2, 8192, 8192, device=card, dtype=torch.float16)
    product = 2 * 8192**3 / best_of(lambda: left @ right, card, 3)
    assert 0.3 < rig.flops["fp16"] / product < 1.5 and rig.attention_flops["fp16"] < 1.5 * product
    source, target = torch.zeros(2, 1 << 28, device=card, dtype=torch.uint8)
    copied = 2 * source.nbytes / best_of(lambda: target.copy_(source), card, 3)
    assert 0.3 < rig.bandwidth / copied < 2
    assert 1e-7 < rig.op_seconds < 1e-3 and rig.devices == torch.cuda.device_count() and rig.runtime_bytes < 8e9
