"""`seqgpt-lab doctor`: what is wrong with this machine and how to mend it; knows no check."""

from __future__ import annotations

from typing import Annotated

import typer

from seqgpt_lab.apps.console import emit
from seqgpt_lab.apps.options import Json, Model
from seqgpt_lab.documents.utf8 import json_line


def doctor(
    rig: Annotated[
        str, typer.Option("--rig", help="What to compare with: a rig's name, a .yaml file, auto (by the cards that are here) or none.")
    ] = "auto",
    model: Model = "tiny",
    as_json: Json = False,
) -> None:
    """Check this machine: cards, driver, links, memory, disk, packages.

    Each line says what was found and what is expected, and where they differ why it matters and how to mend it. Nothing is changed:
    no process is ended, no card reset. The exit code is 1 when a line failed.
    """
    from seqgpt_lab.apps.doctor.examine import examine
    from seqgpt_lab.apps.doctor.line import as_json as to_json
    from seqgpt_lab.apps.doctor.line import as_text, exit_code

    compared, lines = examine(rig, model)
    name = compared.name if compared else ""
    emit(json_line(to_json(lines, name)) if as_json else as_text(lines, name))
    if exit_code(lines):
        raise typer.Exit(exit_code(lines))
