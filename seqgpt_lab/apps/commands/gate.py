"""`seqgpt-lab gate`: two runs in, whether the newer one is worse out; knows no statistics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgpt_lab.apps.console import emit, visible
from seqgpt_lab.apps.options import Json, RunsDir
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    from seqgpt_lab.reports.gate import Change, Gate
    from seqgpt_lab.reports.masking import Masker


def gate(
    run: Annotated[
        str | None, typer.Argument(metavar="RUN", help="The run to judge; none: the newest of the baseline's notebook after it.")
    ] = None,
    baseline: Annotated[str, typer.Option("--baseline", metavar="RUN", help="The run to hold it against.")] = "",
    runs_dir: RunsDir = Path("runs"),
    alpha: Annotated[float, typer.Option("--alpha", help="Share of false alarms accepted.")] = 0.05,
    resamples: Annotated[int, typer.Option("--resamples", min=100, help="Draws a test.")] = 10_000,
    documents: Annotated[int, typer.Option("--documents", min=0, help="Most changed documents shown a field.")] = 5,
    partial: Annotated[bool, typer.Option("--partial", help="Judge what both have, where the run lacks kinds or fields too.")] = False,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Show personal data of changed documents.")] = False,
    as_json: Json = False,
) -> None:
    """Exit with 1 when a run reads documents really worse than a baseline, overall or in a field.

    Both must have read the same documents with the same gold, and the run must have every field of the baseline. A run is named by its id,
    a beginning or end of it, or its folder.
    """
    from seqgpt_lab.errors import OptionError
    from seqgpt_lab.evaluation.verdict import Settings
    from seqgpt_lab.reports.candidate import latest_run
    from seqgpt_lab.reports.gate import compare_runs
    from seqgpt_lab.reports.runs import find_run

    if not baseline:
        raise OptionError("--baseline is missing; name the run to hold the other against")
    first = find_run(runs_dir, baseline)
    second = latest_run(str(runs_dir), first) if run is None else find_run(runs_dir, run)
    found = compare_runs(first, second, Settings(resamples=resamples, alpha=alpha), partial=partial)
    found = found if unmasked else found.masked(_masker(first.folder, second.folder))
    emit(json_line({"baseline": first.id, "run": second.id, **found.to_dict()}) if as_json else _in_words(found, documents))
    if found.regression:
        raise typer.Exit(1)


def _masker(*folders: Path) -> Masker:
    """Masks what any of the runs noted as personal."""
    from seqgpt_lab.reports.masked_page import read_personal
    from seqgpt_lab.reports.masking import Masker

    noted = [read_personal(folder) for folder in folders]
    labels = dict.fromkeys(label for values in noted for label in values)
    return Masker({label: [value for values in noted for value in values.get(label, ())] for label in labels})


def _in_words(found: Gate, shown: int) -> str:
    """The verdicts, and of each named field the documents that it lost."""
    lines = ["REGRESSION" if found.regression else "no regression", found.overall.sentence()]
    for field in found.named:
        lost = [change for change in found.changes if (change.kind, change.label) == (field.kind, field.label)]
        lines += ["", f"{visible(field.kind)} · {visible(field.label)}: {field.verdict.sentence()}"]
        lines.append(f"{len(lost)} documents were right in it and are not any more" + (":" if shown and lost else "."))
        lines += [_change(change) for change in lost[:shown]]
        lines += [f"  … and {len(lost) - shown} more (--documents)"] if 0 < shown < len(lost) else []
    for side, names in (("baseline", found.lost), ("run", found.new)):
        lines += ["", f"not compared, only the {side} has them: {', '.join(map(visible, names))}"] if names else []
    if found.single:
        lines += ["", f"not compared field by field, for they have one document each: {', '.join(map(visible, found.single))}"]
    return "\n".join(lines)


def _change(change: Change) -> str:
    gold, before, now = (" | ".join(map(visible, values)) or "nothing" for values in (change.gold, change.baseline, change.run))
    return f"  {visible(change.document_id)}: {visible(change.text)}\n    should be {gold}; baseline {before}; now {now}"
