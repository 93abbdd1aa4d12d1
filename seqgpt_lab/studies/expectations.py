"""What a machine is expected to have beside its figures, for the machine check to compare with; knows no machine."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from seqgpt_lab.errors import RigError

_VERSION = re.compile(r"\d+(?:\.\d+)*")


def _version(value: object) -> str | None:
    text = str(value)
    return text if isinstance(value, str | int | float) and _VERSION.fullmatch(text) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 64 else None


def as_number(value: object) -> object:
    """Text that is a number as that number, else the value: YAML reads 64e9 as text, for it wants 64.0e+9; people write 64e9."""
    with suppress(ValueError):
        return float(value) if isinstance(value, str) else value
    return value


def _bytes(value: object) -> float | None:
    value = as_number(value)
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and 0 <= value < 1e15
    return float(value) if right and isinstance(value, int | float) else None


_Read = Callable[[object], object]
_KNOWN: Mapping[str, tuple[_Read, str]] = {
    **dict.fromkeys(("compute_capability", "driver", "cuda", "cudnn"), (_version, 'a version such as "13.0"')),
    **dict.fromkeys(("pcie_generation", "pcie_width"), (_whole, "a whole number from 1 to 64")),
    **dict.fromkeys(("nvlink", "peer_to_peer"), (_flag, "true or false")),
    **dict.fromkeys(("ram_bytes", "shm_bytes"), (_bytes, "a number of bytes such as 64.0e+9")),
    **dict.fromkeys(("system", "disk"), (_text, "text")),
}


def checked_expectations(found: object, where: str) -> dict[str, Any]:
    """The expectations of a rig's file, each as the machine check reads it. Raises RigError naming `where`, the value and what could be."""
    if not isinstance(found, dict):
        raise RigError(f"{where}: expects is {found!r}; it must be a mapping of names to values, or left out")
    unknown = sorted(map(str, found.keys() - _KNOWN.keys()))
    if unknown:
        raise RigError(f"{where}: expects has unknown {unknown}, which nothing would be compared with; known are {sorted(_KNOWN)}")
    read = {name: _KNOWN[name][0](value) for name, value in found.items()}
    for name in (name for name, value in read.items() if value is None):
        raise RigError(f"{where}: expects.{name} is {found[name]!r}; {_KNOWN[name][1]} is needed")
    return read
