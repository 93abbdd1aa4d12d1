"""Reads BIO files (also BIOES and BMES): a token and its tag a line, an empty line between documents. Knows no other format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import Problem, Reading, read_bytes_as_text
from seqgpt_lab.errors import DocumentError

_LINE_END = re.compile("\r\n|\n|\r")  # no others, which may be tokens
_BEGINS, _GOES_ON, _ALONE = "BS", "IME", "S"


def read_bio(path: str | Path, joiner: str = "") -> Reading:
    """Documents called after their first line, `line-N`. joiner: between tokens, `" "` for words of languages that write blanks.

    The token is a line's first column, the tag its last; columns are separated by a tab or blanks. A document with a tag that cannot
    be read, or that goes on with what nothing began, becomes a Problem. Raises DocumentError for a file that cannot be read.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    for first, lines in _blocks(read_bytes_as_text(path)):
        try:
            documents.append(_document(first, lines, joiner))
        except _LineError as error:
            problems.append(Problem(error.line, str(error)))
    return Reading(tuple(documents), tuple(problems), "groups of lines")


class _LineError(DocumentError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def _blocks(content: str) -> Iterator[tuple[int, list[str]]]:
    """The first line's number and the lines of every document."""
    lines: list[str] = []
    first = 1
    for number, line in enumerate([*_LINE_END.split(content), ""], start=1):
        if line.strip() and not line.startswith("-DOCSTART-"):
            first = first if lines else number
            lines.append(line)
        elif lines:
            yield first, lines
            lines = []


def _document(first: int, lines: list[str], joiner: str) -> Document:
    pieces: list[str] = []
    gold: list[tuple[str, int, int]] = []
    at, open_label = 0, ""
    for number, line in enumerate(lines, start=first):
        token, mark, label = _read(number, line)
        start = at + (len(joiner) if pieces else 0)
        at = start + len(token)
        pieces.append(token)
        if mark in _BEGINS and label:
            gold.append((label, start, at))
        elif mark in _GOES_ON:
            if label != open_label:
                raise _LineError(
                    number, f"the tag {mark}-{label} goes on with {label}, but no {label} is open here; begin it with B-{label}"
                )
            gold[-1] = (label, gold[-1][1], at)
        open_label = label if mark in "BIM" else ""
    text = joiner.join(pieces)
    return Document(f"line-{first}", text, tuple(Entity(label, start, end, text[start:end]) for label, start, end in gold))


def _read(number: int, line: str) -> tuple[str, str, str]:
    """Token, tag letter and label of a line; a line with nothing but a tag is a blank's."""
    columns = line.split("\t") if "\t" in line else line.split(" ")
    tag = columns[-1].strip()
    mark, _, label = tag.partition("-")
    if len(columns) < 2 or not (tag == "O" or (mark in (*_BEGINS, *_GOES_ON) and label)):
        raise _LineError(
            number, f"{quoted(line)} does not end with a tag; wanted a token, a tab or blank, and O, B-label, I-label, E-label or S-label"
        )
    return columns[0] or " ", mark, label
