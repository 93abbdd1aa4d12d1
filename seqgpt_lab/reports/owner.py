"""The process that a run belongs to, and whether it is still there; knows nothing of what it runs."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import psutil

# The kernel gives start times to the hundredth, but relative to a boot time that clock adjustments may shift a little.
_SAME_START_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs a notebook: its host, process id and start time (seconds since the epoch), so that a reused id shows."""

    host: str
    pid: int
    started: float

    @classmethod
    def this_process(cls) -> Owner:
        """The calling process."""
        process = psutil.Process()
        return cls(platform.node(), process.pid, process.create_time())

    def is_gone(self) -> bool:
        """Whether that process has ended for certain; False for another host, which cannot be looked into."""
        return self._is_alive() is False

    def is_here(self) -> bool:
        """Whether that process lives for certain, on this host."""
        return self._is_alive() is True

    def _is_alive(self) -> bool | None:
        """None for what cannot be looked into."""
        if self.host != platform.node():
            return None
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.started) <= _SAME_START_SECONDS
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return None
