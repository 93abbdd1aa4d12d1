"""The table of claims: complete, each verdict from evidence under the claim's conditions, nothing of a CPU taken for a card's."""

from __future__ import annotations

import json
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from bs4 import BeautifulSoup

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import ClaimError, EngineWarning
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.claim_metrics import Record
from seqgpt_lab.studies.claim_predictions import PREDICTIONS, floor_seconds
from seqgpt_lab.studies.claim_records import load_records, measure_determinism
from seqgpt_lab.studies.claims import VERDICTS, judge, load_claims
from seqgpt_lab.studies.claims_shown import about_claims, claims_one_by_one, claims_table, verdicts_table, write_metrics
from seqgpt_lab.studies.display import counted
from seqgpt_lab.studies.models import model_record
from seqgpt_lab.studies.passes import Workload
from seqgpt_lab.studies.planner import SEQGPT_560M, plan
from seqgpt_lab.studies.rigs import Rig, rig_names
from seqgpt_lab.studies.sources import find_sources
from tests.checkpoints import write_random_checkpoint

RIG = Rig.load("dual-4090")
IDS = {
    *("memory", "latency", "throughput", "embedding-cache", "dynamic-padding", "flash-attention", "fp16-share"),
    *("determinism", "label-wording", "punctuation", "long-text", "storage", "aliases"),
}
CARDS = ["NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4090"]


def record(claim: str, **changes: Any) -> Record:
    return Record(
        **{"claim": claim, "found": "3", "machine": "m", "command": "c", "date": "2026-11-24", "applies": True, "holds": True} | changes
    )


SEQGPT = {
    "source": "/models/seqgpt",
    "shape": {"layers": 24, "hidden_size": 1024, "heads": 16, "vocab_size": 250880},
    "widened_from": None,
}
TINY = {**SEQGPT, "source": "tiny", "shape": {"layers": 8, "hidden_size": 256, "heads": 4, "vocab_size": 4685}}


def write_run(
    folder: Path, gpus: list[str], model: dict[str, Any], metrics: dict[str, Any], status: str = "completed", **parameters: Any
) -> Path:
    run = {
        "status": status,
        "notebook": "notebooks/08.ipynb",
        "given": ["limit"],
        "parameters": {"limit": 2, "length": 10_000, "kind": "loan_form"} | parameters,
        "finished": "2026-11-24T22:00",
    }
    folder.mkdir()
    (folder / "run.json").write_text(
        json.dumps({**run, "machine": {"cpu": "EPYC", "cores": 2, "gpus": gpus}, "model": model}), encoding="utf-8"
    )
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")
    return folder


def test_every_claim_is_there_with_a_notebook_and_a_row() -> None:
    claims = load_claims()
    frame = claims_table(judge(claims, load_records(), RIG))
    assert {claim.id for claim in claims} == IDS and len(claims) == len(IDS)
    assert list(frame["id"]) == [claim.id for claim in claims] and set(frame["verdict"]) <= set(VERDICTS)
    assert all(frame[column].str.len().min() > 0 for column in frame.columns)
    assert not (frame["measured"] == "nothing yet").any()


def test_what_the_hardware_rules_out() -> None:
    verdicts = {finding.claim.id: finding for finding in judge(load_claims(), [], RIG)}
    assert verdicts["memory"].verdict == "physically impossible" and "24 GB, less than the 28" in verdicts["memory"].why
    assert {verdicts[name].verdict for name in ("throughput", "latency", "determinism")} == {"not testable here"}
    larger = replace(RIG, memory_bytes=80e9)
    assert {finding.verdict for finding in judge(load_claims(), [], larger) if finding.claim.id == "memory"} == {"not testable here"}


@pytest.mark.parametrize("name", rig_names())
def test_every_bundled_machine_can_be_asked_about(name: str) -> None:
    """Most of them have one card, and the article's two are told of all the same."""
    rig = Rig.load(name)
    found = {finding.claim.id: finding for finding in judge(load_claims(), [], rig)}
    told = found["memory"].prediction
    assert told and "GB on each of two" in told.text
    assert (found["memory"].verdict == "physically impossible") == (rig.memory_bytes < 28e9)


