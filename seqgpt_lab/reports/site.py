"""Builds a static site of runs: an index with filters, trends, a comparison of any two, and every report; judges nothing.

All in one folder that works from a file share: one page with its data inside, and the reports beside it (see `copies`), personal data
masked.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jinja2

from seqgpt_lab.errors import RunError
from seqgpt_lab.files import write_atomically
from seqgpt_lab.progress import Progress
from seqgpt_lab.reports.collect import read_metrics
from seqgpt_lab.reports.copies import REPORTS, copy_report, remove_others
from seqgpt_lab.reports.masking import Masker
from seqgpt_lab.reports.runs import Run, list_runs
from seqgpt_lab.reports.shown import known_personal

INDEX = "index.html"
_TITLE = "<title>SeqGPT Lab: runs</title>"
_TEMPLATES = Path(__file__).parent / "templates"


def build_site(runs_dir: str | Path, output: str | Path, progress: Progress | None = None) -> Path:
    """Write the site of all runs in `runs_dir` into `output` and return its index. progress: called with runs done and runs in all.

    A report is left as it is where neither the run's page, what it noted as personal nor the masking has changed since the last time;
    reports of runs that are no longer there are removed. Raises RunError for a broken record, when the site
    cannot be written, or where its index would replace a page of others; a run whose metrics cannot be read is listed with what is wrong.
    """
    runs, folder = list_runs(runs_dir), Path(output)
    records = []
    try:
        _check_index(folder / INDEX)
        (folder / REPORTS).mkdir(parents=True, exist_ok=True)
        remove_others(runs, folder)
        for number, run in enumerate(runs, 1):
            records.append(run_record(run, copy_report(run, folder)))
            if progress is not None:
                progress(number, len(runs))
        write_atomically(folder / INDEX, render_index(records))
    except OSError as error:
        raise RunError(f"the site cannot be written to {folder} ({error}); give a folder you may write to") from error
    return folder / INDEX


def _check_index(index: Path) -> None:
    """Raise RunError where the index would replace a page that no site of runs has: somebody else's. Raises OSError."""
    if index.exists() and _TITLE not in index.read_text(encoding="utf-8", errors="replace"):
        raise RunError(f"{index} is no index of runs and would be replaced; give a folder of its own for the site, with --output")


def run_record(run: Run, report: str | None) -> dict[str, Any]:
    """What the index shows of a run, personal data masked, also what only its report shows to be personal.

    report: the address of its report below the site.
    """
    problem = run.error.message if run.error else ""
    try:
        metrics = read_metrics(run)
    except RunError as error:
        metrics, problem = {}, str(error)
    masker = Masker(known_personal(run.folder))
    told = {
        "notebook": Path(run.notebook).name,
        "problem": problem,
        "model": (run.model or {}).get("source"),
        "suite": (run.origin or {}).get("suite"),
        "parameters": {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in run.parameters.items()
        },
        "kinds": {masker.mask(kind): _kind(found) for kind, found in _mapping(metrics, "kinds").items()},
    }
    # What the lab itself says of a run is nobody's value, though it may look like one.
    facts = {"id": run.id, "report": report, "status": run.status, "started": run.started, "seconds": run.seconds}
    return {**facts, "commit": (run.code or {}).get("commit"), "f1": _number(metrics, "overall", "f1"), **masker.mask_within(told)}


def render_index(records: list[dict[str, Any]]) -> str:
    """The index as one HTML page that asks no host for anything."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined)
    # Within a script element only "<" could end it.
    data = json.dumps(records, ensure_ascii=True).replace("<", "\\u003c")
    style = (_TEMPLATES / "report" / "style.css").read_text(encoding="utf-8")
    return environment.get_template("site/index.html.j2").render(data=data, style=style, runs=len(records))


def _kind(found: Any) -> dict[str, Any]:
    """Scores of one kind of document: micro F1, share of wholly right records, F1 of each field."""
    strict = _mapping(found, "strict")
    fields = {label: _number(counts, "f1") for label, counts in _mapping(strict, "per_label").items()}
    return {"f1": _number(strict, "micro", "f1"), "exact": _number(strict, "exact_record_rate"), "fields": fields}


def _mapping(value: Any, key: str) -> dict[str, Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def _number(value: Any, *path: str) -> float | None:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # The page's script reads JSON, which has neither NaN nor infinities: one of them would leave the whole index empty.
    return float(value) if is_number and math.isfinite(value) else None
