"""Tells a process started through multiprocessing that the one which started it is gone; ends nothing."""

from __future__ import annotations

import math
import multiprocessing
import os
import time
from multiprocessing.connection import wait


def wait_until_parent_is_gone(seconds: float = math.inf) -> bool:
    """True once it is, however it went; False when it is not after so long.

    A child that it forked may keep its pipe open, so its id is looked at too, every second.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None, "workers are started through multiprocessing"
    latest = time.monotonic() + seconds
    while not wait([parent.sentinel], timeout=min(1.0, max(0.0, latest - time.monotonic()))) and os.getppid() == parent.pid:
        if time.monotonic() >= latest:
            return False
    return True
