"""`seqgpt-lab lint`: labels in, what is wrong with them out, with a fix for each fault; knows no rule itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgpt_lab.apps.console import emit, note, visible
from seqgpt_lab.apps.options import Json
from seqgpt_lab.apps.outputs import check_output
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seqgpt_lab.extraction.drafts import Draft
    from seqgpt_lab.extraction.lint import Finding

_FILES = (".yaml", ".yml")


def lint(
    labels: Annotated[str, typer.Argument(metavar="LABELS", help="A label set (.yaml), or labels as typed: 姓名,年龄,邮箱->email.")],
    ignore: Annotated[
        list[str] | None, typer.Option("--ignore", metavar="CODE", help="A kind of fault to pass over; may be repeated.")
    ] = None,
    fixed: Annotated[Path | None, typer.Option("--fixed", metavar="FILE.yaml", help="Write the labels with all fixes made here.")] = None,
    as_json: Json = False,
) -> None:
    """Say what is wrong with labels, why, and how to mend it; no model is asked.

    Looks for: empty, character, separator, blank, punctuation, long, duplicate, near-duplicate, vague and unit. The exit code is 1 when
    something is found. The JSON holds {"labels": [...], "findings": [{code, place, label, reason, blocking, fix, fixed}]}.
    """
    from seqgpt_lab.extraction.drafts import drafts_of, label_yaml, read_label_file
    from seqgpt_lab.extraction.lint import fix_all
    from seqgpt_lab.extraction.lint import lint as lint_labels
    from seqgpt_lab.files import write_atomically

    if fixed is not None:
        check_output("--fixed", fixed, (labels,) if _is_file(labels) else ())
    name, drafts = read_label_file(labels) if _is_file(labels) else ("", drafts_of(labels))
    findings = lint_labels(drafts, ignore or ())
    if as_json:
        emit(json_line({"labels": [draft.written for draft in drafts], "findings": [finding.to_dict() for finding in findings]}))
    else:
        emit(_in_words(drafts, findings))
    if fixed is not None:
        mended, left = fix_all(drafts, ignore or ())
        write_atomically(fixed, label_yaml(name, mended))
        note(f"wrote {len(mended)} labels to {fixed}, with {len(left)} faults that need a person")
    if findings or not drafts:
        raise typer.Exit(1)


def _is_file(labels: str) -> bool:
    return Path(labels).suffix.lower() in _FILES


def _in_words(drafts: Sequence[Draft], findings: Sequence[Finding]) -> str:
    """A line a finding with its fix under it, and how many there are."""
    if not drafts:
        return "no labels: name at least one, for example 姓名"
    lines = []
    for finding in findings:
        lines.append(f"{finding.place + 1}. {visible(finding.label)}: {finding.code}: {visible(finding.reason)}")
        lines += [f"   fix: {visible(finding.fix.what)}"] if finding.fix else []
    faults = f"{len(findings)} fault{'s' if len(findings) != 1 else ''}" if findings else "no faults"
    return "\n".join([*lines, f"{len(drafts)} label{'s' if len(drafts) != 1 else ''}, {faults}"])
