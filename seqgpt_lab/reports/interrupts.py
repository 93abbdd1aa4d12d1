"""Lets the signals that ask a process to end interrupt it as Ctrl-C does; knows nothing of what is interrupted."""

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
