"""Compiles the C++ beside it for this processor and loads it; knows compilers, not what is computed."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

_SOURCE = Path(__file__).parent / "training.cpp"
_SECONDS = 300  # compiling takes some 10
# What torch's vectors are made of, by its name for what this processor can do; by default plain arrays.
_INSTRUCTIONS = {
    "AVX2": ("-mavx2", "-mfma", "-mf16c"),
    "AVX512": ("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq", "-mfma", "-mf16c"),
}


class NotCompiledError(Exception):
    """Why there is nothing compiled here; training then runs without, more slowly."""


@cache
def load() -> None:
    """Make `torch.ops.seqgpt_lab_training` what the sources say. Takes some seconds once a process, and leaves nothing on disk.

    Raises NotCompiledError without a C++ compiler ($CXX, or g++, c++, clang++), or when it cannot compile them.
    """
    compiler = _compiler()
    try:
        with TemporaryDirectory(prefix="seqgpt-lab-compiled-") as directory:
            library = Path(directory) / "training.so"
            command = [*shlex.split(compiler), *_flags(), str(_SOURCE), "-o", str(library), *_linked()]
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_SECONDS)
            if done.returncode:
                said = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["(it says nothing)"]
                raise NotCompiledError(f"{compiler} failed: {said[0][:300]}")
            if not library.exists():
                raise NotCompiledError(f"{compiler} made nothing that can be loaded")
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise NotCompiledError(f"{compiler} could not be used to its end ({error})") from error


def _compiler() -> str:
    named = os.environ.get("CXX", "").strip()
    found = named or next(filter(None, map(shutil.which, ("g++", "c++", "clang++"))), None)  # torch's threads are those of g++
    if found is None:
        raise NotCompiledError("there is no C++ compiler; `apt-get install g++` (or CXX=/path/to/one) brings one")
    return found


def _flags() -> list[str]:
    capability = torch.backends.cpu.get_cpu_capability()
    flags = ["-shared", "-fPIC", "-std=c++20", "-O3", "-fopenmp", "-w"]
    if capability in _INSTRUCTIONS:
        flags += [*_INSTRUCTIONS[capability], f"-DCPU_CAPABILITY={capability}", f"-DCPU_CAPABILITY_{capability}"]
    return flags + [f"-I{_torch() / part}" for part in ("include", "include/torch/csrc/api/include")]


def _linked() -> list[str]:
    return [f"-L{_torch() / 'lib'}", "-lc10", "-ltorch_cpu"]


def _torch() -> Path:
    return Path(torch.__file__).parent
