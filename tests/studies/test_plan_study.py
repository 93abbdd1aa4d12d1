"""The planner's page: a batch that does not fit is said, and costs no other batch and no machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import torch

from seqgpt_lab.errors import CapacityError, OptionError
from seqgpt_lab.studies import plan_study
from seqgpt_lab.studies.plan_study import about_machines, about_targets, check_here, compare_machines, plan_grid, write_metrics
from seqgpt_lab.studies.rigs import Rig

# Of 24 GB, prompts of 256 tokens and their answers leave room for some four hundred in fp16.
HUGE = 1_500


def test_what_does_not_fit_is_out_of_the_grid_and_a_grid_of_nothing_says_why() -> None:
    assert set(plan_grid("dual-4090", [1, HUGE], [256], 40, "fp16")["batch"]) == {1}
    with pytest.raises(CapacityError, match=rf"no batch of \[{HUGE}\] at a length of \[256\] fits dual-4090 in fp16: .* GB too much"):
        plan_grid("dual-4090", [HUGE], [256], 40, "fp16")


def test_a_grid_of_nothing_is_refused_by_what_is_empty() -> None:
    with pytest.raises(OptionError, match="nothing is asked: batches is empty"):
        plan_grid("dual-4090", [], [256], 40, "fp16")
    with pytest.raises(OptionError, match="nothing is asked: batches and lengths are empty"):
        about_targets("dual-4090", [], [], 40, "fp16", "latency")
    with pytest.raises(OptionError, match="nothing is asked: lengths is empty"):
        about_targets("dual-4090", [1], [], 40, "fp16", "latency")


def test_a_target_is_told_for_each_batch_that_fits() -> None:
    small, large, _ = str(about_targets("dual-4090", [1, HUGE], [256], 40, "fp16", "latency")).split("\n\n")
    assert "at work" not in small
    assert small.startswith("Batch 1, length 256, best for latency") and large.startswith(f"Batch {HUGE}, length 256: does not fit. ")


def test_what_figures_of_a_processor_do_not_count_is_said_beside_them(tmp_path: Path) -> None:
    card = Rig.load("dual-4090")
    replace(card, kind="cpu", overlap=False, memory_bytes=64e9).save(tmp_path / "here.yaml")
    told = [str(about_targets(str(rig), [1], [256], 40, "fp16", "latency")) for rig in ("dual-4090", tmp_path / "here.yaml")]
    assert all("Each prompt is counted with a text of its own" in one for one in told)
    assert ["a few tokens more" in one for one in told] == [False, True]


def test_a_batch_that_the_engine_decodes_in_part_is_said_with_what_would_keep_it() -> None:
    told = str(about_targets("dual-4090", [32], [1024], 40, "fp16", "throughput"))
    assert "only 16 are at work at a time" in told and r"\-\-token\-budget 32768" in told
    assert list(plan_grid("dual-4090", [16, 32], [1024], 40, "fp16")["at_work"]) == [16] * 6


def test_a_machine_that_a_batch_does_not_fit_has_no_figures(tmp_path: Path) -> None:
    rigs = ["3090", "h100"]
    small = compare_machines(rigs, 16, 256, 40, "fp16")
    # More than one card of 24 GB holds and less than one of 80 GB does.
    large = compare_machines(rigs, 400, 1024, 40, "fp16")
    assert list(large.columns) == list(small.columns) and list(large["rig"]) == list(small["rig"])
    assert [name == "does not fit" for name in large["arrangement"]] == [True, True, False, False]
    assert large["batch_ms"].isna().tolist() == [True, True, False, False] and not small.isna().any(axis=None)
    assert list(compare_machines(rigs[:1], HUGE, 256, 40, "fp16")["arrangement"]) == ["does not fit"] * 2
    write_metrics(tmp_path, small, large, pandas.DataFrame())
    rows = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))["machines"]
    assert rows[0]["batch_ms"] is None and rows[2]["batch_ms"] > 0


def test_a_card_that_was_calibrated_is_not_called_unmeasured(tmp_path: Path) -> None:
    """`make rig` puts the card's own figures beside the bundled ones."""
    bundled = Rig.load("dual-4090")
    mine = replace(bundled, name="this-rig", basis=dict.fromkeys(bundled.basis, "measured: here"))
    mine.save(tmp_path / "this-rig.yaml")
    both = str(about_machines(["dual-4090", str(tmp_path / "this-rig.yaml")]))
    assert "15 figures are estimates; this\\-rig: measured. Of dual\\-4090 nothing was measured by this project." in both
    assert str(about_machines([str(tmp_path / "this-rig.yaml")])) == "this\\-rig: measured."


@pytest.mark.parametrize(("threads", "clock"), [(1, "processor"), (11, "wall")])
def test_processor_time_is_the_clock_of_one_thread_only(threads: int, clock: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = replace(Rig.load("dual-4090"), kind="cpu", about=f"a processor, {threads} thread(s) of 16 cores")
    clocks: list[str] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(plan_study, "calibrate", lambda **_: rig)
    monkeypatch.setattr(plan_study, "endless_copy", lambda model, folder: folder)

    def check_times(*_: object, clock: str, **__: object) -> pandas.DataFrame:
        clocks.append(clock)
        return pandas.DataFrame()

    monkeypatch.setattr(plan_study, "check_times", check_times)
    monkeypatch.setattr(plan_study, "about_times", lambda frame: frame)
    check_here("tiny", "fp32")
    assert clocks == [clock]
