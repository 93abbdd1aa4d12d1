"""What a user sees who has not installed an extra: one line that names it."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from seqgpt_lab.apps.extras import EXTRAS, extra_of
from tests.apps.test_run import WRITE, write_notebook

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run_without(packages: tuple[str, ...], *words: str) -> subprocess.CompletedProcess[str]:
    """`seqgpt-lab` with these words where those packages are not installed."""
    code = f"import runpy, sys; sys.modules.update(dict.fromkeys({packages})); runpy.run_module('seqgpt_lab', run_name='__main__')"
    return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A suite of one notebook, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write_notebook(WRITE)
    Path("nightly.yaml").write_text("schedule: daily 02:30\nparts:\n- notebook: toy.ipynb\n")
    return "nightly.yaml"


@pytest.mark.parametrize(
    ("packages", "words", "extra"),
    [
        (("papermill",), ("suite", "nightly.yaml"), "lab"),
        (("nbformat",), ("run", "toy.ipynb"), "lab"),
        (("starlette", "fastapi"), ("serve",), "serve"),
        (("ray",), ("bulk", "in.txt", "out.jsonl", "--labels", "姓名", "--ray"), "ray"),
        (("ray", "pyarrow"), ("bulk", "in.txt", "out.jsonl", "--labels", "姓名", "--ray"), "ray"),
    ],
)
def test_a_command_names_the_extra_that_it_lacks(suite: str, packages: tuple[str, ...], words: tuple[str, ...], extra: str) -> None:
    Path("in.txt").write_text("张伟")
    ended = run_without(packages, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.splitlines()[-1] == f"error: this needs {packages[0]}, which is not installed: pip install 'seqgpt-lab[{extra}]'"
    assert "Traceback" not in ended.stderr


def test_schedule_shows_which_packages_of_the_suite_are_missing(suite: str) -> None:
    ended = run_without(("papermill", "nbconvert"), "schedule", suite, "--manager", "cron")
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert "MISSING packages     missing: papermill, nbconvert; pip install 'seqgpt-lab[lab]'" in ended.stdout


def test_every_package_that_is_not_always_there_has_an_extra_that_brings_it() -> None:
    assert EXTRAS.keys() <= PROJECT["optional-dependencies"].keys()
    always = {canonicalize_name(Requirement(text).name) for text in PROJECT["dependencies"]}
    distributions = packages_distributions()
    known = sys.stdlib_module_names | {"seqgpt_lab"}
    unnamed = {
        name
        for name in set(imported_packages()) - known
        if extra_of(name) is None and not always & set(map(canonicalize_name, distributions.get(name, [])))
    }
    assert not unnamed


def imported_packages() -> Iterator[str]:
    """The top packages that the lab imports anywhere."""
    for path in (ROOT / "seqgpt_lab").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from (alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield node.module.partition(".")[0]
