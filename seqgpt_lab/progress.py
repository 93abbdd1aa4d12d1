"""What a long piece of work calls to tell how far it is; knows no work and shows nothing."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called with how much is done and how much there is in all: of prompts, documents or whatever the work says."""

TaskProgress = Callable[[str, int, int], None]
"""The same for work of several tasks: called with a task first, then how much of it is done and how much of it there is."""
