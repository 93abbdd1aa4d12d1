"""Python, packages, fonts, JupyterLab and its widgets: what the notebooks and reports need. Reads; installs nothing."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from importlib.metadata import version as installed

from packaging.requirements import Requirement

from seqgpt_lab.apps.doctor.card_checks import version
from seqgpt_lab.apps.doctor.line import Line
from seqgpt_lab.resources import in_source_tree

_OWN = "seqgpt-lab"
_WIDGETS = "@jupyter-widgets/jupyterlab-manager"


@dataclass(frozen=True, slots=True)
class Software:
    """unmet: requirements of the lab that are missing or of another version; absent_extras: of the notebook part. font: a file that
    draws Chinese, empty without one. lab, widgets: versions, empty where missing; manager: whether JupyterLab has the widgets' half.
    tree: whether the lab runs from its source tree, where `make` and constraints.txt are."""

    python: str
    packages: int
    unmet: tuple[str, ...]
    absent_extras: tuple[str, ...]
    font: str
    lab: str
    widgets: str
    manager: bool
    tree: bool


def read_software() -> Software:
    """Look at what is installed."""
    core, lab = _requirements(""), _requirements("lab")
    return Software(
        python=platform.python_version(),
        packages=len(core) + len(lab),
        unmet=tuple(filter(None, map(_unmet, core))),
        absent_extras=tuple(filter(None, map(_unmet, lab))),
        font=_chinese_font(),
        lab=_version("jupyterlab"),
        widgets=_version("ipywidgets"),
        manager=_has_manager(),
        tree=in_source_tree(),
    )


def check_software(found: Software) -> list[Line]:
    """All lines on software."""
    return [_python(found), _packages(found), _font(found), _jupyter(found)]


def _requirements(extra: str) -> list[Requirement]:
    """What the lab itself asks for: always (empty `extra`), or only with that extra."""
    try:
        every = [Requirement(text) for text in requires(_OWN) or ()]
    except PackageNotFoundError:
        return []
    if not extra:
        return [one for one in every if one.marker is None or one.marker.evaluate({"extra": ""})]
    return [one for one in every if one.marker and not one.marker.evaluate({"extra": ""}) and one.marker.evaluate({"extra": extra})]


def _unmet(requirement: Requirement) -> str:
    """What is wrong with it, empty when nothing is."""
    found = _version(requirement.name)
    if not found:
        return f"{requirement.name} is missing"
    return (
        "" if requirement.specifier.contains(found, prereleases=True) else f"{requirement.name} is {found}, wanted {requirement.specifier}"
    )


def _version(package: str) -> str:
    try:
        return installed(package)
    except PackageNotFoundError:
        return ""


def _chinese_font() -> str:
    """The first font file of the system that has a glyph for 张; empty without one, or without matplotlib to look with."""
    try:
        from matplotlib.font_manager import findSystemFonts
        from matplotlib.ft2font import FT2Font
    except ImportError:
        return ""
    # Fonts with many glyphs are named so; looking at those first spares opening hundreds.
    names = sorted(findSystemFonts(), key=lambda path: (not _sounds_chinese(path), path))
    for path in names:
        try:
            if FT2Font(path).get_char_index(ord("张")):
                return path
        except (RuntimeError, OSError):
            continue
    return ""


def _sounds_chinese(path: str) -> bool:
    return any(part in path.lower() for part in ("cjk", "wqy", "han", "hei", "song", "yahei", "pingfang"))


def _has_manager() -> bool:
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return False
    from pathlib import Path

    return any((Path(folder) / _WIDGETS / "package.json").exists() for folder in jupyter_path("labextensions"))


def _python(found: Software) -> Line:
    if version(found.python) < (3, 11):
        return Line("python", "failed", found.python, "3.11 or newer", "the lab uses its syntax", "make PYTHON=/path/to/python3.11")
    return Line("python", "ok", found.python, "3.11 or newer")


def _packages(found: Software) -> Line:
    expected = "as pyproject.toml asks"
    if found.unmet:
        return Line("packages", "failed", _listed(found.unmet), expected, "the lab is tested with these versions", _install(found))
    if found.absent_extras:
        why = "the command line works; notebooks, reports or tables in some formats do not"
        return Line("packages", "warning", _listed(found.absent_extras), expected, why, _install(found, "lab"))
    return Line("packages", "ok", f"all {found.packages} that the lab and its notebooks ask for", expected)


def _font(found: Software) -> Line:
    if found.font:
        return Line("font", "ok", f"{found.font} draws Chinese", "one that draws Chinese")
    why = "Chinese would be boxes in screenshots and PDF; reports are not affected, they use the reader's fonts"
    return Line("font", "warning", "none", "one that draws Chinese", why, "sudo apt-get install fonts-wqy-microhei")


def _jupyter(found: Software) -> Line:
    expected = "JupyterLab with ipywidgets"
    if not found.lab or not found.widgets:
        missing = " and ".join(name for name, there in (("JupyterLab", found.lab), ("ipywidgets", found.widgets)) if not there)
        return Line(
            "jupyter",
            "warning",
            f"{missing} missing",
            expected,
            "notebooks cannot be opened here",
            _install(found, "lab"),
        )
    shown = f"JupyterLab {found.lab}, ipywidgets {found.widgets}"
    if not found.manager:
        why = "widgets would show as text: `Error displaying widget: model not found`"
        return Line(
            "jupyter",
            "warning",
            f"{shown}, without JupyterLab's half of the widgets",
            expected,
            why,
            "pip install --force-reinstall jupyterlab_widgets",
        )
    return Line("jupyter", "ok", shown, expected)


def _install(found: Software, extra: str = "") -> str:
    """What brings the lab's own packages, or those of an extra: from its source tree with the versions it is tested with."""
    if not found.tree:
        return f"pip install 'seqgpt-lab[{extra}]'" if extra else "pip install seqgpt-lab"
    return f"pip install -c constraints.txt -e '.[{extra}]'" if extra else "make setup"


def _listed(problems: Sequence[str]) -> str:
    return "; ".join(problems)
