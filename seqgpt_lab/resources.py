"""Knows where the data and notebooks shipped with the lab lie, in a source tree or an installation, and not what is in them."""

from __future__ import annotations

from pathlib import Path

from seqgpt_lab.errors import SeqGPTLabError

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "_bundled"


def bundled(*parts: str) -> Path:
    """The file or folder at `parts` below the shipped `data/`, such as `bundled("models", "seqgpt-tiny")`.

    Raises SeqGPTLabError where it does not exist, naming the place looked at.
    """
    return _existing(_root() / "data", parts)


def bundled_notebook(name: str) -> Path:
    """The shipped notebook called `name`, such as `06_evaluation.ipynb`.

    Raises SeqGPTLabError where it does not exist, naming the place looked at.
    """
    return _existing(_root() / "notebooks", (name,))


def in_source_tree() -> bool:
    """Whether this copy is a source tree, with a Makefile and constraints.txt beside the package, and not one installed from a wheel."""
    return not _INSTALLED.is_dir()


def _root() -> Path:
    """Folder that holds `data/` and `notebooks/`: inside the package once installed, beside it in a source tree."""
    return _PACKAGE.parent if in_source_tree() else _INSTALLED


def _existing(folder: Path, parts: tuple[str, ...]) -> Path:
    path = folder.joinpath(*parts)
    if path.exists():
        return path
    shipped = ", ".join(sorted(entry.name for entry in path.parent.glob("*"))) or "nothing"
    raise SeqGPTLabError(
        f"{path} is not shipped with this copy of seqgpt_lab; {path.parent} holds {shipped}. "
        "Name one of these, or reinstall: `pip install .` from a complete source tree."
    )
