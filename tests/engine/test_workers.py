"""What callers see of engines whose weights live in worker processes: the same output, and options that cannot work."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.messages import ModelSpec
from seqgpt_lab.engine.placement import threads_each
from seqgpt_lab.engine.replica import OutOfMemoryInWorkerError, Replica
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.reuse import CACHE_BYTES, CacheInfo
from seqgpt_lab.errors import CapacityError, OptionError, SeqGPTLabError
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import random_requests

VOCABULARY = 1001  # odd: the last rank's block is shorter
REQUESTS = random_requests(13, vocabulary=VOCABULARY)
TEXTS = (tuple(range(100, 130)), tuple(range(200, 230)))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 heads: world sizes 1, 2, 3, 4, 6 and 12, and ALiBi's interleaved slopes."""
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), heads=12, hidden=192, vocabulary=VOCABULARY)


def load(checkpoint: Path, tensor_parallel: int = 1, replicas: int = 1) -> Engine:
    counts = {"batch_size": 4, "token_budget": 100, "tensor_parallel": tensor_parallel, "replicas": replicas}
    return Engine.load(checkpoint, dtype="fp32", device="cpu", **counts)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def alone(checkpoint: Path) -> Engine:
    return load(checkpoint)


@pytest.fixture(scope="module")
def two_ranks(checkpoint: Path) -> Iterator[Engine]:
    with load(checkpoint, tensor_parallel=2) as engine:
        yield engine


@pytest.fixture(scope="module")
def two_replicas(checkpoint: Path) -> Iterator[Engine]:
    with load(checkpoint, replicas=2) as engine:
        yield engine


def assert_same(engine: Engine, alone: Engine, requests: list[Request] = REQUESTS) -> None:
    found, wanted = engine.generate(requests), alone.generate(requests)
    assert [completion.token_ids for completion in found] == [completion.token_ids for completion in wanted]
    assert [completion.finish_reason for completion in found] == [completion.finish_reason for completion in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-5)


def test_two_ranks_write_what_one_process_writes(two_ranks: Engine, alone: Engine) -> None:
    assert_same(two_ranks, alone)


def test_four_ranks_write_what_one_process_writes(checkpoint: Path, alone: Engine) -> None:
    with load(checkpoint, tensor_parallel=4) as engine:
        assert_same(engine, alone)


def test_two_replicas_write_what_one_process_writes(two_replicas: Engine, alone: Engine) -> None:
    assert_same(two_replicas, alone)


def test_replicas_of_two_ranks_write_what_one_process_writes(checkpoint: Path, alone: Engine) -> None:
    with load(checkpoint, tensor_parallel=2, replicas=2) as engine:
        assert [(worker.replica, worker.rank) for worker in engine.workers] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert_same(engine, alone)


def test_two_engines_run_side_by_side(two_ranks: Engine, two_replicas: Engine, alone: Engine) -> None:
    def inside(done: int, total: int) -> None:
        assert_same(two_replicas, alone, REQUESTS[:3])

    found, wanted = two_ranks.generate(REQUESTS[:6], inside), alone.generate(REQUESTS[:6])
    assert [completion.token_ids for completion in found] == [completion.token_ids for completion in wanted]


def test_what_replicas_keep_of_texts_is_added_up(two_replicas: Engine, alone: Engine) -> None:
    """Of two texts each replica gets one, and both questions about it."""
    texts = [replace(request, prompt_ids=(*text, *request.prompt_ids), shared_prefix=30) for text in TEXTS for request in REQUESTS[:2]]
    size = 2 * 4 * 30 * 192 * 2  # keys and values, in four bytes each, of 30 ids in 2 layers
    for engine, limit in ((alone, CACHE_BYTES), (two_replicas, 2 * CACHE_BYTES)):
        engine.generate(texts)
        assert engine.cache_info == CacheInfo("prefix", limit, hits=2, misses=2, reused_tokens=60, entries=2, bytes=2 * size)


