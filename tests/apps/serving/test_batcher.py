"""What a batcher tells its engine; what it answers is tested through the server."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence

import pytest

from seqgpt_lab.apps.serving.batcher import Batcher, BusyError
from seqgpt_lab.engine.decode import More
from seqgpt_lab.engine.protocols import Constraint
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.errors import WorkerError

SECONDS = 60.0


class Dozing:
    """An engine with two replicas that asks for more only when it is woken, and completes the second request before the first."""

    def __init__(self) -> None:
        self.woken, self.has_room = threading.Event(), threading.Event()

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        raise AssertionError("it was not woken")

    def serve(self, more: More, finish: Callable[[Sequence[int], Sequence[Completion]], None]) -> None:
        ((first, _),) = more(1)
        while not (found := more(1)):
            self.has_room.set()
            assert self.woken.wait(SECONDS)
            self.woken.clear()
        for number in (found[0][0], first):
            finish([number], [Completion((number,), (1.0,), "length", None, Timing(0.0, 0.0))])

    def wake(self) -> None:
        self.woken.set()


def test_an_engine_at_work_is_told_of_what_comes() -> None:
    engine = Dozing()
    batcher = Batcher(engine, capacity=8)
    try:
        first = batcher.submit([Request((5,))])
        assert engine.has_room.wait(SECONDS)
        second = batcher.submit([Request((6,))])
        assert [future.result(2 * SECONDS)[0].token_ids for future in (first, second)] == [(0,), (1,)]
    finally:
        batcher.close()


class Text:
    """What a request is about, as far as this test looks at it."""

    def start(self) -> Constraint:
        raise AssertionError("nobody waits for its answer")


def test_nothing_is_kept_for_callers_who_left_while_the_engine_had_no_room() -> None:
    engine = Dozing()
    batcher = Batcher(engine, capacity=8)
    try:
        first = batcher.submit([Request((5,))])
        assert engine.has_room.wait(SECONDS)
        with batcher._changed:  # the engine cannot take anything meanwhile
            text = Text()
            known = weakref.ref(text)
            batcher.submit([Request((6,), 1, text)]).cancel()
            del text
            last = batcher.submit([Request((7,))])
            assert known() is None and batcher.waiting == 1
        assert [future.result(2 * SECONDS)[0].token_ids for future in (first, last)] == [(0,), (1,)]
    finally:
        batcher.close()


class Held:
    """An engine with six rows that begins when it may; keeps what it was given at once."""

    def __init__(self) -> None:
        self.begun, self.may, self.given = threading.Event(), threading.Event(), list[list[tuple[int, ...]]]()

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        raise AssertionError("it was not asked for more")

    def serve(self, more: More, finish: Callable[[Sequence[int], Sequence[Completion]], None]) -> None:
        self.begun.set()
        assert self.may.wait(SECONDS)
        while found := more(6):
            self.given.append([tuple(request.prompt_ids) for _, request in found])
            finish([number for number, _ in found], [Completion((1,), (1.0,), "length", None, Timing(0.0, 0.0))] * len(found))

    def wake(self) -> None:
        pass


def test_many_prompts_of_one_caller_do_not_keep_the_others_waiting() -> None:
    engine = Held()
    batcher = Batcher(engine, capacity=64)
    try:
        long, short = batcher.submit([Request((5,))] * 20), batcher.submit([Request((6,))])
        engine.may.set()
        assert [len(future.result(SECONDS)) for future in (long, short)] == [20, 1]
        assert (6,) in engine.given[0] and engine.given[0].count((5,)) == 5, "callers take turns"
    finally:
        engine.may.set()
        batcher.close()


def test_who_finds_no_room_is_told_to_wait_for_as_long_as_what_waits_will_take() -> None:
    engine = Held()
    batcher = Batcher(engine, capacity=8)
    try:
        waiting = batcher.submit([Request((5,))] * 6)
        assert engine.begun.wait(SECONDS)
        for seconds, advice in (((0.0, 2.0, 4.0), 12), ((), 1), ((0.0, 1000.0), 60)):
            batcher._completed.clear()
            batcher._completed.extend(seconds)
            with pytest.raises(BusyError, match=f"6 prompts are waiting, 3 more .* try again in {advice} s") as told:
                batcher.check_room(3)
            assert told.value.retry_after == advice
        engine.may.set()
        assert len(waiting.result(SECONDS)) == 6
    finally:
        engine.may.set()
        batcher.close()


class Broken:
    """An engine that takes nothing, and answers nobody, until it is mended."""

    def __init__(self) -> None:
        self.mended = threading.Event()

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        if not self.mended.is_set():
            raise WorkerError("its workers do not start")
        return [Completion((1,), (1.0,), "length", None, Timing(0.0, 0.0))] * len(requests)

    def serve(self, more: More, finish: Callable[[Sequence[int], Sequence[Completion]], None]) -> None:
        raise WorkerError("its workers do not start")

    def wake(self) -> None:
        pass


def test_whoever_waits_for_an_engine_that_takes_nothing_learns_why_and_is_answered_once_it_can() -> None:
    engine = Broken()
    batcher = Batcher(engine, capacity=8)
    asked = [batcher.submit([Request((5,))] * 2) for _ in range(2)]
    try:
        for one in asked:
            with pytest.raises(WorkerError, match="do not start"):
                one.result(SECONDS)
        assert batcher.waiting == 0
        engine.mended.set()
        asked.append(batcher.submit([Request((6,))] * 3))
        assert len(asked[-1].result(SECONDS)) == 3
    finally:
        for one in asked:
            one.cancel()
        batcher.close()
