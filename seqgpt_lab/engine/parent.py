"""Tells a process started through multiprocessing that the one which started it is gone; ends nothing."""

from __future__ import annotations

import multiprocessing
import os
from multiprocessing.connection import wait


def wait_until_parent_is_gone() -> None:
    """Return once it is, however it went; a child that it forked may keep its pipe open, so its id is looked at too, every second."""
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None, "workers are started through multiprocessing"
    while not wait([parent.sentinel], timeout=1) and os.getppid() == parent.pid:
        pass
