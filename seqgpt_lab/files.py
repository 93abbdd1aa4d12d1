"""Writes files whole or not at all and fingerprints them; knows nothing of what is in them."""

from __future__ import annotations

import errno
import fcntl
import glob
import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_NAME_CHARACTERS = 50
"""Of a file's name in that of its part: with 4 bytes each and the rest they stay below the 255 bytes that file systems allow."""

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of the system that say that a file cannot grow."""

_ABOUT_TO_LOCK = 10.0  # seconds between the making of a folder and its lock, at most


@contextmanager
def atomic_stream(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary stream whose content is at `path` when the block ends well, and nowhere when it does not.

    Written beside the target, synced, then renamed over it, so that readers, and a crash at any moment, see the old file or the new
    one. A link goes on pointing at its file, which is replaced; whose a replaced file is and who may read it stays as it was. A device or
    a pipe is written to as it stands, and so is a file that standard output or error goes to: nothing of that can be taken back.
    Raises OSError as the file system does, naming `path`.
    """
    with _told_of(path), _as_it_stands(path) or _beside(path) as stream:
        yield stream


def _as_it_stands(path: str | Path) -> IO[bytes] | None:
    """A stream into what must not be replaced; None for a plain file, and where there is nothing yet."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    for descriptor in (1, 2):
        with suppress(OSError):  # one that is closed
            if os.path.samestat(found, os.fstat(descriptor)):
                return os.fdopen(os.dup(descriptor), "wb")
    return None if stat.S_ISREG(found.st_mode) else open(path, "wb")


@contextmanager
def _beside(path: str | Path) -> Iterator[IO[bytes]]:
    target = Path(os.path.realpath(path))
    beside = _part_of(target)
    with _told_of(path, beside):
        try:
            with _new_file(beside, like=target) as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(beside, target)
        except BaseException:
            with suppress(OSError):
                beside.unlink(missing_ok=True)
            raise


def _new_file(path: Path, like: Path) -> IO[bytes]:
    """A new file to write to, with the owner, group and mode of `like` where that exists."""
    try:
        old = os.stat(like)
    except FileNotFoundError:
        return open(path, "xb")
    mode = old.st_mode & 0o777
    # Never open to more than the old one, not even while it is empty: whoever has opened it may read all that comes later.
    stream = open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode))  # noqa: SIM115 - the caller closes it
    with suppress(OSError):  # only root may give files away
        os.fchown(stream.fileno(), old.st_uid, old.st_gid)
    with suppress(OSError):  # some file systems know no modes
        os.fchmod(stream.fileno(), mode)
    return stream


def _part_of(target: Path) -> Path:
    """Where something is made beside its place; another name every time."""
    return target.with_name(f".{target.name[:_NAME_CHARACTERS]}.{secrets.token_hex(4)}.part")


@contextmanager
def _told_of(path: str | Path, beside: Path | None = None) -> Iterator[None]:
    """Errors about what is written beside `path` as errors about `path`, the name that a user knows."""
    try:
        yield
    except OSError as error:
        # Writing, unlike opening, names no file.
        if (beside and str(error.filename).startswith(str(beside))) or error.errno in NO_ROOM:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def naming(name: str | Path) -> Iterator[None]:
    """Around writing to what is open: the system's errors, which name no file there, name this one."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(name)) from error


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which is at `path` when the block ends well, and nowhere when it does not; `path` must not exist yet.

    What a killed process left beside `path` goes when the next one makes a folder there. Raises OSError as the file system does, naming
    `path`.
    """
    with _folder_beside(path, Path(path)) as beside:
        yield beside
        _sync(beside)
        os.replace(beside, path)


@contextmanager
def renewed_directory(path: str | Path, last: str) -> Iterator[Path]:
    """A folder to fill, whose files are in the folder `path` when the block ends well, and nowhere when it does not.

    Files of other names that are in `path` stay. last: the file without which the others count for nothing; it is taken away before
    they are replaced and put there after them, so that a process killed in between leaves no mixture that looks whole. Where there is
    no `path` yet, all of it appears at once. Raises OSError as the file system does, naming `path`.
    """
    target = Path(path)
    # Within it where it is there: it may be a mounted disk or a link to another one, and nothing can be moved from disk to disk.
    with _folder_beside(path, target / last if target.exists() else target) as beside:
        yield beside
        _sync(beside)
        if not target.exists():
            os.replace(beside, target)
            return
        (target / last).unlink(missing_ok=True)
        for name in sorted(os.listdir(beside), key=lambda name: (name == last, name)):
            os.replace(beside / name, target / name)


@contextmanager
def _folder_beside(path: str | Path, target: Path) -> Iterator[Path]:
    """A new folder beside `target`, locked as long as it is at work, and removed at the end with all that is still in it.

    Errors about it name `path`.
    """
    beside = _part_of(target)
    with _told_of(path, beside):
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        lock = None
        try:
            beside.mkdir()
            lock = _locked(beside)
            yield beside
        finally:
            shutil.rmtree(beside, ignore_errors=True)
            if lock is not None:
                os.close(lock)


def _locked(folder: Path) -> int | None:
    """The open folder, this process's alone; None where it is another's, is gone, or the file system does not lock folders."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _sweep(target: Path) -> None:
    """Remove folders that were made beside `target` by processes that were killed. One that is at work has its folder locked."""
    for left in target.parent.glob(f".{glob.escape(target.name[:_NAME_CHARACTERS])}.????????.part"):
        # One of a second ago may belong to a process that is about to lock it.
        with suppress(OSError):
            if time.time() - left.stat().st_mtime < _ABOUT_TO_LOCK or (lock := _locked(left)) is None:
                continue
            shutil.rmtree(left, ignore_errors=True)
            os.close(lock)


def _sync(folder: Path) -> None:
    """Have the disk hold the files of a folder: a full one may tell only now."""
    for path in folder.iterdir():
        with open(path, "rb") as stream:
            os.fsync(stream.fileno())


def write_atomically(path: str | Path, content: str | bytes) -> None:
    """Put `content` (text as UTF-8) at `path`, whole or not at all; see `atomic_stream`. Raises OSError as the file system does."""
    with atomic_stream(path) as stream:
        stream.write(content if isinstance(content, bytes) else content.encode("utf-8"))


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented JSON, atomically; Chinese stays readable unless a lone surrogate (which has no UTF-8) forbids it.

    Raises ValueError for NaN and infinities, which JSON has not, and TypeError for values that are not JSON-like.
    """
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    try:
        content = text.encode("utf-8")
    except UnicodeEncodeError:
        content = json.dumps(value, ensure_ascii=True, indent=2, allow_nan=False).encode("ascii")
    write_atomically(path, content + b"\n")


def sha256_of(path: str | Path) -> str:
    """SHA-256 of a file's bytes as 64 lower-case hexadecimal digits; raises OSError when it cannot be read."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
