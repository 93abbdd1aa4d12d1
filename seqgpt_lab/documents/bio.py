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
_BEGINS, _GOES_ON = "BS", "IME"
_LETTERS_WITH_BLANKS = "\u0530"
"""Before this character are the letters of Latin, Greek and Cyrillic, whose words stand apart."""


def read_bio(path: str | Path, joiner: str | None = None) -> Reading:
    """Documents called after their first line, `line-N`. joiner: between tokens; None: a blank between two that can only be words.

    Such a file does not say where blanks were. Two tokens that meet in letters or digits of Latin, Greek or Cyrillic are words unless both
    are single characters; a note says so where any are. Everything else, all of Chinese, is set as it stands.

    The token is a line's first column, the tag its last; columns are separated by a tab or blanks. A document with a tag that cannot
    be read, or that goes on with what nothing began, becomes a Problem. Raises DocumentError for a file that cannot be read.
    """
    documents: list[Document] = []
    problems: list[Problem] = []
    notes: tuple[str, ...] = ()
    for first, lines in _blocks(read_bytes_as_text(path)):
        try:
            document, apart = _document(first, lines, joiner)
        except _LineError as error:
            problems.append(Problem(error.line, str(error)))
            continue
        documents.append(document)
        if apart and not notes:
            notes = (f"the file does not say where blanks were; one was put between words of letters, as in {quoted(apart, longest=60)}",)
    return Reading(tuple(documents), tuple(problems), "groups of lines", notes)


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


def _document(first: int, lines: list[str], joiner: str | None) -> tuple[Document, str]:
    """The document, and the first two words of it that were set apart unasked; empty without any."""
    pieces: list[str] = []
    last, apart = "", ""
    gold: list[tuple[str, int, int]] = []
    at, open_label = 0, ""
    for number, line in enumerate(lines, start=first):
        token, mark, label = _read(number, line)
        between = (_between(last, token) if joiner is None else joiner) if pieces else ""
        if between and joiner is None:
            apart = apart or f"{last} {token}"
        start = at + len(between)
        at = start + len(token)
        pieces.append(between + token)
        last = token
        if mark in _BEGINS and label:
            gold.append((label, start, at))
        elif mark in _GOES_ON:
            if label != open_label:
                raise _LineError(
                    number, f"the tag {mark}-{label} goes on with {label}, but no {label} is open here; begin it with B-{label}"
                )
            gold[-1] = (label, gold[-1][1], at)
        open_label = label if mark in "BIM" else ""
    text = "".join(pieces)
    return Document(f"line-{first}", text, tuple(Entity(label, start, end, text[start:end]) for label, start, end in gold)), apart


def _between(last: str, token: str) -> str:
    meeting = (last[-1], token[0])
    are_words = len(last + token) > 2 and all(one.isalnum() and one < _LETTERS_WITH_BLANKS for one in meeting)
    return " " if are_words else ""


def _read(number: int, line: str) -> tuple[str, str, str]:
    """Token, tag letter and label of a line; a line with nothing but a tag is a blank's."""
    line = line.rstrip()  # blanks before the tag may be the token, those after it are nothing
    columns = line.split("\t") if "\t" in line else line.split(" ")
    tag = columns[-1]
    mark, _, label = tag.partition("-")
    if len(columns) < 2 or not (tag == "O" or (mark in (*_BEGINS, *_GOES_ON) and label)):
        raise _LineError(
            number, f"{quoted(line)} does not end with a tag; wanted a token, a tab or blank, and O, B-label, I-label, E-label or S-label"
        )
    return columns[0] or " ", mark, label
