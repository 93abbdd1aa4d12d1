"""Which run is to be held against a baseline when none is named; compares nothing."""

from __future__ import annotations

from datetime import UTC, datetime

from seqgpt_lab.errors import RunError
from seqgpt_lab.evaluation.outcome_file import OUTCOMES
from seqgpt_lab.reports.runs import Run, list_runs
from seqgpt_lab.reports.schedule import WRONG_CLOCK


def latest_run(runs_dir: str, baseline: Run) -> Run:
    """The newest run of the baseline's notebook that began after the baseline.

    Raises RunError without one, and where that one did not complete, left no outcomes, or began in the future by its record: an older run
    in its place, or that one for ever, would be passed for what was not judged at all.
    """
    notebook, began = _name(baseline), _began(baseline)
    found = [run for run in list_runs(runs_dir) if run.id != baseline.id and _name(run) == notebook and _began(run) > began]
    if not found:
        raise RunError(
            f"{runs_dir} holds no run of {notebook} that began after the baseline {baseline.id}; run it, or name the run to judge"
        )
    newest = max(found, key=_began)
    if _began(newest)[0] - datetime.now(UTC) > WRONG_CLOCK:
        raise RunError(
            f"the newest run of {notebook} after the baseline {baseline.id}, {newest.id}, began at {newest.started}, which is still to "
            "come: the clock was wrong, so no run can be told to be newer; name the run to judge, or move that one's folder away"
        )
    if not newest.ok or OUTCOMES not in newest.artifacts:
        told = f"left no {OUTCOMES}" if newest.ok else f"is {newest.status}"
        fix = "wait for it" if newest.status == "running" else "run it again"
        raise RunError(
            f"the newest run of {notebook} after the baseline {baseline.id}, {newest.id}, {told}; {fix}, or name the run to judge"
        )
    return newest


def _began(run: Run) -> tuple[datetime, str]:
    """When a run began; of those that began at once, ids tell the order."""
    return datetime.fromisoformat(run.started), run.id


def _name(run: Run) -> str:
    return run.notebook.rsplit("/", 1)[-1]
