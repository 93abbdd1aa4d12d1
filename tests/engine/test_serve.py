"""Requests that come while others are at work are answered as if alone, however they come, and memory that runs out costs none of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqgpt_lab.engine import workers
from seqgpt_lab.engine.decode import Decoder, Numbered
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.replica import OutOfMemoryInWorkerError, Replica
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.engine.worker import Worker
from seqgpt_lab.errors import CapacityError, EngineWarning, OptionError
from tests.checkpoints import write_random_checkpoint
from tests.engine.among import Among
from tests.engine.oracles import random_requests

ROWS = 4
REQUESTS = random_requests(24, vocabulary=300)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), hidden=64, heads=1, layers=2, vocabulary=300)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Engine:
    return Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=ROWS)


@pytest.fixture(scope="module")
def replicas(checkpoint: Path) -> Iterator[Engine]:
    with Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=ROWS, replicas=2) as engine:
        yield engine


@pytest.fixture(scope="module")
def alone(engine: Engine) -> list[Completion]:
    return [engine.generate([request])[0] for request in REQUESTS]


def trickle(engine: Engine, coming: Sequence[int], requests: Sequence[Request] = REQUESTS) -> dict[int, Completion]:
    """Serve the requests with numbers from 100 on, at most coming[i] of them at the i-th question, and as many as fit thereafter."""
    left, found = list(enumerate(requests, 100)), dict[int, Completion]()
    most = iter(coming)

    def more(places: int) -> list[Numbered]:
        assert places > 0
        taken = left[: min(places, next(most, places))]
        del left[: len(taken)]
        return taken

    def finish(numbers: Sequence[int], completions: Sequence[Completion]) -> None:
        assert not found.keys() & set(numbers), "told twice"
        found.update(zip(numbers, completions, strict=True))

    while left:  # it ends whenever nothing waits and nothing is at work
        engine.serve(more, finish)
    return found


def check(found: dict[int, Completion], alone: Sequence[Completion]) -> None:
    assert sorted(found) == list(range(100, 100 + len(alone)))
    assert [found[number].token_ids for number in sorted(found)] == [completion.token_ids for completion in alone]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(coming=st.lists(st.integers(0, ROWS), max_size=40), order=st.permutations(range(len(REQUESTS))))
def test_whenever_they_come_they_are_answered_as_alone(
    engine: Engine, alone: list[Completion], coming: list[int], order: list[int]
) -> None:
    engine._runner.decoder.forget()  # type: ignore[attr-defined]  # so that the cache has to grow while some are at work
    check(trickle(engine, coming, [REQUESTS[at] for at in order]), [alone[at] for at in order])


def test_free_rows_are_filled_while_others_write(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work = []
    step = Decoder._step

    def counted(self: Decoder) -> None:
        at_work.append(len(self.rows))
        step(self)

    monkeypatch.setattr(Decoder, "_step", counted)
    trickle(engine, [], [Request((5, 6), 2 + 7 * (number == 0)) for number in range(13)])
    assert at_work[:5] == [ROWS] * 5, "a row stood empty while requests waited for the longest of a batch"


def test_workers_answer_the_same(replicas: Engine, alone: list[Completion]) -> None:
    check(trickle(replicas, [1, 0, 3, 2]), alone)
    check(trickle(replicas, []), alone)


def test_a_free_replica_takes_at_once_what_comes_while_another_works(replicas: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "TICK_SECONDS", 1000.0)  # so that nothing else wakes it
    endless = Request((5, 6), 20_000, Among(tuple(range(10, 290))))  # the end is not among them
    queue, one_is_idle, told = deque([(100, endless)]), threading.Event(), list[int]()

    def more(places: int) -> list[Numbered]:
        if not queue:
            one_is_idle.set()
        return [queue.popleft()] if queue else []

    def come() -> None:
        assert one_is_idle.wait(60)
        queue.append((101, Request((7, 8), 1)))
        replicas.wake()

    def finish(numbers: Sequence[int], completions: Sequence[Completion]) -> None:
        told.extend(numbers)
        raise ZeroDivisionError  # enough is seen

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(come)
        with pytest.raises(ZeroDivisionError):
            replicas.serve(more, finish)
        coming.result(60)
    assert told == [101], "a request waited beside a free replica"


def test_waking_one_that_does_not_wait_is_harmless(engine: Engine, replicas: Engine, alone: list[Completion]) -> None:
    for one in (engine, replicas):
        for _ in range(5000):  # more than anything holds that nobody reads
            one.wake()
        check(trickle(one, []), alone)


def test_running_out_of_memory_halves_the_rows_and_loses_none(
    engine: Engine, alone: list[Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 2
    step: Callable[[Decoder], None] = Decoder._step

    def poor(self: Decoder) -> None:
        if len(self.rows) > limit:
            raise MemoryError
        step(self)

    monkeypatch.setattr(Decoder, "_step", poor)
    with pytest.warns(EngineWarning, match="a batch of 4 prompts ran out of memory"):
        check(trickle(engine, [2, 2]), alone)
    limit = 0
    with pytest.warns(EngineWarning), pytest.raises(CapacityError):
        trickle(engine, [])


def test_one_request_that_did_not_fit_beside_what_was_kept_is_tried_by_itself(
    engine: Engine, alone: list[Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache for many rows, and a text."""
    engine.generate([*REQUESTS[:ROWS], Request(tuple(range(5, 20)), 1, shared_prefix=10)])
    made: Callable[[Decoder], None] = Decoder._step
    decoder, given_back = engine._runner.decoder, []  # type: ignore[attr-defined]

    def poor(self: Decoder) -> None:
        if self.cache is None or self.cache.rows == ROWS or self.reuse.info.entries:
            raise MemoryError
        made(self)

    assert decoder.reuse.info.entries
    monkeypatch.setattr(Decoder, "_step", poor)
    monkeypatch.setattr("seqgpt_lab.engine.memory.give_back_memory", lambda: given_back.append(decoder.cache))
    check(dict(enumerate(engine.generate(REQUESTS[:1]), 100)), alone[:1])
    assert given_back == [None], "to the system, what the failed pass let go of"


