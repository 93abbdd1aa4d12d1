"""What this process may use of the machine: processors and memory, less what its container or service (its control groups) withholds.

Linux tells both in files, of cgroup 2 and of 1; where there are none, what the machine has may all be used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

CGROUP = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")


def cores() -> int:
    """Processors that this process may run on, each hardware thread counted; a quota may leave less of their time (`processors`)."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1  # Linux alone has it


def processors(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """How many threads can run all the time: a core each, and no more than the quota has whole processors; at least 1.

    More would be stopped together for the rest of each period once they have used it up.
    """
    share = quota(cgroup, membership)
    return cores() if share is None else max(1, min(cores(), int(share)))


def quota(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> float | None:
    """Of how many processors the control groups give the time, such as 1.5; None without a quota.

    cgroup: where control groups are mounted; membership: the file that names those of this process.
    """
    shares = [_share(folder) for folder in _groups("cpu", cgroup, membership)]
    return min((share for share in shares if share is not None), default=None)


def memory_bytes(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int:
    """What the machine has, or the limit of the control groups where that is less."""
    return memory_limit(cgroup, membership) or psutil.virtual_memory().total


def memory_limit(cgroup: Path = CGROUP, membership: Path = MEMBERSHIP) -> int | None:
    """Bytes that the control groups leave; None where that is no less than the machine has."""
    limits = [limit for folder in _groups("memory", cgroup, membership) if (limit := _limit(folder))]
    least = min(limits, default=None)
    return least if least is not None and least < psutil.virtual_memory().total else None


def _groups(controller: str, cgroup: Path, membership: Path) -> Iterator[Path]:
    """Folders of the groups whose limits hold for this process: its own and all around it, up to where they are mounted.

    In a container that is its own group often, which the membership may call by a name that is seen outside only.
    """
    lines: list[str] = []
    with suppress(OSError, UnicodeDecodeError):
        lines = membership.read_text(encoding="utf-8").splitlines()
    inside = {"": "", controller: ""}  # the path by controllers; those of cgroup 2 have no name
    for line in lines:
        _, names, path = [*line.split(":", 2), "", ""][:3]
        if not names or controller in names.split(","):
            inside[names] = path.strip("/")
    for names, path in inside.items():
        top = cgroup / names
        yield from (folder for folder in (top / path, *(top / path).parents) if folder.is_relative_to(top))


def _share(folder: Path) -> float | None:
    """Of one group: microseconds of processor time over those of the period that they are for."""
    with suppress(OSError, ValueError, ZeroDivisionError):  # not of cgroup 2, or max, which is none
        time, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        return int(time) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        time, period = ((folder / f"cpu.cfs_{name}_us").read_text(encoding="ascii") for name in ("quota", "period"))
        return int(time) / int(period) if int(time) > 0 else None  # -1 is none
    return None


def _limit(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        with suppress(OSError, ValueError):  # max, which is none
            return int((folder / name).read_text(encoding="ascii"))
    return None
