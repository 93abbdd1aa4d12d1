"""The files that lie in a run's folder, by name, and how a study's numbers get there; knows nothing of the record of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqgpt_lab.files import write_json

RECORD = "run.json"
NOTEBOOK = "out.ipynb"
PAGE = "report.html"
KERNEL_LOG = "kernel.log"
METRICS = "metrics.json"
INPUTS = "inputs.json"
PERSONAL = "personal.json"
JOURNALS = "journals"


def write_metrics(run_dir: str | Path, metrics: Mapping[str, Any]) -> None:
    """Write what a study measured as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    if run_dir:
        write_json(Path(run_dir) / METRICS, metrics)