def test_so_it_is_by_a_worker(replicas: Engine, alone: list[Completion], monkeypatch: pytest.MonkeyPatch) -> None:
    shortages = 0
    take: Callable[[Replica, Worker], object] = Replica.take

    def poor(self: Replica, worker: Worker) -> object:
        nonlocal shortages
        if shortages > 0:
            shortages -= 1
            raise OutOfMemoryInWorkerError
        return take(self, worker)

    monkeypatch.setattr(Replica, "take", poor)
    shortages = 1
    check(dict(enumerate(replicas.generate(REQUESTS[:1]), 100)), alone[:1])
    shortages = 2
    with pytest.raises(CapacityError):
        replicas.generate(REQUESTS[:1])


def test_a_shortage_of_memory_slows_none_but_those_that_met_it(
    engine: Engine, alone: list[Completion], monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work: list[tuple[int, ...]] = []
    step: Callable[[Decoder], None] = Decoder._step

    def poor(self: Decoder) -> None:
        at_work.append(tuple(row.index for row in self.rows))
        if 101 in at_work[-1] and len(self.rows) > 2:
            raise MemoryError
        step(self)

    monkeypatch.setattr(Decoder, "_step", poor)
    with pytest.warns(EngineWarning, match=r"a batch of 4 prompts ran out of memory on cpu and was decoded as 2 \+ 2"):
        check(trickle(engine, []), alone)
    assert at_work[0] == (100, 101, 102, 103)
    others = at_work.index(next(numbers for numbers in at_work if max(numbers) > 103))
    assert all(len(numbers) <= 2 for numbers in at_work[1:others])
    assert len(at_work[others]) == ROWS, "rows stood empty long after there was memory again"


@pytest.mark.filterwarnings("error")
def test_one_request_needs_no_room_for_many(engine: Engine, alone: list[Completion], monkeypatch: pytest.MonkeyPatch) -> None:
    made: Callable[..., None] = KVCache.__init__

    def poor(self: KVCache, layers: int, rows: int, *shape: int, **kind: object) -> None:
        if rows > 1:
            raise MemoryError
        made(self, layers, rows, *shape, **kind)

    engine._runner.decoder.forget()  # type: ignore[attr-defined]
    monkeypatch.setattr(KVCache, "__init__", poor)
    check(trickle(engine, [], REQUESTS[:1]), alone[:1])


def test_what_cannot_be_asked_is_refused_and_the_engine_goes_on(engine: Engine, alone: list[Completion]) -> None:
    with pytest.raises(OptionError, match="request 101 holds token id 1000"):
        trickle(engine, [], [REQUESTS[0], Request((5, 1000))])
    check(trickle(engine, []), alone)
