"""`seqgpt-lab site` and `seqgpt-lab collect`: all runs of a folder as a static site, or as one table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqgpt_lab.apps.console import emit, emit_path, pad, visible
from seqgpt_lab.apps.options import RunsDir
from seqgpt_lab.apps.outputs import check_output
from seqgpt_lab.apps.progress import ShownProgress


def site(
    runs_dir: RunsDir = Path("runs"),
    output: Annotated[Path, typer.Option("--output", metavar="DIR", help="The folder that gets the site.")] = Path("site"),
) -> None:
    """Build a static site of all runs and print the path of its index.

    An index with filters, trends of the scores of each label set, a comparison of any two runs, and all reports, personal data
    masked. The folder works from a file share; pass it on as it is.
    """
    from seqgpt_lab.reports.site import build_site

    with ShownProgress("site", "runs") as progress:
        index = build_site(runs_dir, output, progress)
    emit_path(index)


def collect(
    runs_dir: RunsDir = Path("runs"),
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="A .parquet, .xlsx or .csv file for the whole table.")
    ] = None,
) -> None:
    """List all runs, or write their parameters and metrics as one table, a row a run, personal data masked."""
    from seqgpt_lab.reports.collect import export_runs, load_runs

    if output is not None:
        check_output("--output", output)
    frame = load_runs(runs_dir)
    if output is not None:
        export_runs(frame, output)
        emit_path(output)
        return
    for _, run in frame.iterrows():
        f1 = run.get("metric.overall.f1")
        emit(
            f"{run['id']}  {pad(run['status'], 11)} {pad(visible(run['notebook']), 34)} "
            + (f"F1 {f1:.3f}" if f1 == f1 and f1 is not None else "")
        )
