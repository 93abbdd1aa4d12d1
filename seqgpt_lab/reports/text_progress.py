"""Tells as text how a run goes on; knows no notebook and no kernel."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TextIO

from seqgpt_lab.progress import draws_over

_LINE_EVERY_SECONDS = 5.0
_ENDS = re.compile("([\r\n])")


class TextProgress:
    """Writes a plain line a cell, and what the kernel writes to its standard error, to a stream such as `sys.stderr`.

    A bar that draws itself over and over is one on a terminal; elsewhere (a pipe, a log, a scheduler) it is a line every few seconds,
    and its last state. A stream that nobody reads any more (a closed terminal) is no reason to end a run: what it does not take is lost.
    A context manager: a line that is begun is kept until it ends, at the latest with the block.
    """

    def __init__(self, stream: TextIO, *, every: float = _LINE_EVERY_SECONDS) -> None:
        self.stream, self.every = stream, every
        self._line = self._written = ""  # what the kernel has written since its last line ended; the state of a bar that was written last
        self._returned = False  # to the beginning of the line: what comes next is drawn over it, unless it ends here
        self._shown = time.monotonic()

    def __enter__(self) -> TextProgress:
        return self

    def __exit__(self, *_error: object) -> None:
        self.end_line()

    def end_line(self) -> None:
        """Write what there is of a line that has no end yet: what comes next is of something else."""
        if self._line.strip():
            self._end_line()

    def cell_started(self, number: int, count: int, title: str) -> None:
        """`[2/9] Title`"""
        self.end_line()
        self._write(f"[{number}/{count}] {title}\n")

    def kernel_wrote(self, text: str) -> None:
        """The text as it is, but for bars where nothing can be drawn over."""
        with suppress(ValueError):  # a closed stream
            if draws_over(self.stream):
                self._write(text)
                return
        for piece in _ENDS.split(text):
            if piece == "\n":
                self._end_line()
            elif piece == "\r":
                self._returned = True
            elif piece:
                if self._returned:
                    self._draw_over()
                self._line += piece

    def _draw_over(self) -> None:
        """What was drawn is being drawn over: shown where the last line is some seconds old."""
        if self._line.strip() and time.monotonic() - self._shown >= self.every:
            self._written = self._line
            self._write(f"{self._line}\n")
        self._line, self._returned = "", False

    def _end_line(self) -> None:
        if self._line != self._written or not self._line:  # else it stands there already
            self._write(f"{self._line}\n")
        self._line, self._written, self._returned = "", "", False

    def _write(self, text: str) -> None:
        self._shown = time.monotonic()
        with suppress(OSError, ValueError):
            self.stream.write(text)
            self.stream.flush()
