"""Lets the signals that ask a process to end interrupt it as Ctrl-C does, and interrupts wait for what must not be cut short; knows nothing
of what is interrupted."""

from __future__ import annotations

import math
import signal
import threading
from collections.abc import Iterator
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


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Let the block, which must be short, come to its end before Ctrl-C, SIGTERM or SIGHUP interrupts, where they would; once, however many
    came."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[str] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(signal.Signals(number).name)

    # One that is ignored, or ends the process at once, does so still.
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    taken = {number: handler for number, handler in before.items() if callable(handler)}
    for number in taken:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in taken.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt(came[0])
