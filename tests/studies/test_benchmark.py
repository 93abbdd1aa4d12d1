"""The benchmark: peers write the same, ratios are of rounds, whole workloads of a record are kept, nothing is called what it is not."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.peer_ctranslate2 import CTranslate2Engine
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.studies import benchmark as module
from seqgpt_lab.studies.benchmark import Benchmark, describe_machine, run_benchmark
from seqgpt_lab.studies.contestants import TECHNIQUES, Contestant, Running, choose_contestants, loaded
from seqgpt_lab.studies.sources import find_sources
from seqgpt_lab.studies.turns import Result
from seqgpt_lab.studies.workloads import Task, Texts, Workload
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import random_requests


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def workloads(model: Path) -> list[Workload]:
    texts = Texts(model, find_sources(kinds=["resume"], split="dev"))
    return [texts.of_length(f"batch {batch}", batch=batch, tokens=80, rounds=2) for batch in (1, 3)]


def test_peers_write_what_this_engine_writes(model: Path) -> None:
    """Prompts of one length: where they differ CTranslate2 forces the rest of the longer ones token by token."""
    requests = [Request(tuple(range(5 + start, 25 + start)), 9) for start in range(4)] + random_requests(
        3, vocabulary=1000, longest=9, most=6
    )
    with Engine.load(model, dtype="fp32", device="cpu") as engine:
        wanted = engine.generate(requests)
    for peer in (
        CTranslate2Engine.load(model, quantization="fp32", batch_size=4),
        ReferenceEngine.load(model, dtype="fp32", device="cpu", batch_size=4, probabilities=False),
    ):
        found = peer.generate(requests)
        assert [one.token_ids for one in found] == [one.token_ids for one in wanted]
        assert [one.finish_reason for one in found] == [one.finish_reason for one in wanted]
        assert {one.token_probabilities for one in found} == {()}


def test_an_unknown_quantization_is_named() -> None:
    with pytest.raises(OptionError, match="quantization 'bf16' is unknown; CTranslate2 on a CPU has int8, fp32"):
        CTranslate2Engine.load("tiny", quantization="bf16")


def test_contestants_take_turns_and_answers_are_compared(model: Path, workloads: list[Workload]) -> None:
    contestants = [Contestant("transformers", "transformers"), Contestant("ours"), Contestant("ours, embedding cache", cache="embedding")]
    calls: list[tuple[str, int, int]] = []
    found = run_benchmark(model, workloads, contestants, dtype="fp32", progress=lambda *call: calls.append(call))
    frame = found.table()
    assert list(frame["contestant"]) == ["transformers", "ours", "ours, embedding cache"] * 2
    assert set(frame["same_answers"]) == {1.0} and list(frame["ratio"][::3]) == [1.0, 1.0]
    assert all(len(result.seconds) == 2 and min(result.seconds) > 0 for result in found.results)
    assert calls[8] == ("batch 1", 9, 9) and calls[-1] == ("batch 3", 9, 9)
    assert "all answers equal" in str(found.about()) and "Measured on" in str(found.about())
    json.dumps(found.to_dict(), allow_nan=False)


def test_results_tell_what_was_kept_of_a_text_for_its_further_questions(model: Path) -> None:
    """Of one text and eight sets of labels: nothing where texts are not kept, most of it else, whether rows copy or share it."""
    texts = Texts(model, find_sources())
    workload = texts.one_text_many_labels("one text", tokens=400, rounds=1)
    contestants = [Contestant("none", without=("prefix",)), Contestant("ours")]
    none, ours = run_benchmark(model, [workload], contestants, dtype="fp32").results
    assert none.reused_tokens == 0.0
    assert 0.5 * ours.prompt_tokens < ours.reused_tokens < 7 / 8 * ours.prompt_tokens


def _result(contestant: str, *seconds: float, same: float = 1.0) -> Result:
    return Result("w", "", contestant, 4, 80, 8, 10.0, same, 3.0, 0.1, 0.0, seconds)


def test_a_ratio_is_the_median_of_ratios_within_rounds() -> None:
    """The machine is ten times slower in the last round; medians of times alone would give 3 / 2 = 1.5."""
    found = Benchmark({}, (_result("slow", 2.0, 3.0, 40.0), _result("fast", 1.0, 2.0, 10.0)))
    assert found.ratio("w", "fast", "slow") == 2.0
    assert list(found.table()["documents_a_second"]) == [8 / 3, 4.0]
    assert list(found.table()["seconds_a_batch"]) == [1.5, 1.0]
    with pytest.raises(OptionError, match="'slower' and 'slow' did not both run on 'w'"):
        found.ratio("w", "slower", "slow")


def test_a_batch_that_is_larger_than_the_workload_takes_as_long_as_all_of_it() -> None:
    found = Benchmark({}, (replace(_result("ours", 2.0), batch=16), replace(_result("ours", 2.0), batch=2)))
    assert list(found.table()["seconds_a_batch"]) == [2.0, 0.5], "of eight documents in two seconds"


def test_who_begins_changes_from_round_to_round(model: Path, workloads: list[Workload], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    run = Running.run

    def noted(self: Running, tasks: Sequence[Task], batch: int) -> list[Completion]:
        ran.append(self.contestant.name)
        return run(self, tasks, batch)

    monkeypatch.setattr(Running, "run", noted)
    run_benchmark(model, workloads[:1], [Contestant("a"), Contestant("b", without=("drafting",))], dtype="fp32")
    assert ran == ["a", "b", "b", "a", "a", "b"], "a warm-up and two rounds"


def test_answers_that_differ_are_told() -> None:
    machine = {"processor": "P", "device": "cpu", "threads": 1, "cores": 2, "dtype": "float32"}
    about = str(Benchmark(machine, (_result("peer", 1.0), _result("ours", 0.5, same=0.75))).about())
    assert "**2.00x** that, 75.0% of the answers equal" in about


def test_whole_workloads_of_a_record_are_kept_and_others_measured(
    model: Path, workloads: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, contestants = tmp_path / "bench.json", [Contestant("ours")]
    first = run_benchmark(model, workloads[:1], contestants, dtype="fp32", record=record)
    measured: list[str] = []
    measure = module._measure
    monkeypatch.setattr(module, "_measure", lambda workload, *rest: measured.append(workload.name) or measure(workload, *rest))
    both = run_benchmark(model, workloads, contestants, dtype="fp32", record=record)
    assert measured == ["batch 3"] and both.results[0] == first.results[0]
    assert _named(record) == [("batch 1", "ours"), ("batch 3", "ours")]
    run_benchmark(model, workloads[:1], [*contestants, Contestant("ours, plain", without=tuple(TECHNIQUES))], dtype="fp32", record=record)
    assert measured == ["batch 3", "batch 1"]
    assert _named(record) == [("batch 3", "ours"), ("batch 1", "ours"), ("batch 1", "ours, plain")], "what was not asked for stays"
    with pytest.raises(OptionError, match="was made with another dtype"):
        run_benchmark(model, workloads, contestants, dtype="bf16", record=record)
    record.write_text("[]", encoding="utf-8")
    with pytest.raises(OptionError, match="is not the record of a benchmark"):
        run_benchmark(model, workloads, contestants, dtype="fp32", record=record)


def _named(record: Path) -> list[tuple[str, str]]:
    return [(row["workload"], row["contestant"]) for row in json.loads(record.read_text(encoding="utf-8"))["results"]]


def _otherwise(workload: Workload, changed: str) -> Workload:
    """As many prompts under the same name, of shorter texts or asked for fewer labels."""

    def other(task: Task) -> Task:
        if changed == "texts":
            return replace(task, document=replace(task.document, text=task.document.text[:-5]))
        return replace(task, labels=LabelSet(task.labels.labels[:2]))

    return replace(workload, rounds=tuple(tuple(map(other, tasks)) for tasks in workload.rounds))


@pytest.mark.parametrize("changed", ["texts", "labels"])
def test_figures_of_other_texts_or_labels_are_not_taken_over(model: Path, workloads: list[Workload], tmp_path: Path, changed: str) -> None:
    record, contestants, other = tmp_path / "bench.json", [Contestant("ours")], _otherwise(workloads[0], changed)
    first = run_benchmark(model, workloads[:1], contestants, dtype="fp32", record=record)
    second = run_benchmark(model, [other], contestants, dtype="fp32", record=record)
    assert second.results[0].prompt_tokens < first.results[0].prompt_tokens and second.results[0].seconds != first.results[0].seconds
    assert run_benchmark(model, [other], contestants, dtype="fp32", record=record).results == second.results
    assert _named(record) == [("batch 1", "ours")]


def test_turns_of_other_texts_are_kept_for_their_own_workload(
    model: Path, workloads: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, contestants, other = tmp_path / "bench.json", [Contestant("ours")], _otherwise(workloads[0], "texts")
    run_benchmark(model, [other], contestants, dtype="fp32", record=record)
    ran: list[Sequence[Task]] = []
    run = Running.run

    def noted(self: Running, tasks: Sequence[Task], batch: int) -> list[Completion]:
        ran.append(tasks)
        if len(ran) == 3:  # of a warm-up and two turns the last
            raise KeyboardInterrupt
        return run(self, tasks, batch)

    monkeypatch.setattr(Running, "run", noted)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(model, workloads[:1], contestants, dtype="fp32", record=record)
    assert _named(record) == [("batch 1", "ours")], "whole figures stay until there are whole ones in their place"
    run_benchmark(model, [_otherwise(workloads[0], "labels")], contestants, dtype="fp32", record=record)
    assert len(ran) == 3 + 3, "a warm-up and every turn"
    run_benchmark(model, workloads[:1], contestants, dtype="fp32", record=record)
    assert ran[6:] == [workloads[0].rounds[0], workloads[0].rounds[2]], "a warm-up and the turn that was missing"


def test_an_interrupted_workload_goes_on_with_the_turns_that_are_missing(
    model: Path, workloads: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, contestants = tmp_path / "bench.json", [Contestant("ours"), Contestant("ours without drafting", without=("drafting",))]
    ran: list[tuple[str, int]] = []
    run = Running.run

    def noted(self: Running, tasks: Sequence[Task], batch: int) -> list[Completion]:
        ran.append((self.contestant.name, len(ran)))
        if len(ran) == 6:  # of two warm-ups and four turns the last
            raise KeyboardInterrupt
        return run(self, tasks, batch)

    monkeypatch.setattr(Running, "run", noted)
    with pytest.raises(KeyboardInterrupt):
        run_benchmark(model, workloads[:1], contestants, dtype="fp32", record=record)
    turns = json.loads(record.read_text(encoding="utf-8"))["interrupted"][0]["turns"]
    assert len(turns) == 3
    found = run_benchmark(model, workloads[:1], contestants, dtype="fp32", record=record)
    assert len(ran) == 6 + 2 + 1, "a warm-up of each, and the turn that was missing"
    assert [found.results[turn["place"]].seconds[turn["round"]] for turn in turns] == [turn["seconds"] for turn in turns]
    assert [result.same_answers for result in found.results] == [1.0, 1.0]
    assert "interrupted" not in json.loads(record.read_text(encoding="utf-8"))


def test_contestants_share_weights_and_no_texts(model: Path, workloads: list[Workload]) -> None:
    """Else whoever comes second in a round would find the texts computed already."""
    tasks = workloads[1].rounds[1]
    with loaded(model, [Contestant("first"), Contestant("second"), Contestant("third", cache="embedding")], "fp32") as afresh:
        running = afresh()
        first, second, third = (one.engine for one in running)
        assert first.model is second.model is third.model
        running[0].run(tasks, 3)
        assert first.cache_info.entries == 3 and second.cache_info.entries == third.cache_info.entries == 0
        running[1].run(tasks, 3)
        assert second.cache_info.hits == 0 and third.cache_info.level == "embedding"


def test_contestants_are_made_once_a_workload(model: Path, workloads: list[Workload], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Running] = []
    init = Running.__init__

    def counted(self: Running, contestant: Contestant, engine: Engine) -> None:
        made.append(self)
        init(self, contestant, engine)

    monkeypatch.setattr(Running, "__init__", counted)
    run_benchmark(model, workloads[:1], [Contestant("ours")], dtype="fp32")
    assert len(made) == 1


def test_nothing_is_remembered_of_the_workload_before(model: Path) -> None:
    """The documents nearest to a length are the same ones for every batch size; what one of them costs is not for the other to save."""
    texts = Texts(model, find_sources(kinds=["resume"], split="dev"))
    alone, together = (texts.near(f"batch {batch}", batch=batch, tokens=115, each=batch, rounds=2) for batch in (2, 4))
    assert {task.document.id for task in alone.rounds[1]} & {task.document.id for tasks in together.rounds[1:] for task in tasks}
    assert [result.reused_tokens for result in run_benchmark(model, [alone, together], [Contestant("ours")], dtype="fp32").results] == [
        0,
        0,
    ]


def test_a_technique_left_out_leaves_the_requests_without_it(model: Path, workloads: list[Workload]) -> None:
    tasks = workloads[1].rounds[1]
    with Engine.load(model, dtype="fp32", device="cpu") as engine:
        plain = Running(Contestant("plain", without=tuple(TECHNIQUES)), engine).requests(tasks)
        whole = Running(Contestant("ours"), engine).requests(tasks)
        calls: list[int] = []
        generate = engine.generate
        engine.generate = lambda requests: calls.append(len(requests)) or generate(requests)  # type: ignore[method-assign, func-returns-value, assignment]
        Running(Contestant("no refill", without=("refill",)), engine).run(tasks, 2)
        Running(Contestant("ours"), engine).run(tasks, 2)
    assert all(request.drafts is None and request.shared_prefix == 0 for request in plain)
    assert [request.prompt_ids for request in plain] == [request.prompt_ids for request in whole]
    assert calls == [2, 1, 3]


def test_contestants_are_the_peers_then_ours_then_each_technique_left_out() -> None:
    names = [contestant.name for contestant in choose_contestants(["ctranslate2", "transformers"], grounded=False)]
    assert names == [
        "ctranslate2",
        "transformers",
        "ours",
        *(f"ours without {name}" for name in TECHNIQUES),
        "ours, embedding cache",
        "ours, plain",
    ]
    with pytest.raises(OptionError, match=r"no peers \['openvino'\]; there are \['transformers', 'ctranslate2'\]"):
        choose_contestants(["openvino"])


def test_the_machine_is_described_by_what_speed_depends_on(model: Path) -> None:
    machine = describe_machine(model, "bf16")
    assert machine["dtype"] == "bfloat16" and machine["processor"] and set(machine["model_sha256"]) == {"model.safetensors"}


def test_nothing_to_run_is_an_error(model: Path) -> None:
    with pytest.raises(OptionError, match="0 workloads and 1 contestants"):
        run_benchmark(model, [], [Contestant("ours")])