def test_a_machine_without_cards_rules_out_no_size_of_a_card_and_one_too_small_gets_no_figures() -> None:
    laptop = replace(RIG, kind="cpu", devices=1, memory_bytes=8e9)
    found = {finding.claim.id: finding for finding in judge(load_claims(), [], laptop)}
    assert found["memory"].verdict == "not testable here" and found["memory"].prediction
    assert "card" not in found["memory"].prediction.text
    small = {finding.claim.id: finding for finding in judge(load_claims(), [], replace(RIG, memory_bytes=1.5e9))}
    assert small["throughput"].prediction and "GB too much" in small["throughput"].prediction.text
    assert small["throughput"].verdict == "not testable here"


def test_a_throughput_is_impossible_where_the_most_that_is_published_leaves_no_answer() -> None:
    """The prompts of a batch of 16 at 512 ids take 14 ms at 330.3 TFLOP/s, an id 1.1 ms at 1008 GB/s; with FP32 sums it would be 29 ms."""
    claimed, half = {"documents_a_second": 832.0}, {**RIG.published, "fp16": RIG.published["fp16"] / 2}
    found, slower = (PREDICTIONS["throughput"](rig, claimed) for rig in (RIG, replace(RIG, published=half)))
    assert not found.impossible and "leave 21 ids an answer" in found.text
    assert "leave 8 ids an answer" in slower.impossible
    assert "leave 0 ids an answer" in PREDICTIONS["throughput"](RIG, {"documents_a_second": 3000.0}).impossible


def estimates_times(rig: Rig, factor: float) -> Rig:
    """The rig with every figure that is an estimate so many times what it is."""
    figures = {name: getattr(rig, name) for name in rig.uncertain}
    changed = {
        name: {dtype: one * factor for dtype, one in figure.items()} if isinstance(figure, dict) else figure * factor
        for name, figure in figures.items()
    }
    return replace(rig, **changed)


@pytest.mark.parametrize("factor", [0.01, 0.5, 3.0, 10.0])
def test_what_is_impossible_rests_on_no_estimate(factor: float) -> None:
    changed = estimates_times(RIG, factor)
    ruled_out = {}
    for claim in load_claims():
        if claim.prediction != "none":
            before, after = (PREDICTIONS[claim.prediction](rig, claim.claimed) for rig in (RIG, changed))
            assert before.impossible == after.impossible
            ruled_out[claim.id] = bool(before.impossible)
    assert {name for name, impossible in ruled_out.items() if impossible} == {"memory"}
    guessed = replace(RIG, basis={**RIG.basis, "memory_bytes": "estimate: what such cards have"})
    assert not PREDICTIONS["memory"](guessed, {"one_card_GB": 28.0}).impossible


def test_how_slowly_embeddings_would_have_to_be_looked_up_is_told() -> None:
    """3.2 times: looking up takes 2.2 times what 23 layers take for 16 prompts of 512 ids, to move 1,024 numbers an id twice."""
    products = 2 * 12 * 1024**2 * 23 * 16 * 512 / RIG.published["fp16"]
    rate = 2 * 16 * 512 * 1024 * 2 / (2.2 * products)
    told = PREDICTIONS["embedding-cache"](RIG, {"factor": 3.2}).text
    assert f"looked up at {rate / 1e9:.2g} GB/s or less, {rate / RIG.published['bandwidth']:.2%} of the bandwidth" in told
    assert "published" not in PREDICTIONS["embedding-cache"](replace(RIG, published={}), {"factor": 3.2}).text


def test_no_plan_beats_the_published_figures() -> None:
    for technique in ("plain", "drafted"):
        work = Workload.of(16, 512, 40, technique)
        assert plan(RIG, SEQGPT_560M, work).seconds > floor_seconds(RIG, work)


