"""Which named shared memory on this machine may be a test's own; other programs, of the same user too, make and drop theirs meanwhile."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil

FOLDER = Path("/dev/shm")


def names() -> set[str]:
    """Names of this user's shared memory, those left out that a process has in use which is not of this one's family."""
    here = psutil.Process()
    family = {here.pid, *(child.pid for child in here.children(recursive=True))}
    found = {path.name for path in FOLDER.iterdir() if _is_mine(path)}
    unused = found and found - _used_by([pid for pid in psutil.pids() if pid not in family])
    return {name for name in unused if (FOLDER / name).exists()}  # not what another program dropped while this looked


def _is_mine(path: Path) -> bool:
    with suppress(OSError):  # gone meanwhile
        return path.stat().st_uid == os.getuid()
    return False


def _used_by(pids: list[int]) -> set[str]:
    """Names that these processes have mapped or open; of what may not be looked into, nothing."""
    places = set()
    for process in (Path("/proc", str(pid)) for pid in pids):
        with suppress(OSError):
            places.update(line.split(maxsplit=5)[-1] for line in (process / "maps").read_text(errors="replace").splitlines())
        with suppress(OSError):
            for descriptor in (process / "fd").iterdir():
                with suppress(OSError):
                    places.add(os.readlink(descriptor))
    return {place.removeprefix(f"{FOLDER}/") for place in places if place.startswith(f"{FOLDER}/")}
