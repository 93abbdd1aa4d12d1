"""What a pass frees is kept for the next one, instead of being given back to a system that clears every page of it again."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PASSES = """
import resource, sys, torch
if sys.argv[1] == "kept":
    from seqgpt_lab.engine.memory import keep_freed_memory
    keep_freed_memory()
def work():
    return [torch.ones(30_000_000, dtype=torch.uint8) for _ in range(4)]
for turn in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for turn in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_touched_anew(way: str) -> int:
    """Pages that the system had to find in twenty passes of 120 MB, after three of the same.

    Whether malloc by itself gives the memory back depends on what happens to lie above it; so it is told to.
    """
    giving = {**os.environ, "MALLOC_TRIM_THRESHOLD_": "131072"}
    done = subprocess.run([sys.executable, "-c", _PASSES, way], capture_output=True, text=True, timeout=120, check=True, env=giving)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc only")
def test_freed_memory_is_kept_for_the_next_pass() -> None:
    assert pages_touched_anew("kept") < 1000 < 20 * 120_000_000 / 4096 <= pages_touched_anew("given back")
