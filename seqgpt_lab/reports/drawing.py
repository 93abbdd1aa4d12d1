"""Draws bars as SVG with real text and makes a figure of any drawing; knows nothing of what is drawn, nor of pages.

Text stays text, drawn with the reader's fonts, so Chinese needs no font on the machine that draws; widths are reckoned from
characters (a Chinese one is one em wide) for the same reason. Ink and bars take the page's colours, light and dark.
"""

from __future__ import annotations

import base64
import html
import io
import re
import unicodedata
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

# Colours that stand for the page's own until the SVG is written; the reader's style sheet decides where it defines them.
_INK, _GRID, BAR, _ALARM = "#010101", "#020202", "#030303", "#040404"
_PAGE_COLOURS = {
    _INK: "currentColor",
    _GRID: "var(--line, rgba(128,128,128,.4))",
    BAR: "var(--bar, #4477aa)",
    _ALARM: "var(--bar-2, #cc6677)",
}
_FONTS = (
    "system-ui, 'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', 'Source Han Sans SC', 'WenQuanYi Micro Hei', "
    "'SeqGPT Lab Han', sans-serif"
)
_FONT_POINTS = 10.0
WIDTH_INCHES = 8.0
_LINE_EMS = 1.2
_ROW_INCHES, _LINE_INCHES = 0.30, _LINE_EMS * _FONT_POINTS / 72  # a row of one line, and each line more
_BREAK = "\u2028"  # no line break to matplotlib, which would set each line by the widths of a font that lacks Chinese
_NAMES, _NOTES = 0.32, 0.42  # the most of the width that names and notes may take; longer names are broken into lines
POOR = 0.9  # scores below it are drawn in red
SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "seqgpt-lab",
    "font.family": ["DejaVu Sans"],  # comes with matplotlib; only for measuring
    "font.size": _FONT_POINTS,
    "text.color": _INK,
    "axes.edgecolor": _GRID,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "text.parse_math": False,
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure: what it shows in a sentence, the SVG, and the numbers in it as CSV, which its page offers as a download."""

    caption: str
    svg: str
    csv: str

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        # A byte order mark: Excel takes the file for the reader's old code page without it.
        data = base64.b64encode(("\ufeff" + self.csv).encode("utf-8", errors="replace")).decode("ascii")
        return (
            # Only the drawing is an image: what lies in one, a screen reader leaves out, and the link must not be.
            f'<figure><div role="img" aria-label="{html.escape(self.caption)}">{self.svg}</div>'
            f'<figcaption>{html.escape(self.caption)} <a download="figure.csv" href="data:text/csv;charset=utf-8;base64,{data}">'
            "Data (CSV)</a></figcaption></figure>"
        )


def bars(
    caption: str,
    names: Sequence[str],
    values: Sequence[float],
    notes: Sequence[str],
    frame: pandas.DataFrame,
    longest: float | None = None,
    alarming: Sequence[bool] | None = None,
) -> Drawing:
    """Horizontal bars from top to bottom, each with its name before it and its note after it.

    longest: the value whose bar has full width; None for scores, which end at 1. alarming: the bars to draw in red, which the caption has
    to explain; None for the poor ones among scores and no other.
    """
    lines = [_in_lines(_printable(name), _NAMES * WIDTH_INCHES * 72 / _FONT_POINTS - 1.0) for name in names]
    heights = [_ROW_INCHES + _LINE_INCHES * (len(name) - 1) for name in lines] or [_ROW_INCHES]
    places = [sum(heights[:row]) + height / 2 for row, height in enumerate(heights)][: len(names)]
    figure = Figure(figsize=(WIDTH_INCHES, sum(heights) + 0.5))
    with matplotlib.rc_context(SETTINGS), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # measured only; the reader's fonts draw
        axes = figure.add_subplot()
        top = 1.0 if longest is None else longest
        alarms = [longest is None and value < POOR for value in values] if alarming is None else alarming
        colours = [_ALARM if alarm else BAR for alarm in alarms]
        axes.barh(places, values, color=colours, height=0.62 * _ROW_INCHES)
        for place, name, value, note in zip(places, lines, values, notes, strict=True):
            axes.text(value + top * 0.01, place, note, va="center", fontsize=_FONT_POINTS - 1)
            side = axes.get_yaxis_transform()
            axes.annotate(_BREAK.join(name), (0, place), (-4, 0), xycoords=side, textcoords="offset points", ha="right", va="center")
        axes.set_yticks([])
        axes.set_xlim(0, top)
        axes.set_ylim(sum(heights), 0)
        if not names:
            axes.text(top / 2, heights[0] / 2, "nothing to draw", ha="center", va="center")
        room = _strip(figure, axes, [line for name in lines for line in name], notes)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=max(1, min(5, int(room / 0.35))), integer=longest is not None))
        svg = svg_of(figure)
    return Drawing(caption, svg, frame.to_csv(index=False))


def _strip(figure: Figure, axes: Axes, names: Sequence[str], notes: Sequence[str]) -> float:
    """Leave names, notes and a faint grid; make as much room on either side as the longest name and note take.

    Returns the inches left for the bars.
    """
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.tick_params(length=0)
    axes.grid(axis="x", color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    em = _FONT_POINTS / 72 / WIDTH_INCHES
    left = min(_NAMES, (max(map(_ems, names), default=0) + 1.0) * em)
    right = min(_NOTES, (max(map(_ems, notes), default=0) + 1.0) * em * 0.9)
    height = figure.get_figheight()
    figure.subplots_adjust(left=left, right=1 - right, top=1 - 0.08 / height, bottom=0.36 / height)
    return WIDTH_INCHES * (1 - left - right)


def _ems(text: str) -> float:
    """The width of a text in ems, in a broad sans-serif font."""
    return sum(map(_em, text))


def _em(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return 0.4 if character in " .,:;()|'" else 0.65


def _in_lines(text: str, ems: float) -> list[str]:
    """The text in lines of at most so many ems, broken before a blank, beside a wide character, or within a word longer than a line."""
    lines = [""]
    for word in re.findall(r"\s*(?:[\u2e80-\uffff]|[^\s\u2e80-\uffff]+)|\s+$", text):
        if lines[-1] and _ems(lines[-1] + word) > ems:
            lines.append("")
        for character in word:
            if lines[-1] and _ems(lines[-1] + character) > ems:
                lines.append("")
            lines[-1] += character
    return lines


def _spread(found: re.Match[str]) -> str:
    """A text element with its lines below each other; one element all the same, so that what reads the page finds a value whole."""
    start, x, rest, text = found.groups()
    lines = text.split(_BREAK)
    first, step = -_LINE_EMS * (len(lines) - 1) / 2, _LINE_EMS
    spans = (f'<tspan x="{x}" dy="{first if row == 0 else step:g}em">{line}</tspan>' for row, line in enumerate(lines))
    return f'{start}x="{x}"{rest}{"".join(spans)}</text>'


def _printable(text: str) -> str:
    """The text without what XML cannot hold: control characters and lone surrogates become U+FFFD."""
    return re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]", "\ufffd", text)


def svg_of(figure: Figure) -> str:
    """The figure as an SVG element: fonts and colours left to the page, no prologue, metadata or style sheet."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"""(font[a-z-]*: [^;"<>]*?)'DejaVu Sans'(?:, [^;"]*)?""", lambda found: found[1] + _FONTS, svg)
    svg = re.sub(rf'(<text [^>]*?)x="([\d.]+)"([^>]*>)([^<]*{_BREAK}[^<]*)</text>', _spread, svg)
    for stand_in, colour in _PAGE_COLOURS.items():
        svg = re.sub(f"(?<=fill: |roke: ){stand_in}", colour, svg)
    return svg
