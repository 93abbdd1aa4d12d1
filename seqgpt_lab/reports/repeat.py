"""Says what differs between a run and its repetition; runs nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from seqgpt_lab.errors import RunError
from seqgpt_lab.reports.collect import read_metrics
from seqgpt_lab.reports.runs import Run, find_run

# What no two runs have in common.
_TIMES = {"seconds", "documents_per_second"}


def what_to_repeat(run: str, runs_dir: str | Path) -> tuple[Run, dict[str, Any]]:
    """The run of that name, and all the parameters to run its notebook with again. Raises RunError when its notebook is gone."""
    record = find_run(runs_dir, run)
    if not Path(record.notebook).is_file():
        raise RunError(f"the notebook {record.notebook} of run {record.id} is not there; go to the folder that the run was started from")
    return record, dict(record.parameters)


def differences(first: Run, second: Run) -> list[str]:
    """What is not the same, a sentence each: notebook, parameters, code, packages, machine, model, data, then ending and metrics."""
    found = [*_compared("", _conditions(first), _conditions(second)), *_compared("", _results(first), _results(second))]
    return [f"{name} was {_shown(before)} and is {_shown(now)}" for name, before, now in found]


def _conditions(run: Run) -> dict[str, Any]:
    return {
        "notebook": run.notebook_sha256,
        "parameter": dict(run.parameters),
        "code": run.code,
        "version of": dict(run.versions),
        "machine": dict(run.machine),
        "model": run.model,
        "data": {str(file["path"]): file["sha256"] for file in run.data},
    }


def _results(run: Run) -> dict[str, Any]:
    try:
        metrics: Any = _without_times(read_metrics(run)) or None
    except RunError:
        metrics = "unreadable"  # as a run that was killed in the middle may leave it; what there is to say of the other must still be said
    return {"status": run.status, "metric": metrics}


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(one) for name, one in value.items() if name not in _TIMES}
    return value


def _compared(name: str, first: Any, second: Any) -> Iterator[tuple[str, Any, Any]]:
    """The names and both values of what differs, as deep as both are mappings."""
    if first == second:
        return
    if not (isinstance(first, Mapping) and isinstance(second, Mapping)):
        yield name, first, second
        return
    for key in sorted({*first, *second}):
        yield from _compared(f"{name} {key}".strip(), first.get(key), second.get(key))


def _shown(value: Any) -> str:
    if value is None:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "…"