def test_only_measurements_under_the_claims_conditions_decide() -> None:
    claims = [claim for claim in load_claims() if claim.id in ("latency", "storage")]
    elsewhere = judge(claims, [record("latency", applies=False, holds=False)], RIG)
    assert [finding.verdict for finding in elsewhere] == ["not testable here"] * 2 and "decide nothing" in elsewhere[0].why
    assert judge(claims, [record("latency", holds=False)], RIG)[0].verdict == "contradicted"
    later = [record("latency", holds=False), record("latency", holds=True, date="2026-12-01")]
    found = judge(claims, later, RIG)[0]
    assert found.verdict == "confirmed" and found.why.endswith("; 1 earlier measurement found otherwise")
    of_one_day = judge(claims, [record("latency", holds=True), record("latency", holds=False)], RIG)[0]
    assert of_one_day.verdict == "contradicted" and "otherwise" in of_one_day.why
    assert judge(claims, [record("latency", holds=None)], RIG)[0].verdict == "not testable here"
    assert "latency" in str(about_claims(elsewhere)) and "1 measurement, 0 of which" in str(about_claims(elsewhere))
    assert "1 measurement, 1 of which under the conditions" in str(about_claims(judge(claims, [record("latency", holds=False)], RIG)))


def test_a_reader_finds_under_each_claim_all_that_is_known_of_it() -> None:
    claims = load_claims()
    markup = replace(record("latency", holds=False), found="<b>170</b> & more", command="seqgpt-lab run -p a '<x>'")
    records = [*load_records(), markup]
    findings = judge(claims, records, RIG)
    page = BeautifulSoup(claims_one_by_one(findings, "dual-4090").html, "html.parser")
    titles, details = page.find_all("h3"), page.find_all("dl")
    assert [title.text for title in titles] == [f"{claim.id}: {claim.text}" for claim in claims]
    for finding, told in zip(findings, details, strict=True):
        texts = {name.text: value.text for name, value in zip(told.find_all("dt"), told.find_all("dd"), strict=True)}
        assert texts["Verdict"] == f"{finding.verdict}: {finding.why}" and texts["Conditions of the claim"] == finding.claim.conditions
        assert texts["Predicted for dual-4090"] == (finding.prediction.text if finding.prediction else "no prediction")
        assert [item.code.text for item in told.find_all("li")] == [one.command for one in finding.records]
        for item, one in zip(told.find_all("li"), finding.records, strict=True):
            assert item.text.startswith(one.found) and one.machine in item.text
            assert ("decides nothing" in item.text) is not one.decides
    at_a_glance = verdicts_table(findings)
    assert list(at_a_glance["name"]) == [claim.id for claim in claims]
    assert list(at_a_glance["verdict"]) == [finding.verdict for finding in findings]


def test_runs_fill_the_table_and_a_cpu_is_no_card(tmp_path: Path) -> None:
    metrics = {
        "arrangements": [
            {"arrangement": "one process", "weight_share": 1.0, "weight_bytes_a_process": 1.1e9},
            {"arrangement": "2 ranks", "weight_share": 0.505, "weight_bytes_a_process": 0.56e9},
        ],
        "claims": [
            {
                "claim": "dynamic padding",
                "article": "40 ms saved",
                "measured": "12 ms saved",
                "how": "16 prompts",
                "figure": 12.0,
                "claimed": 40.0,
            }
        ],
    }
    here = load_records([write_run(tmp_path / "cpu", [], SEQGPT, metrics)])[-2:]
    assert [(one.claim, one.applies) for one in here] == [("dynamic-padding", False), ("memory", False)]
    assert all(one.machine.startswith("no GPU") for one in here) and here[0].command.endswith("08.ipynb -p limit 2")
    there = load_records([write_run(tmp_path / "rig", CARDS, SEQGPT, metrics)])
    verdicts = {finding.claim.id: finding.verdict for finding in judge(load_claims(), there, RIG)}
    # The weights' size is not the card's memory, so the figures of the card go on deciding.
    assert (verdicts["memory"], verdicts["dynamic-padding"]) == ("physically impossible", "contradicted")
    assert not any(one.applies for one in load_records([write_run(tmp_path / "tiny", CARDS, TINY, metrics)])[-2:])


@pytest.mark.parametrize(
    ("claim", "measured", "figure", "claimed", "holds"),
    [
        ("dynamic padding", "1,235 ms saved", 1234.6, 40.0, True),
        ("dynamic padding", "20 ms saved", 20.0, 40.0, True),  # half of what is claimed
        ("dynamic padding", "19.9 ms saved", 19.9, 40.0, False),
        ("dynamic padding", "-25 ms saved", -25.0, 40.0, False),
        ("embedding cache", "at most 1.0010x", 1.001, 3.2, False),
        ("reuse of a text", "4.00x", 4.0, 3.2, None),
    ],
)
def test_figures_are_judged_and_not_their_spelling(
    tmp_path: Path, claim: str, measured: str, figure: float, claimed: float, holds: bool | None
) -> None:
    row = {"claim": claim, "article": "a claim", "measured": measured, "how": "so", "figure": figure, "claimed": claimed}
    found = load_records([write_run(tmp_path / "run", CARDS, SEQGPT, {"claims": [row]})])[-1]
    assert found.applies and found.holds is holds and measured in found.found


