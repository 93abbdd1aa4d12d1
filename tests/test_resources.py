"""Finding the shipped data and notebooks, in the source tree and in a built wheel."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from seqgpt_lab.errors import SeqGPTLabError
from seqgpt_lab.resources import bundled, bundled_notebook, in_source_tree

ROOT = Path(__file__).resolve().parent.parent
FIND = "import sys; from seqgpt_lab import resources; print(resources.in_source_tree(), resources.bundled(*sys.argv[1:]))"


def shipped_files() -> set[str]:
    """Paths below the root of everything in data/ and notebooks/, as a wheel must carry it."""
    found = (path for folder in ("data", "notebooks") for path in (ROOT / folder).rglob("*"))
    return {path.relative_to(ROOT).as_posix() for path in found if path.is_file() and ".ipynb_checkpoints" not in path.parts}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder holding what installing the built wheel would lay into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder / "site")
    return folder / "site"


def test_the_source_tree_finds_its_own_data() -> None:
    assert bundled("documents") == ROOT / "data" / "documents" and in_source_tree()


def test_a_missing_file_is_named_with_the_place_looked_at() -> None:
    with pytest.raises(SeqGPTLabError, match=r"absent\.jsonl is not shipped.*documents holds"):
        bundled("documents", "absent.jsonl")


def test_a_missing_notebook_is_an_error() -> None:
    with pytest.raises(SeqGPTLabError, match=r"99_absent\.ipynb is not shipped"):
        bundled_notebook("99_absent.ipynb")


def test_a_wheel_carries_all_data_and_notebooks(installed: Path) -> None:
    root = installed / "seqgpt_lab" / "_bundled"
    carried = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert carried == shipped_files() != set()
    sources = {path.name for path in (ROOT / "seqgpt_lab").rglob("*") if path.suffix in (".cpp", ".h", ".txt")}
    assert sources and sources <= {path.name for path in (installed / "seqgpt_lab").rglob("*")}


@pytest.mark.parametrize("parts", [("models", "seqgpt-tiny", "model.safetensors"), ("documents",), ("labels",)], ids="/".join)
def test_an_installed_copy_finds_its_data_without_the_source_tree(installed: Path, tmp_path: Path, parts: tuple[str, ...]) -> None:
    environment = {"PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", FIND, *parts]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"False {installed.joinpath('seqgpt_lab', '_bundled', 'data', *parts)}"


def test_importing_the_package_loads_no_torch() -> None:
    command = [sys.executable, "-c", "import sys, seqgpt_lab; print('torch' in sys.modules, dir(seqgpt_lab))"]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout.startswith("False")
    assert "Extractor" in done.stdout
