"""What notebooks show: sentences computed from results, tables, HTML, progress; knows nothing of what they are about."""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Never, TextIO

import pandas
from tqdm import tqdm

from seqgpt_lab.documents.utf8 import without_halves

_MARKUP = re.compile(r"([\\`*_{}\[\]<>()#+\-.!|~$&])")
_EMPHASIS_OR_ESCAPE = re.compile(r"\\(.)|\*\*|`", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Prose:
    """Markdown that a notebook shows as text; names that come from files go through `plain` first.

    Half characters are shown as U+FFFD: a notebook is a file in UTF-8, and its kernel would fail over one.
    """

    markdown: str

    def _repr_markdown_(self) -> str:
        return without_halves(self.markdown)

    def __str__(self) -> str:
        return self.markdown

    @property
    def for_terminal(self) -> str:
        """Without emphasis, and with names as they are."""
        return _EMPHASIS_OR_ESCAPE.sub(lambda found: found[1] or "", self.markdown)


@dataclass(frozen=True, slots=True)
class Html:
    """An HTML fragment that a notebook shows, half characters as `Prose` does; whoever makes it escapes what is in it."""

    html: str

    def _repr_html_(self) -> str:
        return without_halves(self.html)


def as_json(value: object) -> Html:
    """The value as JSON text, as a program gets it: what Python shows of it instead, no other program reads. Raises TypeError for what
    JSON has no form for."""
    return Html(f'<pre class="output">{html.escape(json.dumps(value, ensure_ascii=False, indent=2), quote=False)}</pre>')


class TextBars:
    """Progress as plain text bars, one a task, on a stream (standard error without one): readable in a log, never a widget.

    Called with the task, how much of it is done and how much there is; as a context manager it ends the last bar's line.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream, self._task = stream, ""
        self._bar: tqdm[Never] | None = None

    def __call__(self, task: str, done: int, total: int) -> None:
        if self._bar is None or task != self._task:
            self.close()
            self._task, self._bar = task, tqdm(total=total, desc=task, file=self._stream, ascii=" #", mininterval=0.5)
        bar = self._bar
        bar.total = total
        bar.update(done - bar.n)

    def close(self) -> None:
        """End the bar that is under way."""
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def __enter__(self) -> TextBars:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def table(frame: pandas.DataFrame, decimals: int = 3) -> Html:
    """The whole frame as an HTML table without its index, text escaped; fractions with so many decimals, nothing left out or cut.

    Underscores in column names are shown as spaces. A `p` too small for the decimals is said to be below the least of them, never 0.
    """
    # What pivot calls its columns would stand as a column of its own, empty.
    frame = frame.rename(columns=lambda name: str(name).replace("_", " ")).rename_axis(columns=None)
    if "p" in frame:
        least, chances = 10.0**-decimals, pandas.to_numeric(frame["p"])
        frame = frame.assign(p=[f"< {least:g}" if value < least else value for value in chances])
    # Of these to_html writes <NA>, None, True and False, whatever na_rep says.
    loose = {str(name): column for name, column in frame.items() if str(column.dtype) in ("Int64", "object", "bool")}
    frame = frame.assign(**{name: column.astype(object).map(_in_words) for name, column in loose.items()})
    with pandas.option_context("display.max_colwidth", None):
        return Html(frame.to_html(index=False, border=0, float_format=lambda number: f"{number:.{decimals}f}", na_rep=""))


def _in_words(cell: object) -> object:
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return "" if cell is None or cell is pandas.NA or cell != cell else cell


def plain(text: object) -> str:
    """The text with every character escaped that Markdown or HTML could take for markup; line breaks become spaces."""
    return _MARKUP.sub(r"\\\1", " ".join(str(text).split()))


def counted(number: int, one: str, several: str = "") -> str:
    """`1 document`, `2 documents`."""
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def short(number: float) -> str:
    """Three digits or all before the point, never an exponent: `0.0123`, `4.57`, `1,235`."""
    digits = f"{number:.3g}"
    return f"{number:,.0f}" if abs(number) >= 100 else f"{Decimal(digits):f}" if "e" in digits else digits
