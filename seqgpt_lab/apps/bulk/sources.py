"""The files of a job and their rows, one after the other; a folder that cannot be read is a row with its reason."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from seqgpt_lab.apps.bulk.rows import Columns, Found, read_file, size_of
from seqgpt_lab.documents.walk import Below, check_plain, files_below
from seqgpt_lab.errors import DocumentError, OptionError


@dataclass(frozen=True, slots=True)
class Item:
    """A row of a job, counted from 0: a text, or why there is none. note: what is to be told of a text that was read.

    read: bytes of the whole input up to here, for progress.
    """

    row: int
    id: str
    text: str | None
    failure: str = ""
    note: str = ""
    read: int = 0


class Source:
    """The files of a job, in the order in which their rows come out.

    path: a file, or a folder of which every file that is not hidden is read, in order of its path, links to folders followed. linked:
    these links. Raises DocumentError for a path that does not exist, or is a pipe or device, of which a job that was killed could not read
    again what came before; OptionError for an encoding that does not exist, or is none of texts.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        self.path, self.columns = path, columns
        try:
            "a".encode(columns.encoding or "utf-8")
        except (LookupError, UnicodeError) as error:  # also of hex and others that Python knows, but that make no text of bytes
            raise OptionError(f"there is no encoding {columns.encoding!r}; write for example utf-8, gb18030 or big5") from error
        if not path.exists():
            raise DocumentError(f"there is nothing at {path}; give a folder, or a .jsonl, .csv or .parquet file")
        if not path.is_dir():
            check_plain(path)
        below = _below(path)
        self._unread = dict(below.unread)
        self.files, self.linked = sorted([*below.files, *self._unread]), below.links
        self._sizes = [size_of(file) for file in self.files]
        self.bytes = sum(self._sizes)

    def items(self, skip: int = 0) -> Iterator[Item]:
        """The rows from row `skip` on."""
        row, before = 0, 0
        for file, size in zip(self.files, self._sizes, strict=True):
            name = "" if file == self.path else file.relative_to(self.path).as_posix()
            for found in read_file(file, name, self.columns, self._unread.get(file, "")):
                if row >= skip:
                    yield Item(row, _identifier(found, name), found.text, found.failure, found.note, before + min(found.at, size))
                row += 1
            before += size

    def fingerprint(self) -> str:
        """SHA-256 over the names, sizes and times of change of all files: another value means that the input is not the same."""
        digest = hashlib.sha256(repr(self.columns).encode())
        for file, size in zip(self.files, self._sizes, strict=True):
            digest.update(f"{file}\0{size}\0{_changed_at(file)}\n".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()


def _identifier(found: Found, name: str) -> str:
    """The row's own id, or one made of its file's place and its number in it."""
    return found.id or (":".join(filter(None, (name, found.key))) or "document")


def _below(path: Path) -> Below:
    """What is to be read: the file, or what is below the folder."""
    if not path.is_dir():
        return Below((path,), (), ())
    try:
        return files_below(path, hidden=False)
    except OSError as error:
        return Below((), ((path, error.strerror or str(error)),), ())


def _changed_at(file: Path) -> int:
    """In nanoseconds, as `st_mtime_ns`; 0 for what is not there."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
