"""Writes tensors to safetensors files in the way of all other files: with the same permissions, and errors that name the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from stat import S_IMODE

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


def store_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write contiguous tensors, by name, to the new file `path`. Raises OSError as the file system does."""
    path.touch(exist_ok=False)
    mode = S_IMODE(path.stat().st_mode)  # as the umask has it; the library makes its files for the owner alone
    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except SafetensorError as error:
        found = _SYSTEM_ERROR.search(str(error))
        if found is None:
            raise
        number = int(found.group(1))
        raise OSError(number, os.strerror(number), str(path)) from error
    path.chmod(mode)
