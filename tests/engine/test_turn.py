"""Whose turn it is, when interrupts come one upon the other and when the last turn is to be the end."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import CodeType, FrameType

import pytest

from seqgpt_lab.engine.turn import Turn
from seqgpt_lab.errors import SeqGPTLabError

SECONDS = 60.0


Strike = Callable[[FrameType, str, object], None]


def striking(code: CodeType, number: int) -> Strike:
    """Raises KeyboardInterrupt with the call of that number that this code makes.

    Python looks for interrupts when a function of its own begins, and when one of C returns.
    """
    calls = 0

    def strike(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        within = frame if event == "c_return" else frame.f_back if event == "call" else None
        if within is not None and within.f_code is code:
            calls += 1
            if calls == number:
                raise KeyboardInterrupt("the second")

    return strike


def interrupted_at_call(number: int, turn: Turn) -> bool:
    """Take a turn that Ctrl-C ends, and have a second one come with a call that the clean-up makes: whether it makes so many."""

    def work() -> None:
        sys.setprofile(striking(Turn.take.__code__, number))
        raise KeyboardInterrupt("the first")

    with pytest.raises(KeyboardInterrupt) as caught:
        try:
            turn.take(work)
        finally:
            sys.setprofile(None)
    return "second" in str(caught.value)


def test_a_second_interrupt_during_the_clean_up_leaves_the_turn_to_everyone() -> None:
    number = 1
    while interrupted_at_call(number, turn := Turn()):
        done: list[str] = []
        turn.take(partial(done.append, "here"))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(turn.take, partial(done.append, "there")).result(SECONDS)
        assert done == ["here", "there"], number
        number += 1
    assert number > 1, "no interrupt came"


def end_interrupted_at_call(number: int, turn: Turn) -> bool:
    sys.setprofile(striking(Turn.end.__code__, number))
    try:
        turn.end(lambda: None, SECONDS)
    except KeyboardInterrupt:
        return True
    finally:
        sys.setprofile(None)
    return False


def test_an_end_that_is_interrupted_leaves_the_turn_to_everyone() -> None:
    number = 1
    while end_interrupted_at_call(number, turn := Turn()):
        done: list[str] = []
        with ThreadPoolExecutor(1) as pool:
            pool.submit(turn.take, partial(done.append, "there")).result(SECONDS)
        assert done == ["there"], number
        number += 1
    assert number > 1, "no interrupt came"


def test_the_end_comes_after_the_turn_of_another_thread() -> None:
    turn, at_work, leave, order = Turn(), threading.Event(), threading.Event(), list[str]()

    def hold() -> None:
        at_work.set()
        assert leave.wait(SECONDS)
        order.append("turn")

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(turn.take, hold)
        assert at_work.wait(SECONDS)
        ending = pool.submit(turn.end, lambda: order.append("end"), SECONDS)
        leave.set()
        holding.result(SECONDS)
        ending.result(SECONDS)
    assert order == ["turn", "end"]


@pytest.mark.parametrize("patience", (0.0, 0.3))
def test_the_end_does_not_wait_for_ever(patience: float) -> None:
    turn, at_work, leave, ended = Turn(), threading.Event(), threading.Event(), list[int]()

    def hold() -> None:
        at_work.set()
        assert leave.wait(SECONDS)

    with ThreadPoolExecutor(1) as pool:
        holding = pool.submit(turn.take, hold)
        try:
            assert at_work.wait(SECONDS)
            turn.end(lambda: ended.append(1), patience)
        finally:
            leave.set()
        holding.result(SECONDS)
    assert ended == [1]
    turn.take(lambda: ended.append(2))


def test_within_a_turn_of_its_own_a_thread_ends_at_once_and_may_not_take_another() -> None:
    turn, ended = Turn(), list[int]()

    def within() -> None:
        turn.end(lambda: ended.append(1), SECONDS)
        with pytest.raises(SeqGPTLabError, match="at work for the call that asks again"):
            turn.take(partial(ended.append, 2))

    turn.take(within)
    assert ended == [1]
