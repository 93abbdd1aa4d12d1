"""Whose turn it is: one call is at work at a time, others wait. Knows threads and interrupts, not what is done in a turn."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

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
        me = threading.get_ident()
        if self._holder == me:
            raise SeqGPTLabError("this engine is at work for the call that asks again; call generate after it, or load a second engine")
        try:  # around the acquiring too: an interrupt may come after it and before the next step
            while not self._lock.acquire(timeout=_GLANCE):
                pass
            self._holder = me
            work()
        finally:
            # Python looks for interrupts when a call returns: there is none before the lock is released, not even one that asks who we
            # are, so that a second Ctrl-C comes too late to leave anything behind.
            try:
                if self._holder == me:
                    self._holder = None
            finally:
                try:  # noqa: SIM105 - suppress() would be such a call
                    self._lock.release()
                except RuntimeError:  # interrupted before it was ours
                    pass

    def end(self, work: Callable[[], None], patience: float) -> None:
        """Do `work` when no other thread has a turn: after so many seconds in any case, and at once where this thread has it itself.

        It is done after Ctrl-C too, which ends the wait.
        """
        if self._holder == threading.get_ident():
            work()
            return
        latest = time.monotonic() + patience
        try:
            while not self._lock.acquire(timeout=_GLANCE) and time.monotonic() < latest:
                pass
        finally:
            try:
                work()
            finally:
                try:  # noqa: SIM105 - as in `take`
                    self._lock.release()
                except RuntimeError:  # interrupted, or out of patience, before it was ours
                    pass
