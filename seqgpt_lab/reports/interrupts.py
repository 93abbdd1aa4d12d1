"""Lets the signals that ask a process to end interrupt it as Ctrl-C does, and interrupts wait for what must not be cut short; knows nothing
of what is interrupted."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

_SAME_SECONDS = 1.0  # a terminal that closes tells a program twice, by its shell and by the kernel, some milliseconds apart


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does, where nobody else handles them; only the main thread can be asked to.

    What comes within a second of one that did says the same once more, and leaves alone what that one has begun, which is tidying up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    last = -math.inf

    def interrupt(number: int, frame: FrameType | None) -> None:
        nonlocal last
        if monotonic() - last >= _SAME_SECONDS:
            last = monotonic()
            raise KeyboardInterrupt(signal.Signals(number).name)

    taken = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) == signal.SIG_DFL]
    for number in taken:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class Interrupts:
    """Ctrl-C, SIGTERM and SIGHUP, as they were handled before, but only within `let_in`; what comes outside it waits for that."""

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], object]] = {}
        self._came: list[int] = []
        self._let_in = False

    @contextmanager
    def let_in(self) -> Iterator[None]:
        """Let what has come, or comes meanwhile, interrupt the block; once, however many it is."""
        try:
            self._let_in = True  # before a look at what came: whatever comes after that look must not wait
            self._hand_on()
            yield
        finally:
            self._let_in = False

    @contextmanager
    def _held(self) -> Iterator[None]:
        # One that is ignored, or ends the process at once, does so still. SIGINT is given back last: pressed between two, it would keep
        # the other from being given back.
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
        self._handlers = {number: handler for number, handler in before.items() if callable(handler)}
        for number in self._handlers:
            signal.signal(number, self._take)
        try:
            yield
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
        self._hand_on()

    def _take(self, number: int, frame: FrameType | None) -> None:
        if not self._let_in:
            self._came.append(number)
            return
        self._let_in = False
        self._handlers[number](number, frame)
        self._let_in = True  # it was no interrupt

    def _hand_on(self) -> None:
        came, self._came = self._came, []
        for number in came:
            self._handlers[number](number, None)


@contextmanager
def interrupts_wait() -> Iterator[Interrupts]:
    """Let Ctrl-C, SIGTERM and SIGHUP interrupt the block only where it lets them in, and after it what came last; only in the main thread
    are there any."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts
        return
    with interrupts._held():
        yield interrupts
