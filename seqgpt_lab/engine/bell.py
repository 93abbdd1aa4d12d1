"""Wakes a thread that waits for pipes, from any other thread; knows no engine."""

from __future__ import annotations

import socket
from contextlib import suppress


class Bell:
    """ear: to be waited for beside connections; readable from the first `ring` until `hear`."""

    def __init__(self) -> None:
        self.ear, self._hand = socket.socketpair()
        self.ear.setblocking(False)
        self._hand.setblocking(False)

    def ring(self) -> None:
        """From any thread; never waits. Harmless when it rings already and after `close`."""
        with suppress(OSError):  # no room for another ring, or nobody to hear it
            self._hand.send(b"!")

    def hear(self) -> None:
        """Be silent until the next ring. Look at what was rung for after this, not before, or a ring in between is lost."""
        with suppress(BlockingIOError):
            while self.ear.recv(4096):
                pass

    def close(self) -> None:
        self.ear.close()
        self._hand.close()
