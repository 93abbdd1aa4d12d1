from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqgpt_lab.reports.provenance import code_version
from tests.repository import ROOT, git


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with a committed package in it."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false", "-c", f"core.hooksPath={os.devnull}"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "first"]):
        git(tmp_path, *command)
    return tmp_path


def test_a_checkout_names_its_commit_and_whether_it_was_changed(checkout: Path) -> None:
    clean = code_version(checkout / "package")
    assert clean is not None and len(str(clean["commit"])) == 40 and clean["dirty"] is False
    (checkout / "package" / "new.py").write_text("")
    changed = code_version(checkout / "package")
    assert changed == {"commit": clean["commit"], "dirty": True}


def test_new_files_count_where_git_is_told_not_to_show_them(checkout: Path) -> None:
    git(checkout, "config", "status.showUntrackedFiles", "no")
    (checkout / "package" / "new.py").write_text("")
    assert (code_version(checkout / "package") or {})["dirty"] is True


def test_it_is_the_code_s_own_repository_whatever_one_a_hook_of_git_names(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, other = code_version(checkout / "package"), tmp_path_factory.mktemp("other")
    git(other, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert clean is not None and code_version(checkout / "package") == clean


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="these files were unpacked from an archive, without a repository")
def test_what_the_readme_s_commands_write_does_not_make_the_code_another() -> None:
    written = ("models/seqgpt-560m/config.json", "site/index.html", "runs/x/run.json", "runs.xlsx", "journal/dev.json", "here.yaml")
    assert git(ROOT, "check-ignore", "--no-index", *written).split() == list(written)
    assert not git(ROOT, "ls-files", "--cached", "--ignored", "--exclude-standard")


def test_code_that_is_not_in_git_has_no_version(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert code_version(tmp_path_factory.mktemp("elsewhere")) is None
    installed = checkout / "env" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert code_version(installed) is None
