"""What `make` would run, asked with `make -n`, in a folder that stands in for a copy of the lab."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.repository import ROOT, environment_without_git, git, shipped_notebooks

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine: apt-get install make")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The Makefile, and two notebooks; nothing is installed and nothing in git."""
    folder = tmp_path / "copy"
    (folder / "notebooks").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", folder)
    for name in ("pyproject.toml", "constraints.txt", "notebooks/06_evaluation.ipynb", "notebooks/Untitled.ipynb"):
        (folder / name).write_text("{}")
    return folder


def make(folder: Path, *words: str, **variables: str) -> str:
    """The commands that `make` would run there. variables: in the environment; it holds nothing of a make or conda around the tests."""
    around = ("MAKE", "MFLAGS", "CONDA", "VENV", "PYTHON", "MODEL", "RIG")
    environment = {name: value for name, value in environment_without_git().items() if not name.startswith(around)}
    command = ["make", "-n", "--no-print-directory", "-C", str(folder), *words]
    done = subprocess.run(command, env={**environment, **variables}, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_lint_and_the_tests_judge_the_notebooks_that_git_tracks_or_all_without_git(copy: Path) -> None:
    shipped, mine = copy / "notebooks" / "06_evaluation.ipynb", copy / "notebooks" / "Untitled.ipynb"
    assert shipped_notebooks(copy) == [shipped, mine]
    assert make(copy, "lint").count("06_evaluation.ipynb notebooks/Untitled.ipynb") == 3
    git(copy, "init", "-q")
    git(copy, "add", "notebooks/06_evaluation.ipynb")
    assert shipped_notebooks(copy) == [shipped]
    for target in ("lint", "format"):
        told = make(copy, target)
        assert told.count("notebooks/06_evaluation.ipynb") == 3 and "Untitled" not in told
        assert told.count("""--config 'extend-exclude = ["data", "*.ipynb"]' .""") == 2
