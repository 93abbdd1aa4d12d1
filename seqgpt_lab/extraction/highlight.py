"""Draws a text with its extracted values marked, as one HTML fragment; knows nothing of pages, notebooks or where values come from.

The fragment is self-contained and holds no style sheet, script, id or address: notebooks, report pages and viewers that strip
`<style>` all show the same. Marks bring their own dark ink on a light ground, everything else inherits the page's colours, so
light and dark pages both work. A label is never told by colour alone: its name stands at the end of every value.

What a program must know of a mark or of a value that has none, whatever is in it, stands in attributes: `data-label-1` and
`data-value-1`, of a mark with other words in the text `data-found-1` too; with 2 and so on where values overlap.
"""

from __future__ import annotations

import html
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from seqgpt_lab.documents.utf8 import without_halves
from seqgpt_lab.extraction.spans import Field, Span

# Paul Tol's "light" qualitative scheme (SRON technical note on colour schemes): meant to lie behind black text, and distinct
# for readers with any of the common colour-vision deficiencies.
PALETTE = ("#77AADD", "#EE8866", "#EEDD88", "#FFAABB", "#44BB99", "#99DDFF", "#BBCC33", "#AAAA00")
INK = "#111111"
# The ninth and later labels reuse a colour over a line, in a grey that shows on light and dark pages.
_LINES = ("none", "dashed", "dotted", "double")

_CONTROL_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}
_BOX = "border:1px solid rgba(128,128,128,.5);border-radius:6px;padding:.6em .8em;line-height:2;color:inherit"
_TEXT = "white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:isolate"
_CHIP = "border-radius:3px;padding:0 .35em;margin-right:.4em"
_FLAG = "border:2px dashed currentColor;border-radius:3px;padding:0 .35em;margin-right:.4em"


@dataclass(frozen=True, slots=True)
class _Mark:
    """A value in the text: the position of its label among the labels, its label, the value, and how the text has it."""

    order: int
    label: str
    span: Span
    found: str


def highlight(text: str, fields: Sequence[Field], notes: Iterable[str] = ()) -> str:
    """The text as HTML: every value marked in its label's colour, then a legend, the values that are not in the text, and the notes.

    Where values overlap, the common part shows the colours of all of them as stripes and every label keeps its own caption.
    Colours follow the order of the fields. Line breaks are kept; lone surrogates are drawn as U+FFFD and control characters as
    their pictures (U+2400...), since HTML has neither.
    """
    marks = [
        _Mark(order, field.label, span, text[span.start : span.end])
        for order, field in enumerate(fields)
        for span in field.spans
        if _lies_in(span, text)
    ]
    body = "".join(_segments(text, marks))
    legend = "".join(_legend_entry(order, field, text) for order, field in enumerate(fields))
    footer = "".join(f'<div style="opacity:.85">⚠ {escape(note)}</div>' for note in notes)
    return (
        f'<div class="seqgpt-extraction" style="{_BOX}"><div class="seqgpt-text" style="{_TEXT}">{body}</div>'
        f'<div class="seqgpt-legend" style="margin-top:.5em">{legend}</div>{footer}</div>'
    )


def _lies_in(span: Span, text: str) -> bool:
    return span.start is not None and span.end is not None and 0 <= span.start < span.end <= len(text)


def _segments(text: str, marks: Sequence[_Mark]) -> Iterator[str]:
    """The text cut wherever a value begins or ends, each piece drawn with the values that cover it."""
    opening: dict[int, list[_Mark]] = defaultdict(list)
    closing: dict[int, list[_Mark]] = defaultdict(list)
    for mark in marks:
        assert mark.span.start is not None and mark.span.end is not None
        opening[mark.span.start].append(mark)
        closing[mark.span.end].append(mark)
    bounds = sorted({0, len(text), *opening, *closing})
    covering: list[_Mark] = []
    for start, end in pairwise(bounds):
        covering = sorted([*(mark for mark in covering if mark not in closing[start]), *opening[start]], key=lambda mark: mark.order)
        yield _piece(text[start:end], covering, closing[end])


def _piece(text: str, covering: Sequence[_Mark], ending: Sequence[_Mark]) -> str:
    if not covering:
        return escape(text)
    titles = " · ".join(_title(mark) for mark in covering)
    captions = "".join(_caption(mark) for mark in covering if mark in ending)
    told = _told((mark.label, mark.span.text, mark.found) for mark in covering)
    return f'<mark style="{_paint([mark.order for mark in covering])}" title="{escape(titles)}"{told}>{escape(text)}{captions}</mark>'


def _told(values: Iterable[tuple[str, str, str]]) -> str:
    """Attributes that tell each value: its label, itself, and how the text has it where that is another way."""
    return "".join(
        f' data-label-{number}="{escape(label)}" data-value-{number}="{escape(value)}"'
        + (f' data-found-{number}="{escape(found)}"' if found != value else "")
        for number, (label, value, found) in enumerate(values, 1)
    )


def _paint(orders: Sequence[int]) -> str:
    """CSS of a stretch covered by the labels at these positions: one colour, or a horizontal stripe for each."""
    colours = [PALETTE[order % len(PALETTE)] for order in dict.fromkeys(orders)]
    share = 100 / len(colours)
    stripes = ",".join(f"{colour} {place * share:.4g}% {(place + 1) * share:.4g}%" for place, colour in enumerate(colours))
    ground = colours[0] if len(colours) == 1 else f"linear-gradient({stripes})"
    line = _LINES[orders[0] // len(PALETTE) % len(_LINES)]
    return f"background:{ground};color:{INK};border-bottom:3px {line} #777777;padding:.1em 0"


def _title(mark: _Mark) -> str:
    span = mark.span
    details = [f"confidence {span.confidence:.2f}"] if span.confidence is not None else []
    if span.match == "approximate":
        details.append("approximate match")
    return f"{mark.label}: {span.text}" + (f" ({', '.join(details)})" if details else "")


def _caption(mark: _Mark) -> str:
    about = "≈" if mark.span.match == "approximate" else ""
    return f'<small style="margin:0 .3em;user-select:none">{about}{escape(mark.label)}</small>'


def _legend_entry(order: int, field: Field, text: str) -> str:
    label = escape(field.label)
    if not field.spans:
        return f'<span class="seqgpt-absent" style="opacity:.75;margin-right:.4em">{label}: not found</span>'
    placed = [span for span in field.spans if _lies_in(span, text)]
    count = f" × {len(placed)}" if len(placed) > 1 else ""
    chip = f'<span style="{_CHIP};{_paint([order])}">{label}{count}</span>' if placed else ""
    faults = Counter((span.text, span.invented(text)) for span in field.spans if not _lies_in(span, text))
    return chip + "".join(_flag(field.label, value, invented, times) for (value, invented), times in faults.items())


def _flag(label: str, value: str, invented: bool, times: int) -> str:
    """A value that is not marked, once however often it was given."""
    fault = "not in the text" if invented else "not placed in the text"
    count = f" × {times}" if times > 1 else ""
    told = _told([(label, value, value)])
    return f'<span class="seqgpt-unaligned" style="{_FLAG}"{told}>⚠ {escape(label)}: {escape(value)} ({fault}){count}</span>'


def escape(text: str) -> str:
    """Any text as HTML that shows it and nothing else; what HTML cannot hold is drawn as `highlight` says."""
    return html.escape(without_halves(text).translate(_CONTROL_PICTURES))
