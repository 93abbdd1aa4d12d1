"""Tells which personal values a run's report shows, from the notebook it was made of; masks nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seqgpt_lab.reports.masked_page import read_personal, with_shown
from seqgpt_lab.studies.run_files import NOTEBOOK, PAGE

# What values of fields are shown in; to look into anything else would cost seconds a run.
_SHOW = ("<mark", "<table", "seqgpt-unaligned")


def known_personal(folder: Path) -> dict[str, list[str]]:
    """Values of personal fields: those that the run noted in its folder, and those that its report shows, where it masks them too.

    The report itself may have masks in their place, so the executed notebook is read, which has none; where there is no such notebook
    any more, the report. Raises RunError when it cannot be read what was noted.
    """
    values = read_personal(folder)
    for html in _outputs(folder / NOTEBOOK) if (folder / NOTEBOOK).is_file() else _page(folder / PAGE):
        if any(sign in html for sign in _SHOW):
            values = with_shown(html, values)
    return {label: list(dict.fromkeys(found)) for label, found in values.items()}


def _page(path: Path) -> Sequence[str]:
    try:
        return [path.read_text(encoding="utf-8")] if path.is_file() else []
    except (OSError, ValueError):
        return []


def _outputs(path: Path) -> Iterator[str]:
    """The HTML that the notebook's cells put out; nothing of a file that is no notebook, for then there is no report of it either."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        outputs: list[Mapping[str, Any]] = [output for cell in cells for output in cell.get("outputs", ())]
        found = [output.get("data", {}).get("text/html") or "" for output in outputs]
        joined = [html if isinstance(html, str) else "".join(html) for html in found]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return
    yield from joined
