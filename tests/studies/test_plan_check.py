"""The planner against runs: what is compared is what ran, on a small model here and on SeqGPT-560M's shape where asked for."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pandas
import pytest
import torch

from seqgpt_lab.embedded.widen import widen
from seqgpt_lab.errors import OptionError
from seqgpt_lab.studies.calibrate import calibrate
from seqgpt_lab.studies.passes import GUESSED
from seqgpt_lab.studies.plan_cases import Case, endless_copy, grid
from seqgpt_lab.studies.plan_check import about_times, check_times
from seqgpt_lab.studies.planner import Arrangement
from seqgpt_lab.studies.rigs import Rig
from tests.checkpoints import write_random_checkpoint
from tests.studies.plan_grid import check_memory, every_case, worst_factor


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    return endless_copy(write_random_checkpoint(folder / "random"), folder / "endless")


def test_what_ran_is_what_was_planned(model: Path) -> None:
    rig = Rig.load("dual-4090")
    cases = [Case(2, 40, "plain"), Case(2, 40, "drafted", output=48), Case(2, 40, "grounded", output=48), Case(1, 40, "plain", output=6)]
    seen: list[tuple[str, int, int]] = []
    frame = check_times(model, rig, cases, dtype="fp32", rounds=1, clock="processor", progress=lambda *step: seen.append(step))
    drafted = math.ceil(48 / (1 + GUESSED))
    assert list(frame["passes"]) == [12, drafted, drafted, 6] and seen[-1] == ("configurations", 4, 4)
    assert (frame["measured"] == frame["busy"]).all() and (frame["measured"] > 0).all()
    # Twice the time a pass makes twice the prediction: what is compared moves with the rig.
    slow = replace(rig, op_seconds=rig.op_seconds * 1000, pass_seconds=0.0)
    assert (check_times(model, slow, cases[:1], dtype="fp32", rounds=1)["predicted"] > 50 * frame["predicted"][0]).all()


def test_memory_of_a_fresh_process_is_foretold(model: Path) -> None:
    frame = check_memory(model, replace(Rig.load("dual-4090"), kind="cpu"), [Case(4, 200, "plain", output=6)], dtype="fp32")
    assert 1e8 < frame["measured"][0] < 2e9 and frame["error"][0] == abs(frame["predicted"][0] / frame["measured"][0] - 1)


def test_sentences_name_the_worst_in_either_direction() -> None:
    row = {"technique": "plain", "arrangement": "one process", "batch": 1, "length": 64}
    frame = pandas.DataFrame({**row, "ratio": ratio, "error": abs(ratio - 1)} for ratio in (1.1, 0.4, 1.5))
    assert worst_factor(frame) == 2.5
    assert "median error is **50%**" in str(about_times(frame)) and "0.40 times" in str(about_times(frame))


def test_the_grid_is_large_enough_and_varies_in_all_ways() -> None:
    cases = list(every_case())
    assert len(cases) >= 30 and len(set(cases)) == len(cases)
    assert {case.technique for *_, case in cases} == {"plain", "drafted", "grounded"}
    assert {str(case.arrangement) for *_, case in cases} == {"one process", "2 ranks", "2 replicas"}


@pytest.mark.parametrize("change", [{"rounds": 0}, {"clock": "sun"}, {"cases": []}])
def test_nothing_to_check_is_an_error(model: Path, change: dict[str, object]) -> None:
    arguments: dict[str, object] = {"cases": grid([1], [8], ["plain"], [Arrangement()])} | change
    with pytest.raises(OptionError):
        check_times(model, Rig.load("dual-4090"), **arguments)  # type: ignore[arg-type]


def check_every(folder: Path, workers: bool) -> pandas.DataFrame:
    """The grid's configurations of one process, or those of several, predicted from a calibration made just before."""
    cases = [entry for entry in every_case() if (entry[2].arrangement.workers > 1) == workers]
    models = {"tiny": endless_copy("tiny", folder / "tiny"), "wide": endless_copy(widen("tiny", folder / "560m"), folder / "wide")}
    rig, clock = calibrate(dtypes=("bf16",)), "processor" if torch.get_num_threads() == 1 else "wall"
    frames = []
    for name, dtype in dict.fromkeys((model, dtype) for model, dtype, _ in cases):
        mine = [case for model, kind, case in cases if (model, kind) == (name, dtype)]
        frames.append(check_times(models[name], rig, mine, dtype=dtype, rounds=2, clock=clock))
    frame = pandas.concat(frames, ignore_index=True)
    print(frame.to_string(), about_times(frame), sep="\n")
    return frame


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_predictions_hold_on_this_machine(tmp_path: Path) -> None:
    """Takes five to ten minutes; with OMP_NUM_THREADS=1 it is one core's speed, in processor time, that other programs lengthen little."""
    frame = check_every(tmp_path, workers=False)
    assert len(frame) >= 30 and frame["error"].median() <= 0.25 and worst_factor(frame) <= 2, frame.to_string()


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_predictions_of_two_processes_hold_on_this_machine(tmp_path: Path) -> None:
    """Needs an otherwise idle machine with two cores."""
    frame = check_every(tmp_path, workers=True)
    assert len(frame) >= 10 and frame["error"].median() <= 0.25 and worst_factor(frame) <= 2, frame.to_string()


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_memory_is_foretold_on_this_machine(tmp_path: Path) -> None:
    model, rig = endless_copy(widen("tiny", tmp_path / "560m"), tmp_path / "wide"), calibrate(dtypes=("bf16",))
    cases = [Case(1, 96, "plain"), Case(3, 300, "drafted", output=48), Case(10, 300, "grounded", output=48), Case(10, 96, "plain")]
    memory = check_memory(model, rig, [*cases, Case(16, 256, "plain", output=6), Case(1, 1500, "plain", output=6)])
    print(memory.to_string())
    assert (memory["error"] <= 0.10).all(), memory.to_string()
