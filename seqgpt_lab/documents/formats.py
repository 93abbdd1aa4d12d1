"""Chooses the reader of a file of documents by its name, for JSON by its records; knows no format itself."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from seqgpt_lab.documents.bio import read_bio
from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.json_formats import detect_json, read_json
from seqgpt_lab.documents.reading import Problem, Reading, cannot_read, read_text
from seqgpt_lab.documents.records import LINES
from seqgpt_lab.documents.tables import Columns, read_table
from seqgpt_lab.documents.walk import check_plain, files_below
from seqgpt_lab.errors import DocumentError, OptionError

Format = Literal["jsonl", "text", "folder", "table", "bio", "doccano", "label-studio"]
FORMATS: tuple[Format, ...] = get_args(Format)
_SUFFIXES: dict[str, Format] = {
    ".txt": "text",
    ".csv": "table",
    ".tsv": "table",
    ".xlsx": "table",
    ".xlsm": "table",
    ".bio": "bio",
    ".bioes": "bio",
    ".bmes": "bio",
    ".conll": "bio",
}
_RECORDS = (*LINES, ".json")
_LISTED_PROBLEMS = 20


def read_documents(path: str | Path, kind: str = "", gold: Sequence[str] = (), complete: bool = True) -> Reading:
    """The documents of a file or folder. kind: one of FORMATS; empty: by the name's ending, for JSON by all records.

    gold: labels whose values are wanted too: a table has them in columns of that name, and a task of Label Studio that nobody has
    labelled is a Problem. complete: a table must have all of those columns; otherwise those that it has are taken.
    Raises OptionError for an unknown kind, DocumentError for what cannot be read or told.
    """
    chosen = kind or detect(path)
    if chosen == "table":
        return read_table(path, Columns(labels=tuple(gold)) if complete else Columns(perhaps=tuple(gold)))
    if chosen == "label-studio":
        return read_json(path, "label-studio", labelled=bool(gold))
    if chosen not in _READERS:
        raise OptionError(f"there is no document format {chosen!r}; there are {', '.join(FORMATS)}")
    return _READERS[chosen](path)


def load_documents(path: str | Path, *, strict: bool = True, gold: Sequence[str] = (), complete: bool = True) -> list[Document]:
    """The documents of a file in any format the lab reads, or of a folder of .txt files; `read_documents` tells them apart.

    Lines that break the format raise a DocumentError that lists them; with strict=False they are left out and listed in a
    UserWarning instead (`read_documents` returns them as values). Notes of the reading are UserWarnings too. gold,
    complete: as `read_documents` takes them. Also raises DocumentError for a missing file or another suffix.
    """
    reading = read_documents(path, gold=gold, complete=complete)
    for sentence in reading.notes:
        warnings.warn(f"{path}: {sentence}", stacklevel=2)
    if reading.problems:
        listing = _listing(path, reading)
        if strict:
            raise DocumentError(f"{listing}\nMend these {reading.unit}, or pass strict=False to go on without them.")
        warnings.warn(listing, stacklevel=2)
    return list(reading.documents)


def detect(path: str | Path) -> Format:
    """The format of a file or folder. Raises DocumentError, naming what is known, when it cannot be told."""
    if Path(path).is_dir():
        return "folder"
    suffix = Path(path).suffix.lower()
    if suffix in _SUFFIXES:
        return _SUFFIXES[suffix]
    if suffix in _RECORDS:
        return detect_json(path)
    known = ", ".join([*_RECORDS, *_SUFFIXES])
    raise DocumentError(f"{path}: cannot read {suffix or 'a file without a suffix'}; wanted {known}, or a folder of .txt files")


def read_folder(path: str | Path) -> Reading:
    """Every .txt file below a folder as one document called after its path, in order of the names; .TXT is the same ending.

    Links to folders are followed as `files_below` does. Where two would be called the same (a.TXT and a.txt), the second keeps its
    ending. A file or folder that cannot be read becomes a Problem that names it. Raises DocumentError where there are none of all these.
    """
    try:
        below = files_below(path)
    except OSError as error:
        cannot_read(path, error)
    files = [file for file in below.files if file.name.lower().endswith(".txt")]
    if not files and not below.unread:
        raise DocumentError(f"there are no .txt files in {path}; give a folder of plain texts in UTF-8")
    documents: dict[str, Document] = {}
    problems = [Problem(0, f"cannot read the folder {folder}: {why}") for folder, why in below.unread]
    for file in files:
        try:
            check_plain(file)
            document = read_text(file)
        except DocumentError as error:
            problems.append(Problem(0, str(error)))
        else:
            within = file.relative_to(path)
            identifier = within.with_suffix("").as_posix()
            identifier = within.as_posix() if identifier in documents else identifier
            documents[identifier] = replace(document, id=identifier)
    return Reading(tuple(documents.values()), tuple(problems), "files")


def _listing(path: str | Path, reading: Reading) -> str:
    total = len(reading.problems)
    shown = [f"  {problem}" for problem in reading.problems[:_LISTED_PROBLEMS]]
    more = [f"  … and {total - _LISTED_PROBLEMS} more"] if total > _LISTED_PROBLEMS else []
    return "\n".join([f"{path}: {reading.summary()}:", *shown, *more])


def _read_text(path: str | Path) -> Reading:
    return Reading((read_text(path),), ())


_READERS: Mapping[str, Callable[[str | Path], Reading]] = {
    "jsonl": partial(read_json, kind="jsonl"),
    "text": _read_text,
    "folder": read_folder,
    "bio": read_bio,
    "doccano": partial(read_json, kind="doccano"),
}