@pytest.mark.parametrize(
    ("rate", "dtype", "applies", "holds"),
    [
        (900.0, "float16", True, True),
        (480.0, "float16", True, None),  # two cards could reach 832
        (400.0, "float16", True, False),
        (400.0, "float32", False, False),
    ],
)
def test_what_one_card_misses_is_not_held_against_two(tmp_path: Path, rate: float, dtype: str, applies: bool, holds: bool | None) -> None:
    cell = {"contestant": "ours", "workload": "batch 16, 512 tokens", "seconds_a_batch": 16 / rate, "documents_a_second": rate}
    metrics = {"table": [cell], "machine": {"device": "cuda", "dtype": dtype}}
    found = load_records([write_run(tmp_path / "run", CARDS, SEQGPT, metrics)])[-1]
    assert (found.claim, found.applies, found.holds) == ("throughput", applies, holds)


@pytest.mark.parametrize(
    ("quick", "slow", "holds"),
    [
        (0.142, 0.9, True),
        (0.143, 0.9, None),  # two cards could take half as long
        (0.284, 0.9, None),
        (0.285, 0.9, False),
        (0.9, 0.142, True),
    ],
)
def test_a_latency_is_judged_by_the_quickest_contestant(tmp_path: Path, quick: float, slow: float, holds: bool | None) -> None:
    """142 ms are claimed."""
    cells = [
        {"contestant": name, "workload": "batch 1, 256 tokens", "seconds_a_batch": seconds, "documents_a_second": 1 / seconds}
        for name, seconds in (("ours", quick), ("theirs", slow))
    ]
    found = load_records([write_run(tmp_path / "run", CARDS, SEQGPT, {"table": cells})])[-1]
    assert (found.claim, found.applies, found.holds) == ("latency", True, holds)
    assert found.found.startswith("ours: " if quick < slow else "theirs: ")


@pytest.mark.parametrize(
    ("dtype", "seconds", "holds"),
    [("fp16", 3.0, True), ("fp16", 3.1, False), ("fp16", 5.0, False), ("bf16", 2.0, None)],
)
def test_fp16_is_70_percent_of_the_speed_where_it_takes_three_tenths_of_the_time(
    tmp_path: Path, dtype: str, seconds: float, holds: bool | None
) -> None:
    """Of bf16 nothing is claimed."""
    metrics = {"precisions": [{"dtype": "fp32", "seconds": 10.0}, {"dtype": dtype, "seconds": seconds}]}
    found = load_records([write_run(tmp_path / "run", CARDS, SEQGPT, metrics)])[-1]
    assert (found.claim, found.applies, found.holds) == ("fp16-share", True, holds)


def long_text(read: str, recall: float) -> dict[str, Any]:
    """A row of notebook 09: precision and F1 are the recall."""
    return {"read": read, "max_length": 1024, "recall": recall, "precision": recall}


@pytest.mark.parametrize(
    ("rows", "length", "holds"),
    [
        ([long_text("long", 0.951)], 10_000, True),
        ([long_text("long", 0.95)], 10_000, False),
        ([long_text("long", 0.5), long_text("long", 0.96), long_text("alone", 1.0)], 10_000, True),
        ([long_text("long", 0.5), long_text("alone", 1.0)], 10_000, False),  # the same texts by themselves are not long
        ([long_text("long", 0.96)], 9_999, None),
        ([long_text("alone", 0.96)], 10_000, None),
    ],
)
def test_the_best_setting_on_texts_that_are_long_enough_tells_of_long_texts(
    tmp_path: Path, rows: list[dict[str, Any]], length: int, holds: bool | None
) -> None:
    known = len(load_records())
    found = load_records([write_run(tmp_path / "run", [], SEQGPT, {"windows": rows}, length=length)])[known:]
    assert [(one.claim, one.holds) for one in found] == ([] if holds is None else [("long-text", holds)])


