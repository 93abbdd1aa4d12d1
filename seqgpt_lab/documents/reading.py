"""What reading a file of documents gives, and how any of its readers takes in bytes; knows no format but plain text."""

from __future__ import annotations

import codecs
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

    unit: what the file is made of, in the plural: "lines", "rows", "records", "files". notes: sentences about what is not read though
    nothing is wrong with it, such as a second sheet.
    """

    documents: tuple[Document, ...]
    problems: tuple[Problem, ...]
    unit: str = "lines"
    notes: tuple[str, ...] = ()

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
        raise DocumentError(f"not UTF-8: {byte_at(error)}; save the file as UTF-8 ({conversion(error.object)})") from error
    return text.removeprefix("\ufeff") if byte_order_mark else text


def byte_at(error: UnicodeDecodeError) -> str:
    """The byte that cannot be decoded, and its position from 0."""
    return f"byte 0x{error.object[error.start]:02x} at position {error.start}"


def is_utf_16(raw: bytes) -> bool:
    """Whether bytes begin with the mark of UTF-16."""
    return raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))


def conversion(raw: bytes) -> str:
    """How bytes that are not UTF-8 become it: from UTF-16 where they begin with its mark, else most likely from GBK."""
    return "from UTF-16: iconv -f UTF-16 -t UTF-8" if is_utf_16(raw) else "from GBK: iconv -f GB18030 -t UTF-8"


def cannot_read(path: str | Path, error: OSError) -> NoReturn:
    """Raise the DocumentError of a file that the system does not let us read."""
    raise DocumentError(f"cannot read {path}: {error.strerror}; give the path of a file that exists and may be read") from error
