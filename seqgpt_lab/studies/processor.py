"""Tells which processor this machine has. Loads nothing, so that a runner can ask too."""

from __future__ import annotations

import platform
from pathlib import Path


def processor_name() -> str:
    """The marketing name where Linux tells it, else the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