@pytest.mark.parametrize(
    ("first", "second", "claim", "holds"),
    [
        (
            ("供应商、金额、交货期", 0.9),
            ("公司、钱、时间", 0.9 - 0.178),
            "label-wording",
            True,
        ),  # half of 98.7% less 63.2%, and a little less
        (("供应商、金额、交货期", 0.9), ("公司、钱、时间", 0.9 - 0.177), "label-wording", False),
        (("邮箱", 0.4), ("email", 0.5), "aliases", True),
        (("邮箱", 0.5), ("email", 0.4), "aliases", False),
    ],
)
def test_words_are_judged_by_how_much_more_is_read_with_them(
    tmp_path: Path, first: tuple[str, float], second: tuple[str, float], claim: str, holds: bool
) -> None:
    variants = [{"variant": name, "micro_f1": score, "exact_record_rate": 0.5} for name, score in (first, second)]
    real = {"documents": 60, "real": True, "adjusted_p": 0.001}
    found = load_records([write_run(tmp_path / "run", [], SEQGPT, {"comparison": {"variants": variants, "verdicts": [real]}})])[-1]
    assert (found.claim, found.holds) == (claim, holds)


BRACKETS = [
    {"steps": [], "changed": 0, "micro_f1": 0.9, "verdict": None},
    {"steps": ["remove_brackets"], "changed": 47, "micro_f1": 0.89, "verdict": {"documents": 60, "real": True, "adjusted_p": 0.001}},
]


def chance(documents: int, most: float | None) -> dict[str, Any]:
    """A verdict of no real difference. most: the largest gap that its interval holds; None: it was kept without one."""
    return {"documents": documents, "real": False, "adjusted_p": 0.25} | ({} if most is None else {"low": -most, "high": 0.05})


@pytest.mark.parametrize(
    ("verdict", "holds"),
    [
        (chance(3, None), None),
        (chance(60, 0.3), None),  # half of the claimed gap, 0.178 and 0.092, is in the interval
        (chance(60, 0.05), False),
        (chance(3, 0.0), None),
    ],
)
def test_no_real_difference_contradicts_a_claim_only_where_its_interval_does(
    tmp_path: Path, verdict: dict[str, Any], holds: bool | None
) -> None:
    pair = [{"variant": name, "micro_f1": 0.9, "exact_record_rate": 0.5} for name in ("供应商、金额、交货期", "公司、钱、时间")]
    words = {"comparison": {"variants": pair, "verdicts": [verdict]}}
    brackets = {"none": {"combinations": [BRACKETS[0], {**BRACKETS[1], "changed": verdict["documents"], "verdict": verdict}]}}
    for name, metrics in (("words", words), ("brackets", brackets)):
        assert load_records([write_run(tmp_path / name, [], SEQGPT, metrics)])[-1].holds is holds


@pytest.mark.parametrize(
    ("parameters", "changed", "applies", "holds"),
    [
        ({}, 47, True, False),
        ({}, 0, True, None),
        ({}, 20, True, None),
        ({"kind": "resume"}, 47, False, False),
        ({"kind": "resume", "documents": "/mine/loan_form.jsonl"}, 47, True, False),
        ({"documents": "/mine/letters.csv"}, 47, False, False),
    ],
)
def test_brackets_tell_of_the_claim_in_loan_forms_most_of_which_hold_some(
    tmp_path: Path, parameters: dict[str, Any], changed: int, applies: bool, holds: bool | None
) -> None:
    metrics = {"none": {"combinations": [BRACKETS[0], {**BRACKETS[1], "changed": changed}]}}
    found = load_records([write_run(tmp_path / "run", [], SEQGPT, metrics, **parameters)])[-1]
    assert (found.claim, found.applies, found.holds) == ("punctuation", applies, holds)


