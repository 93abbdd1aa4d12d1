"""Writes files whole or not at all and fingerprints them; knows nothing of what is in them."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_NAME_CHARACTERS = 50
"""Of a file's name in that of its part: with 4 bytes each and the rest they stay below the 255 bytes that file systems allow."""

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_stream(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary stream whose content is at `path` when the block ends well, and nowhere when it does not.

    Written beside the target, synced, then renamed over it, so that readers, and a crash at any moment, see the old file or the new
    one. A link goes on pointing at its file, which is replaced; whose a replaced file is and who may read it stays as it was. A device or
    a pipe is written to as it stands, and so is a file that standard output or error goes to: nothing of that can be taken back.
    Raises OSError as the file system does, naming `path`.
    """
    with _as_it_stands(path) or _beside(path) as stream:
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
def _told_of(path: str | Path, beside: Path) -> Iterator[None]:
    """Errors about what is written beside `path` as errors about `path`, the name that a user knows."""
    try:
        yield
    except OSError as error:
        if str(error.filename).startswith(str(beside)) or error.errno in _NO_ROOM:  # writing, unlike opening, names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


@contextmanager
def new_directory(path: str | Path) -> Iterator[Path]:
    """A folder to fill, which is at `path` when the block ends well, and nowhere when it does not; `path` must not exist yet.

    Raises OSError as the file system does, naming `path`.
    """
    target = Path(path)
    beside = _part_of(target)
    with _told_of(path, beside):
        try:
            beside.mkdir(parents=True)
            yield beside
            os.replace(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


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
