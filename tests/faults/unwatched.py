"""A worker that is never told by its watching thread that its parent is gone, as on a machine where that thread gets no turn."""

from __future__ import annotations

from multiprocessing.connection import Connection

from seqgpt_lab.engine import worker_process
from seqgpt_lab.engine.messages import WorkerSpec


def work(spec: WorkerSpec, connection: Connection) -> None:
    """As worker_process.work."""
    worker_process._leave_with_parent = lambda _spec: None
    worker_process.work(spec, connection)