@pytest.mark.parametrize(
    ("model", "decides"),
    [
        (SEQGPT, True),
        ({**SEQGPT, "source": "tiny"}, True),  # a folder can be called anything
        ({**TINY, "source": "/a/copy/of/seqgpt-tiny"}, False),
        ({**SEQGPT, "widened_from": {"model.safetensors": "0b5be75a"}}, False),
        ({**SEQGPT, "shape": {**SEQGPT["shape"], "vocab_size": 4685}}, False),  # type: ignore[dict-item]
        ({"source": "/models/seqgpt"}, False),  # recorded before shapes were
    ],
)
def test_only_a_model_that_was_trained_in_the_claims_shape_decides(tmp_path: Path, model: dict[str, Any], decides: bool) -> None:
    record = load_records([write_run(tmp_path / "run", [], model, {"none": {"combinations": BRACKETS}})])[-1]
    assert (record.claim, record.applies, record.holds) == ("punctuation", decides, False)


def test_a_copy_of_the_embedded_model_decides_nothing(tmp_path: Path) -> None:
    with Engine.load(bundled("models", "seqgpt-tiny"), dtype="fp32", device="cpu") as engine:
        model = model_record(engine)
    found = load_records([write_run(tmp_path / "run", [], model, {"none": {"combinations": BRACKETS}})])
    verdicts = {finding.claim.id: finding.verdict for finding in judge(load_claims(), found, RIG)}
    assert "seqgpt-tiny" in found[-1].machine and not found[-1].applies and verdicts["punctuation"] == "not testable here"


def test_every_notebooks_figures_become_records(tmp_path: Path) -> None:
    cell = {"contestant": "ours", "seconds_a_batch": 0.1, "documents_a_second": 10.0}
    names = {"供应商、金额、交货期": 0.9, "公司、钱、时间": 0.6, "邮箱": 0.5, "email": 0.4}
    variants = [{"variant": name, "micro_f1": score, "exact_record_rate": 0.5} for name, score in names.items()]
    real = {"documents": 60, "real": True, "adjusted_p": 0.001}
    words, alias = ({"variants": some, "verdicts": [real]} for some in (variants[:2], variants[2:]))
    window = {"read": "long", "max_length": 1024, "recall": 1.0, "precision": 0.95}
    every: dict[str, dict[str, Any]] = {
        "latency": {"table": [{**cell, "workload": "batch 1, 256 tokens"}]},
        "throughput": {"table": [{**cell, "workload": "batch 16, 512 tokens"}]},
        "fp16-share": {"precisions": [{"dtype": "fp32", "seconds": 10.0}, {"dtype": "fp16", "seconds": 2.0}]},
        "label-wording": {"comparison": words},
        "aliases": {"comparison": alias},
        "punctuation": {"none": {"combinations": BRACKETS}},
        "long-text": {"windows": [{**window, "read": "alone"}, window]},
    }
    holds = {"latency": True, "throughput": False, "fp16-share": True, "label-wording": True, "aliases": False, "punctuation": False}
    known = len(load_records())
    for claim, metrics in every.items():
        (record,) = load_records([write_run(tmp_path / claim, [], SEQGPT, metrics)])[known:]
        assert record.claim == claim and record.holds == holds.get(claim, True) and record.machine.startswith("no GPU")
        # What a model reads right is the same on any machine; how quick it is, is not.
        assert record.applies == (claim in ("label-wording", "aliases", "punctuation", "long-text"))
        (of_tiny,) = load_records([write_run(tmp_path / f"{claim}-tiny", CARDS, TINY, metrics)])[known:]
        assert not of_tiny.applies
    by_chance = {**alias, "verdicts": [{**real, "real": False}]}
    assert load_records([write_run(tmp_path / "chance", [], SEQGPT, {"comparison": by_chance})])[-1].holds is None
    assert not load_records([write_run(tmp_path / "other", CARDS, TINY, {"comparison": {**words, "variants": variants[1::-1]}})])[known:]


def test_what_the_machine_check_says_is_a_record_and_decides_nothing(tmp_path: Path) -> None:
    lines = {
        "cards": ("note", "no NVIDIA card"),
        "processor": ("ok", "2 cores"),
        "disk": ("ok", "nvme, 3.00 GB/s"),
        "flash-attn": ("note", "no"),
    }
    content = {"lines": [{"name": name, "status": status, "found": found} for name, (status, found) in lines.items()]}
    (tmp_path / "doctor.json").write_text(json.dumps(content), encoding="utf-8")
    disk, flash = load_records([tmp_path / "doctor.json"])[-2:]
    assert (disk.claim, flash.claim) == ("storage", "flash-attention") and "3.00 GB/s" in disk.found and disk.machine == "no GPU, 2 cores"
    assert disk.holds is None and not disk.applies
    (tmp_path / "doctor.json").write_text(json.dumps({"lines": content["lines"][:2]}), encoding="utf-8")
    with pytest.raises(ClaimError, match="doctor --json"):
        load_records([tmp_path / "doctor.json"])


