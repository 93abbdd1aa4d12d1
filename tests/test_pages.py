"""What README.md and docs/ tell a reader to type is there: names to import, commands, and variables that the lab reads."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import typer.main

from seqgpt_lab.apps.cli import app

ROOT = Path(__file__).resolve().parent.parent
PAGES = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))))


def test_names_are_imported_from_where_the_pages_say() -> None:
    lines = re.findall(r"from (seqgpt_lab[\w.]*) import ([\w, ]+\w)", PAGES)
    assert len(lines) >= 3
    assert not [f"{module}.{name}" for module, names in lines for name in names.split(", ") if not hasattr(import_module(module), name)]


def test_commands_of_the_pages_exist_and_are_typed_without_a_folder() -> None:
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    typed = set(re.findall(r"(?:^|[`|] ?)(?:\S*/bin/)?seqgpt-lab ([a-z][a-z-]+)", PAGES, flags=re.MULTILINE))
    assert {"extract", "lint", "run"} <= typed <= commands
    assert ".venv/bin/activate" in PAGES and not re.findall(r"\.venv/bin/(?!activate)", PAGES)


def test_variables_of_its_own_that_the_lab_reads_are_told() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "seqgpt_lab").rglob("*.py"))
    marks_of_its_own_processes = {"SEQGPT_LAB_RUN"}
    read = set(re.findall(r'"(SEQGPT_LAB_[A-Z_]+)"', source)) - marks_of_its_own_processes
    assert "SEQGPT_LAB_REDUCTION" in read and all(name in PAGES for name in read)
