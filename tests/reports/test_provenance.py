from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from seqgpt_lab.reports.provenance import code_version


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a committed package in it."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(tmp_path), *command], check=True)
    return tmp_path


def test_a_checkout_names_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    clean = code_version(checkout / "package")
    assert clean is not None and len(str(clean["commit"])) == 40 and clean["dirty"] is False
    (checkout / "package" / "new.py").write_text("")
    changed = code_version(checkout / "package")
    assert changed == {"commit": clean["commit"], "dirty": True}


def test_code_that_is_not_in_git_has_no_version(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert code_version(tmp_path_factory.mktemp("elsewhere")) is None
    installed = checkout / "env" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert code_version(installed) is None
