"""What a batcher tells its engine; what it answers is tested through the server."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence

from seqgpt_lab.apps.serving.batcher import Batcher
from seqgpt_lab.engine.decode import More
from seqgpt_lab.engine.protocols import Constraint
from seqgpt_lab.engine.requests import Completion, Request, Timing

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
