"""Finds the files below a folder, and says of what is no file why nothing is read there; opens none and knows no format."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def files_below(folder: Path) -> tuple[list[Path], list[Path]]:
    """What is to be read in a folder, in order of its path, and what in it are links to folders.

    All that is not hidden, links to folders followed. Every folder is read once: one that a link leads to again, and one that cannot be
    read, stand among the files themselves, so that `unreadable` tells of them in their turn.
    """
    found: list[Path] = []
    tops, met = [folder], set[tuple[int, int]]()

    def closed(error: OSError) -> None:
        found.append(Path(error.filename))

    for top in tops:  # which grows: links last, so that what they lead to keeps the name it has in the folder itself
        for root, folders, names in os.walk(top, onerror=closed):
            status = os.stat(root)
            if (status.st_dev, status.st_ino) in met:
                found.append(Path(root))
                folders.clear()
                continue
            met.add((status.st_dev, status.st_ino))
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            tops += [Path(root, name) for name in folders if os.path.islink(Path(root, name))]
            found += [Path(root, name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(folder).parts), tops[1:]


def unreadable(path: Path) -> str:
    """Why nothing is read at a place that `files_below` gave; empty for a file, and for what opening it will tell."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
    except OSError as error:
        return f"cannot read it: {error.strerror or error}"
    if stat.S_ISDIR(mode):
        return f"the folder {path.resolve()}, to which a link leads here, is read under another name already"
    return "" if stat.S_ISREG(mode) else "it is a pipe, a socket or a device; only files are read in a folder"


def size_of(path: Path) -> int:
    """In bytes; 0 for what is not there, as a link to nothing: told when its turn comes."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def changed_at(path: Path) -> int:
    """In nanoseconds, as `st_mtime_ns`; 0 for what is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
