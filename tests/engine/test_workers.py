"""What callers see of engines whose weights live in worker processes: the same output, options that cannot work, memory, clean ends."""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import random_requests

from seqgpt_lab.engine.decode import Request
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import CapacityError, CheckpointError, EngineWarning, OptionError, SeqGPTLabError, WorkerError

VOCABULARY = 1001  # odd: the last rank's block is shorter
REQUESTS = random_requests(13, vocabulary=VOCABULARY)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 heads: world sizes 1, 2, 3, 4, 6 and 12, and ALiBi's interleaved slopes."""
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), heads=12, hidden=192, vocabulary=VOCABULARY)


def load(checkpoint: Path, tensor_parallel: int = 1, replicas: int = 1) -> Engine:
    return Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=4, tensor_parallel=tensor_parallel, replicas=replicas)


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


def test_two_engines_run_side_by_side(two_ranks: Engine, two_replicas: Engine, alone: Engine) -> None:
    def inside(done: int, total: int) -> None:
        assert_same(two_replicas, alone, REQUESTS[:3])

    found, wanted = two_ranks.generate(REQUESTS[:6], inside), alone.generate(REQUESTS[:6])
    assert [completion.token_ids for completion in found] == [completion.token_ids for completion in wanted]


def test_progress_counts_up_to_all_requests_over_all_replicas(two_replicas: Engine) -> None:
    calls: list[tuple[int, int]] = []
    two_replicas.generate(REQUESTS, lambda done, total: calls.append((done, total)))
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert calls[-1] == (13, 13) and len(calls) >= 4


def test_nothing_to_do_gives_nothing(two_replicas: Engine) -> None:
    assert two_replicas.generate([]) == []


def test_each_of_two_ranks_holds_about_half(two_ranks: Engine, alone: Engine) -> None:
    whole = sum(parameter.nbytes for parameter in alone.model.parameters())
    assert [(worker.replica, worker.rank, worker.device) for worker in two_ranks.workers] == [(0, 0, "cpu"), (0, 1, "cpu")]
    assert all(0.45 * whole < worker.weight_bytes < 0.55 * whole for worker in two_ranks.workers)
    assert len({worker.pid for worker in two_ranks.workers} | {os.getpid()}) == 3


def test_the_processor_cores_are_shared_out(two_replicas: Engine) -> None:
    cores = len(os.sched_getaffinity(0))
    assert all(psutil.Process(worker.pid).num_threads() <= 8 + cores for worker in two_replicas.workers)


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
        ((5, 1), "tensor_parallel=5 cannot share out 12 attention heads .* sizes that work: 1, 2, 3, 4, 6, 12$"),
        ((24, 2), "tensor_parallel=24 cannot share out 12 attention heads"),
    ),
)
def test_counts_that_cannot_work_are_refused_with_those_that_do(checkpoint: Path, counts: tuple[int, int], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        load(checkpoint, *counts)


def test_a_vocabulary_too_small_for_every_rank_is_refused(tmp_path: Path) -> None:
    write_random_checkpoint(tmp_path, heads=12, hidden=48, vocabulary=25)  # by 6: steps of 5, and rank 5 has nothing
    with pytest.raises(OptionError, match="a vocabulary of 25; sizes that work: 1, 2, 3, 4$"):
        load(tmp_path, tensor_parallel=6)


def test_a_rank_that_cannot_start_is_named_and_nothing_stays(checkpoint: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((checkpoint / name).read_bytes())
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes()[:-100])
    before = traces()
    with pytest.raises((WorkerError, CheckpointError), match=r"replica 0 rank \d .*CheckpointError: .*not a whole safetensors file"):
        load(tmp_path, tensor_parallel=2)
    assert traces() == before


def test_a_closed_engine_says_so_and_closes_twice(checkpoint: Path) -> None:
    before = traces()
    for _ in range(3):
        with load(checkpoint, replicas=2) as engine:
            assert len(engine.generate([Request((5, 6), 2)])) == 1
        engine.close()
        assert engine.workers == ()
    with pytest.raises(SeqGPTLabError, match="this engine is closed"):
        engine.generate([Request((5,), 1)])
    assert traces() == before


def test_an_engine_that_is_let_go_takes_its_workers_along(checkpoint: Path) -> None:
    before = traces()
    engine = load(checkpoint, replicas=2)
    assert traces() != before
    del engine
    gc.collect()
    assert traces() == before


def traces() -> tuple[set[int], int, set[str], set[str]]:
    """What a leak would add to: worker processes, open files, shared memory, temporary directories."""
    here = psutil.Process()
    children = {child.pid for child in here.children(recursive=True) if "resource_tracker" not in " ".join(child.cmdline())}
    folders = {name for name in os.listdir(tempfile.gettempdir()) if name.startswith("seqgpt-lab-")}
    return children, here.num_fds(), set(os.listdir("/dev/shm")), folders


@pytest.fixture(scope="module")
def roomy(checkpoint: Path, alone: Engine, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Request]:
    """A checkpoint that ends its answer to a request at once, and that request: with room for 20,000 tokens, 61 MB of cache."""
    directory = tmp_path_factory.mktemp("roomy")
    for path in checkpoint.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    prompt = (7, 8, 9)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    config["eos_token_id"] = alone.generate([Request(prompt, 1)])[0].token_ids[0]
    (directory / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return directory, Request(prompt, 20_000)


def test_a_batch_too_large_for_memory_is_halved_and_the_user_is_told(roomy: tuple[Path, Request]) -> None:
    directory, request = roomy
    with Engine.load(directory, dtype="fp32", device="cpu", replicas=2) as engine:
        processes = [psutil.Process(worker.pid) for worker in engine.workers]
        for process in processes:
            room = process.memory_info().vms + 400_000_000  # for 4 rows, not for 8
            process.rlimit(psutil.RLIMIT_AS, (room, room))
        with pytest.warns(EngineWarning, match=r"a batch of 8 prompts ran out of memory on replica \d and was decoded as 4 \+ 4"):
            completions = engine.generate([request] * 16)
        assert [completion.finish_reason for completion in completions] == ["stop"] * 16
        assert [worker.pid for worker in engine.workers] == [process.pid for process in processes]
        with pytest.raises(CapacityError, match="one request with a prompt of 3 tokens and room for 300000 new ones"):
            engine.generate([Request(request.prompt_ids, 300_000)])
        assert len(engine.generate([request])) == 1
