"""Reads the rows of CSV and TSV text, and goes on after one that cannot be read where it is sure of the next. Knows no document."""

from __future__ import annotations

import csv
import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

LARGEST_CELL = 64 * 2**20
"""Characters of the longest cell that is read; an open quote is followed no further, so that memory is bounded."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row and the line, from 1, on which it begins; failure: why it has no cells."""

    line: int
    cells: list[str]
    failure: str = ""


def separated_rows(lines: Iterable[str], delimiter: str, largest: int = LARGEST_CELL) -> Iterator[Row]:
    """Rows, the head first and empty lines left out. lines: with their ends; largest: characters of the longest cell that is read.

    After a stray quote nobody can tell whether the next line is still the same cell. So a row that cannot be read takes the lines after
    it with it, up to one that is surely a row: quoted as the rules say, with as many cells as the head, and those more than one.
    """
    source = _Lines(lines)
    sure: re.Pattern[str] | None = None
    while True:
        source.taken.clear()
        first = source.number + 1
        csv.field_size_limit(largest)  # it is the whole process's, so it is set before every row
        try:
            cells = next(csv.reader(source, delimiter=delimiter, strict=True), None)
        except csv.Error as error:
            yield Row(first, [], _failure(error, first, _skip(source, sure)))
            continue
        if cells is None:
            return
        if cells:
            sure = sure or _sure_row(len(cells), delimiter)
            yield Row(first, cells)


class _Lines:
    """Lines that can be given back. number: of lines that are taken in all; taken: those of the current row."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines, self._back = iter(lines), deque[str]()
        self.number = 0
        self.taken: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._lines)
        self.number += 1
        self.taken.append(line)
        return line

    def give_back(self, kept: int) -> None:
        """Put back what the current row has taken after its first `kept` lines."""
        back = self.taken[kept:]
        self._back.extendleft(reversed(back))
        self.number -= len(back)
        self.taken.clear()


def _skip(source: _Lines, sure: re.Pattern[str] | None) -> int:
    """Go on behind a row that cannot be read, and behind the lines that it takes with it; the last one's number."""
    begun = source.taken[0]
    source.give_back(1)
    if '"' not in begun:  # the cell is too long, and nothing is left open
        return source.number
    for line in source:
        if sure and sure.fullmatch(line):
            source.give_back(0)
            break
        source.taken.clear()
    return source.number


def _failure(error: csv.Error, first: int, last: int) -> str:
    taken = f"; it takes the lines up to {last} with it, of which none is surely a row of its own" if last > first else ""
    return (
        f'the row cannot be read ({error}); close every quoted cell, write a quote inside one twice (""), split a cell that is too long'
        + taken
    )


def _sure_row(cells: int, delimiter: str) -> re.Pattern[str] | None:
    """What a line that is surely a row looks like; None where a row is one cell, as any line of a text looks like that."""
    cell = rf'(?:"[^"]*(?:""[^"]*)*"|[^"{delimiter}\r\n]*)'
    return re.compile(rf"{cell}(?:{delimiter}{cell}){{{cells - 1}}}[\r\n]*") if cells > 1 else None
