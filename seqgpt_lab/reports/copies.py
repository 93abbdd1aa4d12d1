"""Keeps masked copies of runs' reports in a site: made anew when anything they depend on changes, removed with their run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from seqgpt_lab.documents import invisible, quoting, utf8
from seqgpt_lab.files import sha256_of, write_atomically
from seqgpt_lab.reports import embedded, fonts, masked_page, masking
from seqgpt_lab.reports.masked_page import mask_page, read_personal
from seqgpt_lab.reports.page import UNMASKED
from seqgpt_lab.reports.runs import Run
from seqgpt_lab.studies.run_files import PAGE, PERSONAL

REPORTS = "reports"
MASKING = (masking, masked_page, embedded, fonts, invisible, quoting, utf8)
"""The modules that decide what a copy shows."""
# The last line of every copy: tells it from files of others, and what it was made of.
_STAMP = re.compile(rb"<!-- copied by seqgpt-lab site: ([0-9a-f]{64}) -->\n\Z")
_STAMP_BYTES = 128


def copy_report(run: Run, site: Path) -> str | None:
    """Put the run's report, masked, into the site, unless that copy is there; its address there, None without a report.

    Raises OSError, and RunError where it cannot be read what is personal.
    """
    source, target = run.folder / PAGE, _copy_of(run, site)
    if not source.is_file():
        return None
    stamp = _stamp(run.folder)
    if _stamp_of(target) != stamp:
        html = source.read_text(encoding="utf-8").replace(UNMASKED, "Masked for this site")
        page, _ = mask_page(html, read_personal(run.folder))
        write_atomically(target, f"{fonts.refitted(page)}\n<!-- copied by seqgpt-lab site: {stamp} -->\n")
    return f"{REPORTS}/{target.name}"


def remove_others(runs: Iterable[Run], site: Path) -> None:
    """Remove the copies whose run, or whose run's report, is no longer there; files that no site made stay. Raises OSError."""
    kept = {_copy_of(run, site) for run in runs if (run.folder / PAGE).is_file()}
    for path in (site / REPORTS).glob("*.html"):
        if path not in kept and _stamp_of(path):
            path.unlink()


def _copy_of(run: Run, site: Path) -> Path:
    return site / REPORTS / f"{run.id}.html"


def _stamp_of(path: Path) -> str | None:
    """What a copy says it was made of; None for what is no copy."""
    if not path.is_file():
        return None
    with open(path, "rb") as stream:
        stream.seek(max(0, path.stat().st_size - _STAMP_BYTES))
        found = _STAMP.search(stream.read())
    return found[1].decode("ascii") if found else None


def _stamp(folder: Path) -> str:
    """Another for every change to the page, to what is noted as personal, or to how it is masked.

    It stands in the site, so it is made of when the files were changed, not of what they hold: from a digest of a page without masks
    whoever has the page with masks could find a phone number by trying.
    """
    parts = [_masking(), *(_state(folder / name) for name in (PAGE, PERSONAL))]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _state(path: Path) -> str:
    """Of the times the one of the last change to the file's state, which no program can set back, counts."""
    if not path.exists():
        return "none"
    state = path.stat()
    return f"{state.st_ctime_ns} {state.st_mtime_ns} {state.st_size}"


@cache
def _masking() -> str:
    """The masking itself: its source, so that no upgrade of it can be forgotten, and the fields that are personal in any run."""
    sources = [sha256_of(str(module.__file__)) for module in MASKING]
    return "\n".join([*sources, *masked_page.bundled_personal_fields()])
