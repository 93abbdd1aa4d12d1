"""Writes results to standard output and everything else to standard error, safely for any text; knows no command and no model."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer

from seqgpt_lab.documents.invisible import DIRECTION
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import naming

STANDARD_OUTPUT = "standard output"
# Control characters, line and direction marks in a text could move the cursor, change colours or reorder what is shown.
_UNSEEN = re.compile(f"[\x00-\x1f\x7f-\x9f\u2028\u2029{DIRECTION}\ud800-\udfff]")


def visible(text: str) -> str:
    """The text on one line with control characters and half characters written as escapes such as `\\n` or `\\x1b`."""
    return _UNSEEN.sub(lambda match: match.group().encode("unicode_escape", "surrogatepass").decode("ascii"), text)


def display_width(text: str) -> int:
    """Columns that a terminal gives the text: two for wide and full-width characters, none for combining marks."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else not unicodedata.combining(character) for character in text)


def pad(text: str, width: int) -> str:
    """The text with blanks after it up to `width` columns."""
    return text + " " * (width - display_width(text))


def emit(text: str) -> None:
    """Write text and a line end to standard output at once, as UTF-8 whatever the locale; half characters as escapes.

    Raises BrokenPipeError when the reader is gone, and OSError naming standard output when that takes no more, as a full disk.
    """
    with naming(STANDARD_OUTPUT):
        typer.echo(text.encode("utf-8", "backslashreplace"))


def emit_path(path: Path) -> None:
    """Write a path and a line end to standard output, byte for byte as the file system has it. Raises as `emit` does."""
    with naming(STANDARD_OUTPUT):
        typer.echo(os.fsencode(path))


def note(text: str) -> None:
    """Write lines to standard error; control characters other than line ends as escapes. What is not taken there is lost."""
    with suppress(OSError):
        typer.echo("\n".join(visible(line) for line in text.split("\n")), err=True)


def check_output_is_open() -> None:
    """Raise OptionError where standard output is closed (`>&-` in a shell), so that all results would be lost."""
    if sys.stdout is None:
        raise OptionError("standard output is closed, so there is no place for results; send it to a file, or to /dev/null")


@contextmanager
def usable_streams() -> Iterator[None]:
    """A standard error for the block even where it is closed (`2>&-`), and an end without complaints about what streams did not take.

    A closed standard error goes nowhere, for nothing that is said there is worth the results; were its number left free, the next file
    to be opened would get it, and with it what libraries write there.
    """
    if sys.stderr is None:
        _send_nowhere(2)
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115 - as long as the process
    try:
        yield
    finally:
        # Python would try to write the rest once more at its end, and leave with 120.
        for stream in filter(None, (sys.stdout, sys.stderr)):
            try:
                stream.flush()
            except OSError:
                _send_nowhere(stream.fileno())


def _send_nowhere(descriptor: int) -> None:
    """Make a descriptor of the process one of the null device."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
