"""What a long piece of work calls to tell how far it is; and where it can be shown; knows no work and shows nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TextIO

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is in all: of prompts, documents or whatever the work says."""

TaskProgress = Callable[[str, int, int], None]
"""The same for work of several tasks: called with a task first, then how much of it is done and how much of it there is."""


def draws_over(stream: TextIO) -> bool:
    """Whether what is written to the stream can be drawn over: a bar on a terminal. Elsewhere progress is plain lines."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
