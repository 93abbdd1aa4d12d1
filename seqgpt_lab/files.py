"""Writes files whole or not at all and fingerprints them; knows nothing of what is in them."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def atomic_stream(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary stream whose content is at `path` when the block ends well, and nowhere when it does not.

    Written beside the target, synced, then renamed over it, so that readers, and a crash at any moment, see the old file or the new
    one. Raises OSError as the file system does.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(beside, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, target)
    except BaseException:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


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
