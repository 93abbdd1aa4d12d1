"""Room that is kept free in a run's folder for writing how the run ended, should the disk be full by then; knows nothing of records."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_RESERVE = ".reserve"
_BYTES, _FOR_RECORD_BYTES = 128 * 1024, 64 * 1024


def keep_room(folder: Path) -> None:
    """Take the room, as far as there is any."""
    # Random bytes, which no file system makes smaller.
    with suppress(OSError):
        (folder / _RESERVE).write_bytes(os.urandom(_BYTES))


def give_room(folder: Path, all_of_it: bool = True) -> None:
    """Give the room back. all_of_it: else what the record takes is still kept, for a notebook or page would fill that too."""
    with suppress(OSError):
        if all_of_it:
            (folder / _RESERVE).unlink(missing_ok=True)
        else:
            os.truncate(folder / _RESERVE, _FOR_RECORD_BYTES)
