"""Calibration: every figure is measured, plausible beside a second way of measuring it, and makes a rig."""

from __future__ import annotations

import time

import torch

from seqgpt_lab.studies.calibrate import calibrate
from seqgpt_lab.studies.speeds import best_of


def test_fp32_figures_of_this_machine_make_a_rig_without_estimates() -> None:
    done: list[tuple[int, int]] = []
    rig = calibrate("here", dtypes=("fp32",), device="cpu", progress=lambda *steps: done.append(steps))
    assert done[-1] == (4, 4) and not rig.uncertain and all(basis.startswith("measured: ") for basis in rig.basis.values())
    assert rig.flops["fp16"] == rig.flops["fp32"]  # not asked for
    # A copy of memory by the C library reads and writes: not more than a few times quicker or slower than what was found.
    source, target = torch.zeros(2, 1 << 24)
    copied = 2 * source.nbytes / best_of(lambda: target.copy_(source), 3)
    assert 0.1 < rig.bandwidth / copied < 10
    left, right = torch.randn(2, 512, 512)
    product = 2 * 512**3 / best_of(lambda: left @ right, 3)
    assert 0.1 < rig.flops["fp32"] / product < 10
    assert 1e-7 < rig.op_seconds < 1e-3 and 1e-6 < rig.reduce_seconds < 1e-1


def test_the_quickest_round_counts_and_the_first_does_not() -> None:
    waits = iter([0.0, 1.0, 0.1, 0.5])
    assert 0.1 <= best_of(lambda: time.sleep(next(waits)), 3, waits=True) < 0.4
