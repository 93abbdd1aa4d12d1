"""The planner: costs that follow the engine, plans that move as they must, errors that say what would fit."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from seqgpt_lab.engine.attention import Geometry, SdpaAttention
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.decode import Decoder, decode
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.reuse import CACHE_BYTES
from seqgpt_lab.errors import CapacityError, OptionError
from seqgpt_lab.studies.costs import OPS_A_LAYER, OPS_A_PASS, OPS_TIMED, Machine, Seconds, pass_seconds
from seqgpt_lab.studies.passes import Group, Pass, Workload, about_budget
from seqgpt_lab.studies.plan_memory import memory
from seqgpt_lab.studies.planner import SEQGPT_560M, Arrangement, Plan, best, compare, plan, table
from seqgpt_lab.studies.rigs import Rig

RIG = Rig.load("dual-4090")


class Counting(TorchDispatchMode):
    """Counts what the dispatcher is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function: Any, _types: Any, arguments: Any = (), options: Any = None) -> Any:
        self.count += 1
        return function(*arguments, **(options or {}))


def operations(layers: int, output: int) -> int:
    model = Bloom(ModelConfig(64, 64, layers, 1, eos_token_id=60)).eval()
    with torch.inference_mode(), Counting() as counting:
        decode(model, [Request((1, 2, 3), output)])
    return counting.count


def test_operations_are_as_many_as_the_engine_starts() -> None:
    a_layer = (operations(3, 4) - operations(1, 4)) / 2 / 4
    a_pass = operations(1, 4) - operations(1, 3) - a_layer
    assert a_layer == pytest.approx(OPS_A_LAYER, rel=0.2)
    assert a_pass == pytest.approx(OPS_A_PASS, rel=0.4)


def test_operations_within_what_is_timed() -> None:
    model, attention = Bloom(ModelConfig(64, 64, 1, 1)).eval(), SdpaAttention()
    hidden, query = torch.randn(1, 3, 64), torch.randn(1, 3, 1, 64)
    prepared = attention.prepare(Geometry(torch.zeros(1, dtype=torch.int64), 3, 3), model.slopes, torch.float32)
    with torch.inference_mode(), Counting() as counting:
        model.h[0](hidden, lambda _layer, query, _key, _value: query, 0)
        attention.attend(query, query, query, prepared)
    assert counting.count == pytest.approx(OPS_TIMED, rel=0.2)


