"""Holds environment.yml, constraints.txt and pyproject.toml to one another; installs nothing."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PYPI_NAMES = {"pytorch-gpu": "torch", "pytorch": "torch"}
CONDA_ONLY = {"python", "pip", "cuda-version"}
WANTED_ON_THE_RIG = {"torch", "flash-attn", "jupyterlab", "ipywidgets", "pandas", "papermill", "pytest"}


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"]
    return [Requirement(text) for texts in (project()["dependencies"], *extras.values()) for text in texts]


def constraint_lines() -> list[str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def constraints() -> dict[str, Version]:
    return {canonicalize_name(name): Version(version) for name, _, version in (line.partition("==") for line in constraint_lines())}


def environment() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))


def conda_versions() -> dict[str, str]:
    """Version text by PyPI name, of all that environment.yml takes from a conda channel; empty text where it names no version."""
    specs = [entry.partition("=") for entry in environment()["dependencies"] if isinstance(entry, str)]
    return {PYPI_NAMES.get(name, name): version for name, _, version in specs}


def pip_lines() -> list[str]:
    return next(entry["pip"] for entry in environment()["dependencies"] if isinstance(entry, dict))


def environment_versions() -> dict[str, str]:
    """Version text by PyPI name, of every package that environment.yml pins through conda or pip."""
    pinned = [line.partition("==") for line in pip_lines() if not line.startswith("-")]
    conda = {name: version for name, version in conda_versions().items() if name not in CONDA_ONLY}
    return conda | {name: version for name, _, version in pinned}


def test_the_rig_gets_everything_it_needs() -> None:
    assert environment_versions().keys() >= WANTED_ON_THE_RIG


@pytest.mark.parametrize("name", sorted(environment_versions()))
def test_a_version_in_the_environment_is_the_one_in_the_constraints(name: str) -> None:
    assert Version(environment_versions()[name]) == constraints()[canonicalize_name(name)]


def test_the_environments_python_is_one_the_project_takes() -> None:
    python = Requirement(f"python{project()['requires-python']}").specifier
    assert conda_versions()["python"] in python


def test_the_environment_installs_the_project_under_the_constraints() -> None:
    assert "-c constraints.txt" in pip_lines()
    editable = next(line for line in pip_lines() if line.startswith("-e"))
    extras = set(Requirement(editable.replace("-e .", project()["name"])).extras)
    assert extras == project()["optional-dependencies"].keys() - {"flash"}, "flash-attn comes from conda, all other extras from pip"


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_every_requirement_is_pinned_within_its_range(requirement: Requirement) -> None:
    pinned = constraints()[canonicalize_name(requirement.name)]
    assert pinned in requirement.specifier


@pytest.mark.parametrize("line", constraint_lines())
def test_a_constraint_is_a_plain_pin_that_any_machine_can_install(line: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*", line), f"{line!r} is not NAME==VERSION without a local version or a path"
    cuda = line.startswith("nvidia-") and not line.startswith("nvidia-ml-py==")  # that one is plain Python
    assert not cuda, "the CUDA libraries are pinned by torch itself and absent from a CPU build"
