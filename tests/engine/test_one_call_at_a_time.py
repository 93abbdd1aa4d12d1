"""One engine, many callers: threads have answers of their own, a call within a call is refused, and one broken off leaves it free."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from seqgpt_lab.engine.decode import Numbered
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import SeqGPTLabError
from seqgpt_lab.progress import Progress
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import random_requests

MANY = random_requests(48, vocabulary=300)
FIRST, SECOND = MANY[:20], MANY[20:]  # as many different answers as requests, so that another's would be seen
SECONDS = 60.0  # no wait of these tests is longer
Answers = list[tuple[int, ...]]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), hidden=64, heads=1, layers=2, vocabulary=300)


@pytest.fixture(scope="module", params=(1, 2), ids=("in process", "replicas"))
def engine(checkpoint: Path, request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=2, replicas=request.param) as engine:
        yield engine


@pytest.fixture(scope="module")
def wanted(checkpoint: Path) -> dict[Request, tuple[int, ...]]:
    with Engine.load(checkpoint, dtype="fp32", device="cpu") as engine:
        return dict(zip(MANY, answers(engine, MANY), strict=True))


def answers(engine: Engine, requests: Sequence[Request], progress: Progress | None = None) -> Answers:
    return [completion.token_ids for completion in engine.generate(requests, progress)]


def check(engine: Engine, wanted: dict[Request, tuple[int, ...]], requests: Sequence[Request] = FIRST[:3]) -> None:
    assert answers(engine, requests) == [wanted[request] for request in requests]


def in_two_threads(first: Engine, second: Engine) -> list[Answers]:
    """What two threads are answered that ask at the same time, each five times."""
    together = threading.Barrier(2, timeout=SECONDS)

    def ask(engine: Engine, requests: Sequence[Request]) -> Answers:
        together.wait()
        return [ids for _ in range(5) for ids in answers(engine, requests)]

    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(ask, engine, requests) for engine, requests in ((first, FIRST), (second, SECOND))]
        return [future.result(SECONDS) for future in asked]


def test_two_threads_have_answers_of_their_own(engine: Engine, wanted: dict[Request, tuple[int, ...]]) -> None:
    assert in_two_threads(engine, engine) == [5 * [wanted[request] for request in requests] for requests in (FIRST, SECOND)]


def test_engines_on_the_same_weights_need_not_take_turns(checkpoint: Path, wanted: dict[Request, tuple[int, ...]]) -> None:
    with Engine.load(checkpoint, dtype="fp32", device="cpu", batch_size=2) as engine:
        beside = engine.beside()
        assert in_two_threads(engine, beside) == [5 * [wanted[request] for request in requests] for requests in (FIRST, SECOND)]
        assert len(answers(engine, FIRST, lambda done, total: check(beside, wanted))) == len(FIRST)


def test_asking_again_from_the_progress_callback_is_refused_and_harmless(engine: Engine, wanted: dict[Request, tuple[int, ...]]) -> None:
    with pytest.raises(SeqGPTLabError, match="at work for the call that asks again"):
        engine.generate(FIRST, lambda done, total: check(engine, wanted))
    check(engine, wanted, SECOND)


def test_asking_again_from_a_source_of_requests_is_refused_and_harmless(engine: Engine, wanted: dict[Request, tuple[int, ...]]) -> None:
    def more(places: int) -> list[Numbered]:
        engine.generate(FIRST)
        return []

    with pytest.raises(SeqGPTLabError, match="at work for the call that asks again"):
        engine.serve(more, lambda numbers, completions: None)
    check(engine, wanted, SECOND)


@pytest.mark.parametrize("error", (KeyboardInterrupt, ZeroDivisionError))
def test_a_call_that_is_broken_off_leaves_the_engine_to_other_threads(
    engine: Engine, wanted: dict[Request, tuple[int, ...]], error: type[BaseException]
) -> None:
    def progress(done: int, total: int) -> None:
        raise error

    with pytest.raises(error):
        engine.generate(FIRST, progress)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(check, engine, wanted, SECOND).result(SECONDS)
    check(engine, wanted)


def test_a_stream_that_is_closed_early_leaves_the_engine_to_other_threads(engine: Engine, wanted: dict[Request, tuple[int, ...]]) -> None:
    stream = engine.stream(FIRST, window=4)
    assert next(stream).token_ids == wanted[FIRST[0]]
    with ThreadPoolExecutor(1) as pool:  # also while it is open
        pool.submit(check, engine, wanted, SECOND).result(SECONDS)
    assert next(stream).token_ids == wanted[FIRST[1]]
    stream.close()  # type: ignore[attr-defined]  # a generator
    check(engine, wanted)


def test_who_waits_for_his_turn_can_be_interrupted(engine: Engine, wanted: dict[Request, tuple[int, ...]]) -> None:
    at_work, asking, leave = threading.Event(), threading.Event(), threading.Event()

    def hold(done: int, total: int) -> None:
        at_work.set()
        assert leave.wait(SECONDS)

    def stop_button() -> None:
        assert asking.wait(SECONDS)
        _thread.interrupt_main()  # what a signal does that comes just before the wait begins: it does not end the wait

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(answers, engine, FIRST, hold)
        try:
            assert at_work.wait(SECONDS)
            with pytest.raises(KeyboardInterrupt):
                pool.submit(stop_button)
                asking.set()
                engine.generate(SECOND)
        finally:
            leave.set()
        assert holding.result(SECONDS) == [wanted[request] for request in FIRST]
    check(engine, wanted, SECOND)
