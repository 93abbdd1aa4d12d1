"""What rows of a table are, whatever file they come from, and which names its head gives the columns. Knows no file and no document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError


@dataclass(frozen=True, slots=True)
class TableRow:
    """A row with its number in the file; faults: what is wrong with a column's cell, by column; errors: with one that shows what it
    holds, so that it is wrong only where that is to be read as a value."""

    number: int
    cells: Mapping[str, str]
    faults: Mapping[str, str]
    errors: Mapping[str, str] = field(default_factory=dict)


def head_names(path: str, cells: Sequence[str]) -> list[str]:
    """Column names, without the empty ones at the end."""
    names = without_empty_end([cell.strip() for cell in cells], 0)
    odd = [name or "(none)" for name in names if not name or names.count(name) > 1]
    if odd:
        called = ", ".join(name or "(none)" for name in names)
        raise DocumentError(f"{path}: the columns are called {quoted(called)}; give each a name of its own")
    return names


def without_empty_end(cells: Sequence[str], least: int) -> list[str]:
    """The cells up to the last that holds something, and the first `least` in any case: Excel saves columns that were emptied."""
    kept = list(cells)
    while len(kept) > least and not kept[-1].strip():
        kept.pop()
    return kept
