"""Says before any work whether a command's output can be put where it is wanted, and that it replaces nothing that the command reads."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from seqgpt_lab.errors import CheckpointError, OptionError

STANDARD_INPUT = "-"


def check_output(option: str, path: Path, others: Iterable[str | Path | None] = ()) -> None:
    """Raise OptionError where no file can be made at `path`, where that would replace one of `others`, or lie in a folder among them.

    option: how the output is called in the error. others: files, folders that are read whole and other outputs of the same command;
    `-` is standard input, None nothing. Symbolic and hard links are seen through. Devices and pipes may be both, for nothing is replaced.
    """
    target = Path(os.path.realpath(path))
    if path.is_dir() or not target.parent.is_dir():
        raise OptionError(f"{option} {path} cannot be written; name a file in a folder that exists")
    found = _status(path)
    if found is not None and not stat.S_ISREG(found.st_mode):
        return
    for other in (one for one in others if one is not None):
        known, place = _status(other), None if other == STANDARD_INPUT else os.path.realpath(other)
        if (found and known and os.path.samestat(found, known)) or str(target) == place:
            name = "standard input" if place is None else other
            raise OptionError(f"{option} {path} would replace {name}, which this command needs itself; name another file")
        if place is not None and known and stat.S_ISDIR(known.st_mode) and target.is_relative_to(place):
            raise OptionError(f"{option} {path} lies in the input folder {other} and would be read as input; put it elsewhere")
    try:
        # Tried out, for os.access lies to root and about what is mounted; such a file has no name where the system knows any without.
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        raise OptionError(
            f"{option} {path} cannot be written, for no file can be made in its folder ({error.strerror}); name a file in another"
        ) from error


def model_files(model: str) -> tuple[Path, ...]:
    """The files of a model that is a directory here; none for others, and for one that lacks something, which loading it will name."""
    from seqgpt_lab.engine.checkpoint import find_checkpoint

    if not os.path.isdir(os.path.expanduser(model)):
        return ()
    try:
        checkpoint = find_checkpoint(model)
    except CheckpointError:
        return ()
    return checkpoint.files


def _status(path: str | Path) -> os.stat_result | None:
    try:
        return os.fstat(0) if path == STANDARD_INPUT else os.stat(path)
    except OSError:  # nothing is there
        return None