@pytest.mark.parametrize("ranks", [1, 2, 4])
def test_weights_and_cache_are_what_tensors_take(ranks: int) -> None:
    config = ModelConfig(1000, 256, 3, 4)
    machine = Machine(RIG, config, "fp16", ranks)
    with torch.device("meta"):
        whole = sum(parameter.numel() for parameter in Bloom(config).parameters())
    cache = KVCache(3, 1, 10, len(range(4 // ranks)), 64, dtype=torch.float16, device=torch.device("meta"))
    assert machine.token_bytes() * 10 == cache.keys.nbytes + cache.values.nbytes
    assert machine.weight_bytes == pytest.approx(2 * whole / ranks, rel=0.05)
    assert machine.layer_bytes * ranks == 2 * 12 * 256 * 256


def test_memory_of_a_card_is_for_what_the_engine_makes_room_for() -> None:
    """Slots for the longest answer, whatever is written, and all that may be kept of texts with one that is about to be kept."""
    config, work = ModelConfig(64, 64, 2, 1, eos_token_id=60), replace(Workload.of(3, 20, 2), max_new_tokens=9)
    decoder = Decoder(Bloom(config).half().eval(), rows=work.batch)
    decoder.run([Request(tuple(range(1, work.length + 1)), work.max_new_tokens)] * work.batch, lambda _places, _found: None)
    assert decoder.cache
    found = memory(Machine(RIG, config, "fp16"), work)
    assert found.cache == decoder.cache.keys.nbytes + decoder.cache.values.nbytes
    assert found.kept == CACHE_BYTES + work.length * decoder.cache.token_bytes
    assert memory(Machine(RIG, config, "fp16"), replace(work, kept_bytes=0)).kept == 0
    assert memory(Machine(RIG, config, "fp16"), replace(work, output=30)).cache == 3 * 50 * decoder.cache.token_bytes
    # Of SeqGPT-560M at batch 16 and length 512: 1.12 GB of weights, 16 times 768 slots of 96 KiB, 0.54 GB of texts kept, a CUDA context.
    known = memory(Machine(RIG, SEQGPT_560M, "fp16"), Workload.of(16, 512, 40))
    assert known.cache == 16 * (512 + 256) * 96 * 1024 and 3.5e9 < known.total < 3.7e9


def test_a_processor_has_memory_only_for_slots_that_are_written() -> None:
    work, rig = Workload.of(3, 20, 2), replace(RIG, kind="cpu")
    assert memory(Machine(rig, SEQGPT_560M, "fp16"), work).cache == 3 * 22 * 96 * 1024


def test_seqgpts_sizes_are_the_known_ones() -> None:
    machine = Machine(RIG, SEQGPT_560M, "fp16")
    assert machine.token_bytes() == 96 * 1024
    assert machine.weight_bytes == pytest.approx(1.118e9, rel=0.01)


def test_a_lone_decode_pass_on_a_4090_cannot_beat_its_bandwidth() -> None:
    seconds = pass_seconds(Machine(RIG, SEQGPT_560M, "fp16"), Pass((Group(1, 1, 256),), 1, 1))
    assert seconds.total >= 1.1e9 / RIG.published["bandwidth"]
    assert seconds.weights + seconds.head == pytest.approx(1.118e9 / RIG.bandwidth, rel=0.05)


def test_measured_layers_are_taken_as_measured_and_between_on_a_line() -> None:
    curves = {"bf16": {256: {1: 1e-4, 64: 2e-4}, 1024: {1: 1e-3, 64: 3e-3}}}
    machine = Machine(replace(RIG, layer_seconds=curves, overlap=False), SEQGPT_560M, "bf16")

    def layers(rows: int, at: Machine = machine) -> float:
        found = pass_seconds(at, Pass((Group(rows, 1, 10),), rows, rows))
        return found.weights + found.products

    assert layers(1) == pytest.approx(24 * 1e-3) and layers(64) == pytest.approx(24 * 3e-3)
    assert layers(32) == pytest.approx(24 * (1e-3 + 2e-3 * 31 / 63)) and layers(128) == pytest.approx(24 * 6e-3)
    # A weight takes 1e-4 / 256^2 in the narrow one and 1e-3 / 1024^2 in the wide one; 640 lies halfway.
    halfway = (1e-4 / 256**2 + 1e-3 / 1024**2) / 2 * 640**2
    assert layers(1, replace(machine, config=replace(SEQGPT_560M, hidden_size=640, heads=10))) == pytest.approx(24 * halfway)
    # Of the last layer only what comes before its attention is computed for tokens of which nothing is asked.
    some = pass_seconds(machine, Pass((Group(1, 64, 64),), 1, 1))
    assert some.weights + some.products == pytest.approx(23.25 * 3e-3 + 0.75 * 1e-3)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 64), st.integers(2, 1024), st.integers(1, 80), st.sampled_from(["plain", "drafted", "grounded"]), st.integers(0, 2))
def test_more_work_never_takes_less(batch: int, length: int, output: int, technique: str, which: int) -> None:
    work = Workload.of(batch, length, output, technique)

    def of(changed: Workload) -> Plan:
        return plan(RIG, SEQGPT_560M, changed, check=False)

    larger = [replace(work, batch=batch + 1), replace(work, length=length + 1), replace(work, passes=work.passes + 1)][which]
    # A prompt that is longer by one id may share its pass with fewer others, which is a few per cent more or less.
    assert of(larger).seconds >= of(work).seconds * 0.9 and of(larger).memory.total >= of(work).memory.total
    assert of(replace(work, cached=length - 1)).seconds <= of(work).seconds * 1.001


def test_two_ranks_lose_and_two_replicas_win_where_sums_cost_more_than_they_save() -> None:
    plans = compare(RIG, SEQGPT_560M, Workload.of(16, 512, 40), "fp16")
    assert [str(one.arrangement) for one in plans] == ["one process", "2 ranks", "2 replicas"]
    chosen, why = best(plans, "throughput")
    assert str(chosen.arrangement) == "2 replicas" and "spend" in why
    assert plans[2].documents_a_second == pytest.approx(2 * plans[0].documents_a_second)
    assert str(best(plans, "memory")[0].arrangement) == "2 ranks"
    # With links that cost nothing, sharing the weights is quicker: the verdict follows the sums.
    free = replace(RIG, reduce_seconds=1e-7, link_bandwidth=1e12, op_seconds=1e-8)
    assert str(best(compare(free, SEQGPT_560M, Workload.of(16, 512, 40), "fp16"), "latency")[0].arrangement) == "2 ranks"


def test_what_ranks_save_is_work_and_no_waiting() -> None:
    """At batch 1 a 4090 waits for operations to be started; sums pass in that time, and nobody has saved it."""
    plans = compare(RIG, SEQGPT_560M, Workload.of(1, 256, 40), "fp16")
    _, why = best(plans, "throughput")
    found = re.search(r"Ranks save ([\d.]+) ms of work and spend ([\d.]+) ms on sums, ([\d.]+) ms of it while the card would wait", why)
    assert found
    saved, spent, waited = map(float, found.groups())
    weights = 41 * 1.118e9 / RIG.bandwidth * 1e3
    assert 0.4 * weights < saved < 0.6 * weights
    assert saved - spent + waited == pytest.approx((plans[0].seconds - plans[1].seconds) * 1e3, abs=0.2)


def test_least_memory_of_one_machine_is_of_all_its_workers_together() -> None:
    plans = compare(replace(RIG, kind="cpu", devices=1, share_of_speed=0.5), SEQGPT_560M, Workload.of(4, 256, 40), "fp16")
    chosen, why = best(plans, "memory")
    assert str(chosen.arrangement) == "one process" and "GB in all" in why
    assert plans[1].memory.total < chosen.memory.total < 2 * plans[1].memory.total


def test_a_sum_over_more_ranks_takes_longer() -> None:
    work = Pass((Group(16, 1, 256),), 16, 16)
    two, four, eight = (pass_seconds(Machine(RIG, SEQGPT_560M, "fp16", ranks), work).sums for ranks in (2, 4, 8))
    assert two == pytest.approx(50 * RIG.reduce_seconds + 49 * 16 * 1024 * 2 / RIG.link_bandwidth)
    assert two < four < eight and eight == pytest.approx(7 * 50 * RIG.reduce_seconds + 49 * 1.75 * 16 * 1024 * 2 / RIG.link_bandwidth)


def test_drafts_pay_where_starting_and_reading_rule() -> None:
    plain, drafted, grounded = (plan(RIG, SEQGPT_560M, Workload.of(1, 256, 46, name)) for name in ("plain", "drafted", "grounded"))
    assert drafted.seconds < plain.seconds / 3 and grounded.seconds <= drafted.seconds * (1 + 1e-9)
    assert drafted.workload.passes == 7


def test_phases_parts_and_table_add_up() -> None:
    found = plan(RIG, SEQGPT_560M, Workload.of(4, 128, 20), arrangement=Arrangement(2, 1))
    record = found.to_dict()
    assert record["seconds"] == pytest.approx(record["prompt_seconds"]["total"] + record["writing_seconds"]["total"])
    for phase in ("prompt_seconds", "writing_seconds", "memory_bytes"):
        assert record[phase]["total"] == pytest.approx(sum(value for name, value in record[phase].items() if name != "total"))
    assert record["limit"] in Seconds.__slots__ and record["prompt_seconds"]["sums"] > 0
    row = table([found]).iloc[0]
    assert row["batch_ms"] == pytest.approx(found.seconds * 1e3) and row["documents_a_second"] == pytest.approx(4 / found.seconds)


def test_what_does_not_fit_says_by_how_much_and_what_would() -> None:
    with pytest.raises(CapacityError, match=r"needs 505\.\d GB a worker and has 22\.8: 483\.\d GB too much; a batch of (\d+) in") as caught:
        compare(RIG, SEQGPT_560M, Workload.of(4000, 1024, 40), "fp16")
    fits = int(str(caught.value).split("a batch of ")[1].split()[0])
    plan(RIG, SEQGPT_560M, Workload.of(fits, 1024, 40))
    with pytest.raises(CapacityError):
        plan(RIG, SEQGPT_560M, Workload.of(fits + 1, 1024, 40))
    with pytest.raises(CapacityError, match=r"one text of \d+ tokens"):
        plan(RIG, SEQGPT_560M, Workload.of(1, 10**6, 40))
    huge = replace(SEQGPT_560M, hidden_size=16384, heads=128)
    with pytest.raises(CapacityError, match="the weights alone take"):
        plan(RIG, huge, Workload.of(1, 10, 10))


def test_what_is_recommended_says_which_budget_it_takes() -> None:
    assert about_budget(Workload.of(16, 1024, 40)) == ""
    told = "Of a batch of 32 at length 1,024 only 16 are at work at a time, for the engine's token_budget is 16,384; "
    assert about_budget(Workload.of(32, 1024, 40)).startswith(f"{told}--batch-size 32 --token-budget 32768, or")
    with pytest.raises(CapacityError, match=r"a batch of 161 instead of 4000 fits\. Of a batch of 161 at length 1,024 only 16 are at work"):
        plan(RIG, SEQGPT_560M, Workload.of(4000, 1024, 40))
    # Half of the batch waits until the other half has left: less throughput than all of it together, and about that of a batch of 16.
    half, waiting = (plan(RIG, SEQGPT_560M, Workload.of(batch, 1024, 40)) for batch in (16, 32))
    whole = plan(RIG, SEQGPT_560M, replace(Workload.of(32, 1024, 40), token_budget=32768))
    assert waiting.documents_a_second == pytest.approx(half.documents_a_second, rel=0.15)
    assert whole.documents_a_second > waiting.documents_a_second
    assert waiting.to_dict()["at_work"] == 16 and table([waiting]).iloc[0]["at_work"] == 16


def test_the_largest_batch_that_is_named_leaves_no_room_for_one_more() -> None:
    machine = Machine(RIG, SEQGPT_560M, "fp16")
    sizes = [memory(machine, Workload.of(batch, 512, 40)).total for batch in range(1, 50)]
    assert sizes == sorted(sizes) and Counter(sizes).most_common(1)[0][1] == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [((0, 512, 40), "at least 1"), ((1, 512, 40, "magic"), "unknown technique 'magic'"), ((1, 512, 40, "plain", 512), "cached 512")],
)
def test_workloads_that_are_none(arguments: tuple[Any, ...], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Workload.of(*arguments)


def test_more_workers_than_cards_and_unknown_targets() -> None:
    with pytest.raises(OptionError, match="need 4 cards, dual-4090 has 2"):
        plan(RIG, SEQGPT_560M, Workload.of(1, 10, 10), arrangement=Arrangement(2, 2))
    with pytest.raises(OptionError, match="unknown target 'speed'"):
        best(compare(RIG, SEQGPT_560M, Workload.of(1, 10, 10), "fp16"), "speed")
