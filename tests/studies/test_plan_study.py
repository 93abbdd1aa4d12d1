"""The planner's page: a batch that does not fit is said, and costs no other batch and no machine."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import torch
from bs4 import BeautifulSoup

from seqgpt_lab.errors import CapacityError, OptionError
from seqgpt_lab.studies import plan_study
from seqgpt_lab.studies.costs import Seconds
from seqgpt_lab.studies.display import Html
from seqgpt_lab.studies.plan_study import (
    about_machines,
    about_targets,
    check_here,
    compare_machines,
    plan_grid,
    show_check,
    show_plans,
    write_metrics,
)
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


def cells(shown: Html) -> tuple[list[str], list[list[str]]]:
    """The heads and the rows of a table."""
    page = BeautifulSoup(shown.html, "html.parser")
    rows = [[cell.get_text() for cell in row.find_all("td")] for row in page.select("tbody tr")]
    return [head.get_text() for head in page.select("thead th")], rows


def test_plans_are_shown_with_units_and_what_is_alike_is_said_once() -> None:
    frame = plan_grid("dual-4090", [1, 16], [256], 40, "fp16")
    told, shown = show_plans(frame)
    heads, rows = cells(shown)
    times = ["prompts (ms)", "writing (ms)", "whole batch (ms)", "documents/s", "GB a worker"]
    assert heads == ["arrangement", "batch", "passes", *times, "limited by"]
    assert rows[0][:3] == ["one process", "1", "41"] and rows[0][5] == f"{frame['batch_ms'][0]:.1f}"
    assert told.for_terminal.startswith(
        "In every row: machine dual-4090, fp16, technique plain, prompts of 256 tokens, answers of 40 tokens. "
    )
    assert all(f"{name} stands for" in str(told) for name in frame["limit"]) and set(plan_study._LIMITS) == set(Seconds.__slots__)


def test_rows_that_wait_and_batches_that_do_not_fit_are_shown() -> None:
    waiting, _ = show_plans(plan_grid("dual-4090", [32], [1024], 40, "fp16"))
    assert "batch 32, 16 at work at a time" in str(waiting)
    told, shown = show_plans(compare_machines(["3090", "h100"], 400, 1024, 40, "fp16"))
    heads, rows = cells(shown)
    assert heads[:4] == ["machine", "arrangement", "technique", "passes"] and rows[0] == ["3090", "does not fit", "plain"] + [""] * 7
    assert rows[2][3] == "41" and "batch 400" in str(told)
    nowhere, _ = show_plans(compare_machines(["3090"], HUGE, 256, 40, "fp16"))
    assert "does not fit" in str(nowhere) and "stands for" not in str(nowhere)


def test_a_check_is_shown_in_milliseconds() -> None:
    seconds = {"predicted": 0.0012, "measured": 0.0024, "wall": 0.003, "busy": 0.0024, "limit": "starts", "ratio": 0.5, "error": 0.5}
    asked = {"arrangement": "one process", "technique": "plain", "batch": 1, "length": 64, "spread": 0.0, "output": 12, "passes": 12}
    told, shown = show_check(pandas.DataFrame([{**asked, **seconds}, {**asked, **seconds, "length": 256}]))
    heads, rows = cells(shown)
    assert heads == ["prompt (tokens)", "passes", "predicted (ms)", "measured (ms)", "predicted / measured", "error", "limited by"]
    assert rows[0] == ["64", "12", "1.200", "2.400", "0.50", "50%", "starts"] and "technique plain" in str(told)
    assert show_check(pandas.DataFrame()) == ()


def test_a_card_that_was_calibrated_is_not_called_unmeasured(tmp_path: Path) -> None:
    """`make rig` puts the card's own figures beside the bundled ones."""
    bundled = Rig.load("dual-4090")
    mine = replace(bundled, name="this-rig", basis=dict.fromkeys(bundled.basis, "measured: here"))
    mine.save(tmp_path / "this-rig.yaml")
    both = str(about_machines(["dual-4090", str(tmp_path / "this-rig.yaml")]))
    assert "15 figures are estimates; this\\-rig: measured. Of dual\\-4090 nothing was measured by this project." in both
    assert str(about_machines([str(tmp_path / "this-rig.yaml")])) == "this\\-rig: measured."


@pytest.mark.parametrize(("threads", "clock"), [(1, "processor"), (11, "wall")])
def test_processor_time_is_the_clock_of_one_thread_only(threads: int, clock: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = replace(Rig.load("dual-4090"), kind="cpu", about=f"a processor, {threads} thread(s) of 16 cores")
    clocks: list[str] = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr(plan_study, "calibrate", lambda **_: rig)
    monkeypatch.setattr(plan_study, "endless_copy", lambda model, folder: folder)

    def check_times(*_: object, clock: str, **__: object) -> pandas.DataFrame:
        clocks.append(clock)
        return pandas.DataFrame()

    monkeypatch.setattr(plan_study, "check_times", check_times)
    monkeypatch.setattr(plan_study, "about_times", lambda _: "A sentence.")
    _, told = check_here("tiny", "fp32")
    assert clocks == [clock] and f"Measured is {'processor' if threads == 1 else 'elapsed'} time" in str(told)
