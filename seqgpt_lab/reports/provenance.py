"""What code, packages and machine a run had; knows nothing of runs, notebooks or models."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import seqgpt_lab
from seqgpt_lab.machine import memory_bytes, processors
from seqgpt_lab.studies.processor import processor_name

_PACKAGES = (
    *("seqgpt-lab", "torch", "tokenizers", "safetensors", "transformers", "flash-attn"),
    *("numpy", "pandas", "scipy", "matplotlib", "papermill", "nbclient", "nbconvert", "ipykernel"),
)

# With these, as hooks of git set them, git would speak of another repository than the directory's, or of another state of it.
_OTHER_REPOSITORY = {
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES"),
    "GIT_NAMESPACE",
}


def package_versions() -> dict[str, str]:
    """Version of Python and of each package that can change a result or a page; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def describe_machine() -> dict[str, str | int | list[str]]:
    """Host, operating system, CPU, logical cores and bytes of memory that this process may use, names of NVIDIA cards."""
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cpu": processor_name(),
        "cores": processors(),
        "memory_bytes": memory_bytes(),
        "gpus": _gpu_names(),
    }


def code_version(directory: Path | None = None) -> dict[str, str | bool] | None:
    """Commit of the checkout this package runs from and whether its tracked or new files differ; None when it is not in git.

    The package must be tracked there: an environment inside somebody else's repository does not count.
    """
    home = directory or Path(seqgpt_lab.__path__[0])
    if not _git(home, "ls-files", "--", "."):
        return None
    commit = _git(home, "rev-parse", "HEAD")
    top = _git(home, "rev-parse", "--show-toplevel")
    if not commit or not top:
        return None
    # New files count, also where the user has told git not to show them.
    return {"commit": commit, "dirty": bool(_git(Path(top), "status", "--porcelain", "--untracked-files=normal"))}


def _git(directory: Path, *arguments: str) -> str:
    """Output of a git command on the repository that the directory lies in; empty when git is missing or refuses."""
    command = ["git", "-C", str(directory), *arguments]
    environment = {name: value for name, value in os.environ.items() if name not in _OTHER_REPOSITORY}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, stdin=subprocess.DEVNULL, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _gpu_names() -> list[str]:
    """Names of NVIDIA cards from the driver's own files: asking torch would load it into the runner for this alone."""
    names = []
    for information in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in information.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("Model:"):
                names.append(line.split(":", 1)[1].strip())
    return names
