"""The repository that the tests lie in, as git knows it, whatever repository the environment names; as in a hook of another worktree."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def environment_without_git() -> dict[str, str]:
    """The environment, but for what git takes from it (which repository, whose index), the user's settings excepted."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name.startswith("GIT_CONFIG")}


def shipped_notebooks(root: Path) -> list[Path]:
    """The notebooks of a copy of the lab that git tracks, sorted; all where git knows none."""
    found = sorted((root / "notebooks").glob("*.ipynb"))
    try:
        tracked = {root / line for line in git(root, "ls-files", "-z", "notebooks").split("\0")}
    except (OSError, subprocess.SubprocessError):
        return found
    return [path for path in found if path in tracked] or found


def git(folder: Path, *words: str) -> str:
    """What a git command in a folder prints. Raises CalledProcessError where it fails, OSError where there is no git."""
    command, environment = ["git", "-C", str(folder), *words], environment_without_git()
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout
