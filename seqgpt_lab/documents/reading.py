"""What reading a file of documents gives, and how any of its readers takes in bytes; knows no format but plain text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError

Source = str | Path | bytes
"""A file's path, or what such a file would hold."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a line (or row, or record), counted from 1, gave no document; line 0: the message names the place itself."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}" if self.line else self.message


@dataclass(frozen=True, slots=True)
class Reading:
    """What a file held: its usable documents in order, and one problem for each line that is not among them.

    unit: what the file is made of, in the plural: "lines", "rows", "records", "files".
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    unit: str = "lines"

    def summary(self) -> str:
        """How much of it cannot be used."""
        lost = len(self.problems)
        return f"{lost} of {lost + len(self.documents)} {self.unit} hold no usable document"


def read_text(path: str | Path) -> Document:
    """A whole UTF-8 text file as one unlabelled document named after the file; one newline at its very end is not part of it.

    Raises DocumentError when the file cannot be read or is not UTF-8.
    """
    return Document(id=Path(path).stem, text=re.sub(r"\r?\n\Z", "", read_bytes_as_text(path)))


def read_bytes(source: Source) -> bytes:
    """The bytes of a file, or those given. Raises DocumentError for a file that cannot be read."""
    if isinstance(source, bytes):
        return source
    try:
        return Path(source).read_bytes()
    except OSError as error:
        cannot_read(source, error)


def read_bytes_as_text(source: Source) -> str:
    """A whole UTF-8 file, line ends as they are, without a byte order mark. Raises DocumentError as `read_text` does."""
    raw = read_bytes(source)
    try:
        return decode(raw)
    except DocumentError as error:
        raise DocumentError(f"{called(source)}: {error}") from error


def called(source: Source) -> str:
    """What errors call a source."""
    return "the input" if isinstance(source, bytes) else str(source)


def decode(raw: bytes | str, byte_order_mark: bool = True) -> str:
    """UTF-8 as text, without the mark where there may be one. Raises DocumentError naming the first byte that is not UTF-8."""
    try:
        text = raw if isinstance(raw, str) else raw.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DocumentError(
            f"not UTF-8: byte 0x{byte:02x} at position {error.start}; save the file as UTF-8 (from GBK: iconv -f GB18030 -t UTF-8)"
        ) from error
    return text.removeprefix("\ufeff") if byte_order_mark else text


def cannot_read(path: str | Path, error: OSError) -> NoReturn:
    """Raise the DocumentError of a file that the system does not let us read."""
    raise DocumentError(f"cannot read {path}: {error.strerror}; give the path of a file that exists and may be read") from error
