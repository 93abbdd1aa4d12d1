"""Values written by hand rather than put together, for training only: natural where a grammar is not. Knows nothing of splits."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random

_LISTS = Path(__file__).parent / "phrases"


def phrase(name: str, random: Random) -> str:
    """A line of `phrases/NAME.txt`."""
    return random.choice(_phrases(name))


@cache
def _phrases(name: str) -> tuple[str, ...]:
    return tuple((_LISTS / f"{name}.txt").read_text(encoding="utf-8").splitlines())
