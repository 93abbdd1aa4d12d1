"""Whose turn it is: one call is at work at a time, others wait. Knows threads and interrupts, not what is done in a turn."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from seqgpt_lab.errors import SeqGPTLabError

_GLANCE = 0.2  # seconds; an interrupt that comes just as a wait for a lock begins is not seen before that wait ends


class Turn:
    """What at most one thread has at a time, in no particular order."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # of a lock of this kind a thread can tell, by releasing it, whether it was its own
        self._holder: int | None = None

    def take(self, work: Callable[[], None]) -> None:
        """Do `work` while no other thread does. Ctrl-C ends the wait for it within a fraction of a second.

        Raises SeqGPTLabError when `work` itself takes a turn, and what `work` raises.
        """
        if self._holder == threading.get_ident():
            raise SeqGPTLabError("this engine is at work for the call that asks again; call generate after it, or load a second engine")
        try:  # around the acquiring too: an interrupt may come after it and before the next step
            while not self._lock.acquire(timeout=_GLANCE):
                pass
            self._holder = threading.get_ident()
            work()
        finally:
            if self._holder == threading.get_ident():
                self._holder = None
            with suppress(RuntimeError):  # interrupted before it was ours
                self._lock.release()
