"""Finds the files below a folder, through links too, and says what it could not look into. Reads no file and knows no format."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from seqgpt_lab.errors import DocumentError

_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Below:
    """What is below a folder: everything that is no folder, and folders that could not be looked into, each with why; in order of paths.

    links: those to folders that were entered.
    """

    files: tuple[Path, ...]
    unread: tuple[tuple[Path, str], ...]
    links: tuple[Path, ...]


def files_below(folder: str | Path, hidden: bool = True) -> Below:
    """What is below a folder, each under the path that leads there from it. hidden: also names that begin with a dot.

    Links to folders are followed. Every folder is entered once, under a path without links where there is one, so that loops end; one
    that holds `folder` itself is not entered, and is among the unread. Raises OSError where `folder` itself cannot be looked into.
    """
    top = Path(folder)
    above = {_identity(parent) for parent in Path(os.path.realpath(top)).parents}
    entered = {_identity(top)}
    files: list[Path] = []
    unread: list[tuple[Path, str]] = []
    followed: list[Path] = []
    # Links wait until no folder is left that is reached without them.
    folders, links = [top], list[Path]()
    while folders or links:
        here = folders.pop() if folders else links.pop(0)
        try:
            if here != top:
                identity = _identity(here)
                if identity in above:
                    unread.append((here, "it is a link to a folder that holds this one"))
                if identity in above | entered:
                    continue
                entered.add(identity)
                if here.is_symlink():
                    followed.append(here)
            with os.scandir(here) as entries:
                found = sorted((entry for entry in entries if hidden or not entry.name.startswith(".")), key=lambda entry: entry.name)
        except OSError as error:
            if here == top:
                raise
            unread.append((here, error.strerror or str(error)))
            continue
        for entry in found:
            if not _is_folder(entry):
                files.append(here / entry.name)
            else:
                (links if entry.is_symlink() else folders).append(here / entry.name)
    return Below(tuple(sorted(files)), tuple(sorted(unread)), tuple(sorted(followed)))


def check_plain(path: Path) -> None:
    """Raise DocumentError for what is no plain file and might never end, or never begin, to be read. What is not there passes."""
    try:
        mode = path.stat().st_mode
    except OSError:  # whoever opens it tells why it cannot be read
        return
    if not stat.S_ISREG(mode):
        kinds = [(stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder")]
        kind = next((name for is_kind, name in kinds if is_kind(mode)), "a device")
        raise DocumentError(f"cannot read {path}: it is {kind}; give a plain file")


def _identity(path: Path) -> _Identity:
    found = path.stat()
    return found.st_dev, found.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a folder that may not be entered, or to itself
        return False
