"""Runs one piece of work at a time beside a page that goes on listening, with progress and a way to stop it. Knows no page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from seqgpt_lab.apps.designer.session import Stopped
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress

Result = TypeVar("Result")


class Worker:
    """One thread at most. told: hears the progress, in the thread; at_work: whether work is under way."""

    def __init__(self, told: TaskProgress) -> None:
        self._told = told
        self._stop = threading.Event()
        self.at_work = False
        self._thread: threading.Thread | None = None

    def start(self, work: Callable[[TaskProgress], Result], done: Callable[[Result], None], failed: Callable[[Exception], None]) -> None:
        """Run `work` with a progress callback, then `done` with what it gave or `failed` with what it raised (Stopped included).

        Raises OptionError while other work is under way.
        """
        if self.at_work:
            raise OptionError("one thing at a time: wait for the work under way, or press Stop")
        self._stop.clear()
        self.at_work = True
        self._thread = threading.Thread(target=self._run, args=(work, done, failed), daemon=True, name="seqgpt-designer")
        self._thread.start()

    def stop(self) -> None:
        """Ask the work to end; it does at its next progress."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the work is done; False when the time was too short."""
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.at_work

    def _run(self, work: Callable[[TaskProgress], Result], done: Callable[[Result], None], failed: Callable[[Exception], None]) -> None:
        """What is told comes after the work is over, so that whoever hears it may start the next."""
        try:
            result = work(self._progress)
        except Exception as error:  # whatever it is, the page shows it
            self.at_work = False
            failed(error)
        else:
            self.at_work = False
            done(result)

    def _progress(self, task: str, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped
        self._told(task, done, total)