def test_a_run_of_the_claims_notebook_can_be_read_again(tmp_path: Path) -> None:
    findings = judge(load_claims(), [record("storage")], RIG)
    write_metrics(tmp_path, findings)
    assert load_records([tmp_path / "metrics.json"])[-1] == record("storage")


def test_the_command_of_a_measurement_can_be_typed_as_it_stands(tmp_path: Path) -> None:
    model = str(write_random_checkpoint(tmp_path / "a model", layers=1))
    found = measure_determinism(model, find_sources(kinds=["resume"], split="dev"), limit=1, kinds=["resume"])
    given = ["-p", "model", model, "-p", "kinds", '["resume"]', "-p", "limit", "1"]
    assert shlex.split(found.command) == ["seqgpt-lab", "run", "notebooks/07_claims.ipynb", *given]
    assert f"({counted(len(os.sched_getaffinity(0)), 'core')}), model" in found.machine and found.holds


def test_a_machines_cores_are_not_the_threads_it_runs_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(12)))
    model = str(write_random_checkpoint(tmp_path / "model", layers=1))
    found = measure_determinism(model, find_sources(kinds=["resume"], split="dev"), limit=1)
    assert "(12 cores), model" in found.machine and "-p kinds" not in found.command


def test_cards_whose_cuda_does_not_start_are_no_gpu_that_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under a driver too old for this torch they are counted, and a question for their names is an error."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: torch.cuda.init())
    model = str(write_random_checkpoint(tmp_path / "model", layers=1))
    with pytest.warns(EngineWarning, match="this runs on the CPU"):
        found = measure_determinism(model, find_sources(kinds=["resume"], split="dev"), limit=1)
    assert found.machine.startswith("no GPU, ")


def test_committed_records_are_of_machines_without_a_gpu() -> None:
    assert all(one.machine.startswith("no GPU") for one in load_records())


def test_what_is_no_claim_or_no_record(tmp_path: Path) -> None:
    (tmp_path / "claims.yaml").write_text("claims:\n- id: x\n", encoding="utf-8")
    with pytest.raises(ClaimError, match="is no claim; one has"):
        load_claims(tmp_path / "claims.yaml")
    entry = "id: x, text: t, conditions: c, tested_by: n, prediction: magic, claimed: {}"
    (tmp_path / "claims.yaml").write_text(f"claims:\n- {{{entry}}}\n", encoding="utf-8")
    with pytest.raises(ClaimError, match=f"'magic'; there are none, {', '.join(PREDICTIONS)}"):
        load_claims(tmp_path / "claims.yaml")
    with pytest.raises(ClaimError, match="holds no claims"):
        load_claims(tmp_path / "absent.yaml")
    for text, told in [
        ("[]", "wanted a JSON object"),
        ('{"claims": [{"claim": "x"}]}', "is no record"),
        ("{", "holds no records"),
        ('{"comparison": {}, "search": {}}', "has no list `claims`.* give the folder of a run"),
    ]:
        (tmp_path / "records.json").write_text(text, encoding="utf-8")
        with pytest.raises(ClaimError, match=told):
            load_records([tmp_path / "records.json"])
    nameless = {**{name: "x" for name in ("claim", "found", "date")}, "machine": "", "command": "c", "applies": True, "holds": None}
    (tmp_path / "records.json").write_text(json.dumps({"claims": [nameless]}), encoding="utf-8")
    with pytest.raises(ClaimError, match="does not say on which machine"):
        load_records([tmp_path / "records.json"])
    with pytest.raises(ClaimError, match="'failed', not completed"):
        load_records([write_run(tmp_path / "failed", [], TINY, {}, "failed")])
    with pytest.raises(ClaimError, match="unknown claims: x"):
        judge(load_claims(), [record("x")], RIG)
