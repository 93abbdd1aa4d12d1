"""The process that a run belongs to, and whether it is still there; knows nothing of what it runs."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

# The system tells the boot's time in whole seconds.
_SAME_START_SECONDS = 2.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs a notebook: its host, process id and start, so that a reused id shows.

    boot: which boot of the host that was, empty where the system does not tell. started: seconds from that boot to the process's start,
    which no change of the clock moves; seconds since the epoch without a boot, as in records that earlier versions wrote.
    """

    host: str
    pid: int
    started: float
    boot: str = ""

    @classmethod
    def this_process(cls) -> Owner:
        """The calling process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Owner:
        """A process of this host. Raises psutil.NoSuchProcess where it has ended."""
        boot = _this_boot()
        return cls(platform.node(), pid, _process(pid, boot)[1], boot)

    def is_gone(self) -> bool:
        """Whether that process has ended for certain; False for another host, which cannot be looked into."""
        return self._is_alive() is False

    def is_here(self) -> bool:
        """Whether that process lives for certain, on this host."""
        return self._is_alive() is True

    def _is_alive(self) -> bool | None:
        """None for what cannot be looked into."""
        boot = _this_boot()
        if self.host != platform.node() or (self.boot and not boot):  # a sandbox may hide which boot this is
            return None
        if self.boot and self.boot != boot:
            return False
        try:
            process, started = _process(self.pid, self.boot)
            return abs(started - self.started) <= _SAME_START_SECONDS and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.AccessDenied:
            return None


def _this_boot() -> str:
    """The name that the system gave its present boot; empty where it gives none."""
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""


def _process(pid: int, boot: str) -> tuple[psutil.Process, float]:
    """A process and its start, as `Owner` has it. Raises psutil.NoSuchProcess."""
    # psutil adds the boot's time, which moves with the clock, to what the system counts. It comes first: versions of psutil before 7 keep
    # what they knew of it last.
    booted = psutil.boot_time() if boot else 0.0
    process = psutil.Process(pid)
    return process, process.create_time() - booted