def test_progress_counts_up_to_all_requests_over_all_replicas(two_replicas: Engine) -> None:
    calls: list[tuple[int, int]] = []
    two_replicas.generate(REQUESTS, lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (13, 13) and len(calls) >= 4


def test_workers_have_the_engines_token_budget(two_replicas: Engine) -> None:
    """Of four rows a budget of 100 takes three with prompts of 30: in each replica the fourth waits."""
    calls = [0]
    two_replicas.generate([Request((5,) * 30, 1)] * 8, lambda done, _total: calls.append(done))
    assert sorted(after - before for before, after in pairwise(calls)) == [1, 1, 3, 3]


def test_nothing_to_do_gives_nothing(two_replicas: Engine) -> None:
    assert two_replicas.generate([]) == []


def test_each_of_two_ranks_holds_about_half(two_ranks: Engine, alone: Engine) -> None:
    whole = sum(parameter.nbytes for parameter in alone.model.parameters())
    assert [(worker.replica, worker.rank, worker.device) for worker in two_ranks.workers] == [(0, 0, "cpu"), (0, 1, "cpu")]
    assert all(0.45 * whole < worker.weight_bytes < 0.55 * whole for worker in two_ranks.workers)
    assert len({worker.pid for worker in two_ranks.workers} | {os.getpid()}) == 3


def test_the_processor_cores_are_shared_out_and_each_worker_has_one_at_least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 12)
    monkeypatch.setattr("seqgpt_lab.machine.quota", lambda *_places: None)
    assert [threads_each(workers) for workers in (1, 2, 5, 12, 40)] == [12, 6, 2, 1, 1]
    monkeypatch.setattr("seqgpt_lab.machine.quota", lambda *_places: 6.5)
    assert [threads_each(workers) for workers in (1, 2, 5, 12)] == [6, 3, 1, 1]


def test_weights_in_workers_cannot_be_reached_from_here(two_ranks: Engine, alone: Engine) -> None:
    assert alone.workers == ()
    assert (two_ranks.dtype, two_ranks.device) == (alone.dtype, alone.device)
    with pytest.raises(SeqGPTLabError, match="weights live in worker processes"):
        _ = two_ranks.model


@pytest.mark.parametrize(
    ("counts", "message"),
    (
        ((0, 1), "tensor_parallel 0 and replicas 1 must both be at least 1"),
        ((1, -1), "tensor_parallel 1 and replicas -1"),
        ((1, 1000), "makes 1000 worker processes; give at most 64"),
        ((5, 1), "tensor_parallel=5 cannot share out 12 attention heads .* sizes that work: 1, 2, 3, 4, 6, 12$"),
        ((24, 2), "tensor_parallel=24 cannot share out 12 attention heads"),
    ),
)
def test_counts_that_cannot_work_are_refused_with_those_that_do(checkpoint: Path, counts: tuple[int, int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load(checkpoint, *counts)


def test_weights_that_do_not_fit_are_the_same_error_as_without_workers(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_replica: Replica, *_waiting: object) -> None:
        raise OutOfMemoryInWorkerError("CUDA out of memory. Tried to allocate 1.00 GiB")

    monkeypatch.setattr(Replica, "start", lambda *_: None)
    monkeypatch.setattr(Replica, "await_ready", full)
    with pytest.raises(CapacityError, match=r"the weights do not fit into memory: CUDA out of memory.*more ranks"):
        load(checkpoint, replicas=2)


def test_workers_find_the_weights_whatever_becomes_of_the_working_directory(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is started again later is started where the program is then."""
    given: list[ModelSpec] = []
    monkeypatch.setattr("seqgpt_lab.engine.engine.WorkerPool", lambda spec, _devices: given.append(spec))
    monkeypatch.chdir(checkpoint.parent)
    load(Path(checkpoint.name), replicas=2)
    assert (given[0].config, *given[0].weights) == tuple(checkpoint.resolve() / name for name in ("config.json", "model.safetensors"))


def test_a_vocabulary_too_small_for_every_rank_is_refused(tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path, heads=12, hidden=48, vocabulary=25)  # by 6: steps of 5, and rank 5 has nothing
    with pytest.raises(OptionError, match=r"a vocabulary of 25; sizes that work: 1, 2, 3, 4$"):
        load(tmp_path, tensor_parallel=6)
