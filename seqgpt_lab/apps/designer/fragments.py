"""Draws what a session holds as HTML fragments, everything that came from a user or a model escaped. Knows no widget."""

from __future__ import annotations

import base64
import traceback
from collections.abc import Iterable, Sequence

from seqgpt_lab.apps.designer.contest import Contest
from seqgpt_lab.apps.designer.session import Trial
from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import SeqGPTLabError
from seqgpt_lab.extraction.drafts import Draft
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.highlight import INK, PALETTE, escape
from seqgpt_lab.extraction.spans import Field

_CELL = "padding:.15em .6em;border-bottom:1px solid rgba(128,128,128,.4);text-align:left;vertical-align:top;overflow-wrap:anywhere"
_WHOLE = "overflow-wrap:normal;word-break:keep-all"  # a head breaks between words only
_BOX = "border-left:4px solid {};padding:.3em .6em;white-space:pre-wrap;overflow-wrap:anywhere"
_RAW = "border:1px solid rgba(128,128,128,.4);padding:.4em .6em;white-space:pre-wrap;overflow-wrap:anywhere;margin:.2em 0"
_CHIP = "display:inline-block;border-radius:3px;padding:0 .45em;margin:.1em"
SETS = ("A", "B")


def marks(trial: Trial) -> str:
    """The text with its values marked; with a B, both, one under the other."""
    if len(trial.extractions) == 1:
        return trial.extractions[0]._repr_html_()
    return "".join(f"<h4>{name}</h4>{one._repr_html_()}" for name, one in zip(SETS, trial.extractions, strict=True))


def values(trial: Trial, document: Document) -> str:
    """A table: field, values and confidences of A (and of B), and what is expected where the text is a labelled sample."""
    fields = list(dict.fromkeys(field.label for extraction in trial.extractions for field in extraction.fields))
    several = len(trial.extractions) > 1
    heads = [f"{part} {name}".strip() for name in (SETS if several else ("",)) for part in ("value", "confidence")]
    rows = [[name, *(cell for extraction in trial.extractions for cell in _cells(extraction, name))] for name in fields]
    if document.gold:
        heads.append("expected")
        gold = {name: [entity.text for entity in document.gold if entity.label == name] for name in fields}
        rows = [[*row, " | ".join(gold[row[0]]) or "-"] for row in rows]
    return table(["field", *heads], rows)


def raw(trial: Trial) -> str:
    """The model's answers as it wrote them."""
    names = SETS if len(trial.extractions) > 1 else ("",)
    return "".join(
        f'{name}<pre class="seqgpt-raw" style="{_RAW}">{escape(one.raw)}</pre>' for name, one in zip(names, trial.extractions, strict=True)
    )


def contest(found: Contest) -> str:
    """The verdict in words, F1 field by field, and what was not compared."""
    rows = [[name, f"{first:.3f}", f"{second:.3f}", str(support)] for name, first, second, support in found.fields]
    notes = "".join(f"<div>⚠ {escape(note)}</div>" for note in found.left_out)
    return note(found.verdict.sentence()) + table(["field", "F1 of A", "F1 of B", "gold values"], rows) + notes


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of plain text."""
    head = "".join(f'<th style="{_CELL};{_WHOLE}">{escape(cell)}</th>' for cell in heads)
    body = "".join("<tr>" + "".join(f'<td style="{_CELL}">{escape(cell)}</td>' for cell in row) + "</tr>" for row in rows)
    return f'<table class="seqgpt-table" style="border-collapse:collapse"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def note(text: str) -> str:
    """A sentence that screen readers read out when it changes."""
    return f'<div class="seqgpt-note" role="status" style="{_BOX.format("#4477AA")}">{escape(text)}</div>'


def chips(drafts: Sequence[Draft]) -> str:
    """Labels as they are asked, in the colours that their values will be marked with."""
    return "".join(
        f'<span class="seqgpt-chip" style="background:{PALETTE[order % len(PALETTE)]};color:{INK};{_CHIP}">{escape(draft.written)}</span> '
        for order, draft in enumerate(drafts)
    )


def warning(text: str, blocking: bool = False) -> str:
    """What lint says of a label; blocking: it cannot be asked like this."""
    return f"<span>{'⛔' if blocking else '⚠'} {escape(text)}</span>"


def download(name: str, content: str) -> str:
    """A link that saves the content as a file, without asking any server."""
    data = base64.b64encode(content.encode("utf-8", errors="replace")).decode("ascii")
    address = f"data:text/plain;charset=utf-8;base64,{data}"
    return f'<a class="seqgpt-download" download="{escape(name)}" href="{address}">download {escape(name)}</a>'


def failure(error: Exception) -> str:
    """An error: what a user can mend as it is told, anything else named as a fault of ours, with its traceback to unfold."""
    if isinstance(error, SeqGPTLabError):
        return f'<div class="seqgpt-error" role="alert" style="{_BOX.format("#CC3311")}">{escape(str(error))}</div>'
    told = f"{type(error).__name__}: {error}"
    lines = "".join(traceback.format_exception(error))
    return (
        f'<div class="seqgpt-error" role="alert" style="{_BOX.format("#CC3311")}">This is a fault of the lab, not yours: {escape(told)}'
        f"<details><summary>details to report</summary><pre>{escape(lines)}</pre></details></div>"
    )


def _cells(extraction: Extraction, name: str) -> list[str]:
    field = next((field for field in extraction.fields if field.label == name), Field(name))
    sure = [f"{span.confidence:.2f}" if span.confidence is not None else "?" for span in field.spans]
    return [" | ".join(span.text for span in field.spans) or "-", " | ".join(sure) or "-"]
