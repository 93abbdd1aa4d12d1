"""Shows on standard error how far some work is; knows nothing of the work."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Never, TextIO

from seqgpt_lab.progress import draws_over

if TYPE_CHECKING:
    from tqdm import tqdm

_BAR_AFTER_SECONDS = 1.0
_LINE_EVERY_SECONDS = 5.0
_LINE_COLUMNS = 100


class ShownProgress:
    """A bar on a terminal; elsewhere (a pipe, a log, a scheduler) a plain line every few seconds. Short work shows nothing.

    Called with how much is done, parts of a unit too, and how much there is. A context manager: the bar is gone and the last line
    written at its end.
    """

    def __init__(self, task: str, unit: str = "documents", *, stream: TextIO | None = None, every: float = _LINE_EVERY_SECONDS) -> None:
        self._task, self._unit, self._every = task, unit, every
        self._stream = stream or sys.stderr
        self._started = self._shown = time.monotonic()
        self._done: float = 0
        self._written: float = 0
        self._total = 0
        self._bar = self._new_bar() if draws_over(self._stream) else None

    def __call__(self, done: float, total: int) -> None:
        self._done, self._total = int(done) if done == int(done) else done, total
        if self._bar is not None:
            self._bar.total, self._bar.n = total, self._done  # set, for sums of parts would show how they were rounded
            self._bar.update(0)
        elif time.monotonic() - self._shown >= self._every:
            self._write_line()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Take the bar off the terminal while results are written there."""
        if self._bar is not None:
            self._bar.clear()
        yield
        if self._bar is not None and time.monotonic() - self._started > _BAR_AFTER_SECONDS:
            self._bar.refresh()

    def close(self) -> None:
        """Remove the bar; where lines were written, write the last one if it is not there yet."""
        if self._bar is not None:
            self._bar.close()
        elif 0 < self._written < self._done:
            self._write_line()

    def __enter__(self) -> ShownProgress:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _new_bar(self) -> tqdm[Never]:
        from tqdm import tqdm

        return tqdm(desc=self._task, unit=f" {self._unit}", file=self._stream, delay=_BAR_AFTER_SECONDS, dynamic_ncols=True, leave=False)

    def _write_line(self) -> None:
        from tqdm import tqdm

        self._shown, self._written = time.monotonic(), self._done
        elapsed = self._shown - self._started
        line = tqdm.format_meter(
            self._done, self._total, elapsed, ncols=_LINE_COLUMNS, prefix=self._task, ascii=True, unit=f" {self._unit}"
        )
        with suppress(OSError):  # a log on a full disk, or that nobody reads any more, is no reason to end the work
            self._stream.write(f"{line}\n")
            self._stream.flush()
