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


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """What stands in for the environment that environment.yml makes."""
    folder = tmp_path / "conda"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "seqgpt-lab").touch()
    return folder


def test_what_runs_on_cards_uses_the_active_conda_environment_that_holds_the_lab(copy: Path, conda: Path) -> None:
    for target in ("rig", "test-gpu"):
        told = make(copy, target, CONDA_PREFIX=str(conda))
        assert f"{conda}/bin/pytest -m gpu" in told and ".venv" not in told and "pip install" not in told
    assert f"{conda}/bin/seqgpt-lab doctor --rig dual-4090" in make(copy, "rig", CONDA_PREFIX=str(conda))


@pytest.mark.parametrize("target", ("setup", "run", "test", "lint", "lab"))
def test_everything_else_keeps_to_its_own_environment(copy: Path, conda: Path, target: str) -> None:
    told = make(copy, target, CONDA_PREFIX=str(conda))
    assert told == make(copy, target) and ".venv/bin/python -m pip install" in told


def test_without_the_lab_in_it_or_with_another_named_the_conda_environment_is_left_alone(copy: Path, conda: Path) -> None:
    assert make(copy, "rig", "VENV=mine", CONDA_PREFIX=str(conda)) == make(copy, "rig", "VENV=mine")
    assert "mine/bin/pytest -m gpu" in make(copy, "rig", VENV="mine", CONDA_PREFIX=str(conda))
    (conda / "bin" / "seqgpt-lab").unlink()
    told = make(copy, "rig", CONDA_PREFIX=str(conda))
    assert told == make(copy, "rig") and ".venv/bin/pytest -m gpu" in told and "pip install" in told
