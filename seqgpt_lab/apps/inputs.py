"""Reads the documents and labels that a command is given, from files or standard input; knows nothing of what is done with them."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import typer

from seqgpt_lab.apps.console import note
from seqgpt_lab.apps.outputs import STANDARD_INPUT
from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.formats import detect
from seqgpt_lab.documents.formats import read_documents as read_any
from seqgpt_lab.documents.json_formats import detect_json, holds_json, read_json
from seqgpt_lab.documents.reading import Reading, byte_at, conversion
from seqgpt_lab.documents.tables import Columns, read_table, table_head
from seqgpt_lab.errors import DocumentError, OptionError
from seqgpt_lab.extraction.labels import LabelSet

_WITHOUT_GOLD = {"text": "a text file", "folder": "a folder of texts"}
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BEGINS_LIKE_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\[\s*)?\{")


def read_documents(source: str) -> Reading:
    """The documents of a file in any format the lab reads, of a folder of texts, or of standard input for `-`, unusable lines as problems.

    Standard input is JSON, in any of the formats that JSON files have, when it is a JSON list or a JSON object in it, on one line or on
    several, has a `text`; a table (CSV or TSV) when its first line names several columns, one of them as texts are usually called, and the
    next row has a cell for each; otherwise all of it is one plain text, called `stdin`, without the newline at its very end, and a note
    says so where it begins like one of the others. Raises DocumentError for what cannot be read or decoded.
    """
    if source == STANDARD_INPUT:
        content = _standard_input()
        if holds_json(content):
            return read_json(content, detect_json(content))
        head = table_head(content)
        if head and head.sure:
            return read_table(content)
        if head:
            note(
                "note: standard input begins like a table, but the row after the names of its columns has not a cell for each; "
                "it is read as one plain text; as a file called .csv or .tsv it is read as a table"
            )
        if _BEGINS_LIKE_JSON.match(content):
            note(
                'note: standard input begins like JSON, but is no JSON list and no object in it has a "text"; it is read as one plain text'
            )
        return Reading((_plain_text(content),), ())
    return read_any(source)


def read_labelled(source: str, labels: Sequence[str]) -> Reading:
    """Documents with gold: a file in a format that has it, or for `-` JSON or a table on standard input. Raises DocumentError for others.

    labels: the columns of a table that hold gold values; it must have all of them. A task of Label Studio that nobody has labelled is a
    problem.
    """
    if source == STANDARD_INPUT:
        content = _standard_input()
        if not holds_json(content) and table_head(content):  # no text could be meant, so this is enough
            return read_table(content, Columns(labels=tuple(labels)))
        return read_json(content, detect_json(content), labelled=True)
    kind = detect(source)
    if kind in _WITHOUT_GOLD:
        raise DocumentError(
            f"{source}: {_WITHOUT_GOLD[kind]} holds no labelled documents; wanted .jsonl or another format with gold values"
        )
    return read_any(source, kind, labels)


def report_problems(source: str, reading: Reading) -> None:
    """Name each unusable line on standard error, give the notes of the reading, and say so where there is no document at all."""
    name = "standard input" if source == STANDARD_INPUT else source
    for sentence in reading.notes:
        note(f"note: {name}: {sentence}")
    for problem in reading.problems:
        note(f"error: {name}: {problem}")
    if reading.problems:
        note(f"error: {name}: {reading.summary()}; the other {len(reading.documents)} are used")
    elif not reading.documents:
        note(f"note: {name} holds no documents")


def choose_labels(names: Sequence[str], label_set: Path | None) -> LabelSet:
    """Labels from words with commas, or from a label-set file. Raises OptionError unless exactly one of them is given, LabelError."""
    if names and label_set is not None:
        raise OptionError(f"--labels {','.join(names)} and --label-set {label_set} are both given; give one of them")
    if label_set is not None:
        return LabelSet.load(label_set)
    if not names:
        raise OptionError("no labels were given; add --labels 姓名,电话 or --label-set FILE.yaml")
    return LabelSet.of(",".join(names))


def _standard_input() -> bytes:
    """All of standard input. Raises DocumentError where it is closed (`<&-` in a shell)."""
    if sys.stdin is None:
        raise DocumentError("standard input is closed; name a file to read, or send the documents to standard input")
    stream = typer.get_binary_stream("stdin")
    if stream.isatty():
        note("reading standard input; end it with Ctrl-D")
    return stream.read()


def _plain_text(content: bytes) -> Document:
    try:
        text = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DocumentError(f"standard input is not UTF-8: {byte_at(error)}; convert it ({conversion(content)})") from error
    return Document("stdin", re.sub(r"\r?\n\Z", "", text))
