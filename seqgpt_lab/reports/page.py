"""Renders an executed notebook and its run as one self-contained page; knows nothing of how either came about."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter
from traitlets.config import Config

from seqgpt_lab.reports.fonts import embedded_font
from seqgpt_lab.reports.inert import inert
from seqgpt_lab.reports.masked_page import mask_page
from seqgpt_lab.reports.runs import Run
from seqgpt_lab.studies.display import counted

_TEMPLATES = Path(__file__).parent / "templates"
# Hidden cells: the table at the top shows what was injected, with its Chinese readable; papermill's notes repeat the banner.
_HIDDEN_TAGS = {"parameters", "injected-parameters", "papermill-error-cell-tag", "hide-cell"}
# No widget and no script: neither would be drawn without a network.
_SHOWN_TYPES = ["text/html", "text/markdown", "image/svg+xml", "image/png", "image/jpeg", "text/latex", "text/plain"]
UNMASKED = "Shown as it is: not for passing on"
# Characters of a text that a cell put out. No browser reads much more, and to mask it would take longer than the notebook did.
_LONGEST_TEXT = 500_000
_GIB = 1024**3
_NUMBER = re.compile(r"[<+\-−]? ?[0-9][0-9.,]* ?[%x]?")
# Stands in the page until it is known what was masked.
_MASKED_PLACE = "{{ personal data }}"
_FONT_PLACE = "/* the font */"


@dataclass(frozen=True, slots=True)
class _View:
    """What the template shows beside the cells. parameters: (name, value, who set it); provenance: (name, value)."""

    run: Run
    title: str
    name_first: bool
    started: str
    ending: str
    stopped_in: int | None
    parameters: tuple[tuple[str, str, str], ...]
    provenance: tuple[tuple[str, str], ...]
    code_style: str


def render_page(notebook: nbformat.NotebookNode, run: Run, personal: Mapping[str, Sequence[str]] | None) -> str:
    """The page as UTF-8 HTML text: banner, parameters, contents, the notebook with its code folded, provenance.

    personal: the values of each personal field; they are masked wherever they stand, and so is what looks like a phone, an ID or
    card number or an e-mail address. None leaves everything as it is, and the page says so.
    It needs no network and runs no script: its own content security policy forbids both. Of a text that a cell put out with more than
    half a million characters, its beginning and its end are shown, and how much is not. The notebook is not changed.
    """
    shown = deepcopy(notebook)
    shown.cells = [cell for cell in shown.cells if not _HIDDEN_TAGS & set(cell.metadata.get("tags", []))]
    for cell in shown.cells:
        if cell.metadata.get("papermill", {}).get("status") == "failed":
            cell.metadata["stopped_here"] = True
        if "outputs" in cell:
            cell.outputs = _joined(cell.outputs)
        for output in cell.get("outputs", ()):
            _shorten(output)
    exporter = HTMLExporter(
        template_name="report",
        extra_template_basedirs=[str(_TEMPLATES)],
        exclude_anchor_links=True,
        config=Config({"NbConvertBase": {"display_data_priority": _SHOWN_TYPES}}),
    )
    exporter.register_filter("inert", inert)
    html, _ = exporter.from_notebook_node(shown, resources={"page": _view(shown, run)})
    page, about = _arranged(html), UNMASKED
    if personal is not None:
        page, masks = mask_page(page, personal)
        about = f"Masked: {masks} different values" if masks else "None was found"
    page = page.replace(_MASKED_PLACE, about, 1)
    # Last, so that the font holds no character of what was masked.
    return page.replace(_FONT_PLACE, embedded_font(page), 1)


def _view(notebook: nbformat.NotebookNode, run: Run) -> _View:
    heading = _first_heading(notebook)
    stopped = [index for index, cell in enumerate(notebook.cells) if cell.metadata.get("stopped_here")]
    return _View(
        run=run,
        title=heading or Path(run.notebook).stem,
        name_first=not heading,
        started=_time(run.started),
        ending=_ending(run),
        stopped_in=stopped[0] if stopped else None,
        parameters=tuple((name, _value(value), "this run" if name in run.given else "default") for name, value in run.parameters.items()),
        provenance=tuple(_provenance(run)),
        code_style=_code_style(),
    )


def _joined(outputs: Sequence[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """Texts that follow each other on one stream as one: a cell that was stopped leaves each step of its progress by itself. Of a line that
    was written over, the last state."""
    joined: list[nbformat.NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if last is not None and last.output_type == output.output_type == "stream" and last.name == output.name:
            last.text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":
            output.text = "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in output.text.split("\n"))
    return joined


def _shorten(output: nbformat.NotebookNode) -> None:
    """Leave out the middle of a long text."""
    place, name = (output, "text") if output.output_type == "stream" else (output.get("data", {}), "text/plain")
    text = place.get(name, "")
    if len(text) > _LONGEST_TEXT:
        half = _LONGEST_TEXT // 2
        # Whole lines, where there are any: half a number would not be known for one.
        first, last = text.rfind("\n", 0, half) + 1 or half, text.find("\n", len(text) - half) + 1 or len(text) - half
        place[name] = f"{text[:first]}\n[{last - first:,} characters are left out here; out.ipynb has them all]\n\n{text[last:]}"


def _first_heading(notebook: nbformat.NotebookNode) -> str:
    lines = [line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines()]
    return next((line[2:].strip() for line in lines if line.startswith("# ")), "")


def _ending(run: Run) -> str:
    took = "" if run.seconds is None else f"{run.seconds:.1f} s"
    return f"All cells ran, in {took}." if run.ok else f"The run ended after {took}; what is below is not complete."


def _value(value: object) -> str:
    if isinstance(value, str):
        return value or "(empty)"
    return json.dumps(value, ensure_ascii=False)


def _time(iso: str | None) -> str:
    return "" if iso is None else datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M:%S UTC")


def _provenance(run: Run) -> Iterator[tuple[str, str]]:
    """What a reader needs to trace the page back, line by line."""
    yield "Run", run.id
    yield "Notebook", f"{run.notebook} (SHA-256 {run.notebook_sha256})"
    yield "Started", _time(run.started)
    yield "Finished", _time(run.finished)
    if run.timeout is not None:
        yield "Limit", f"{run.timeout:g} s"
    yield "Code", _code(run.code)
    if run.model is not None:
        yield "Model", _model(run.model)
    yield "Machine", _machine(run.machine)
    yield "Personal data", _MASKED_PLACE
    yield "Versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())


def _model(model: Mapping[str, Any]) -> str:
    """`source tiny, dtype bfloat16; shape: layers 8, heads 4`, a mapping of mappings in words; what there is none of is left out."""
    parts = [_named(name, value) for name, value in model.items() if value is not None and not isinstance(value, dict)]
    groups = [f"{name}: {', '.join(_named(*pair) for pair in value.items())}" for name, value in model.items() if isinstance(value, dict)]
    return "; ".join([", ".join(parts), *groups])


def _named(name: str, value: object) -> str:
    return f"{name.replace('_', ' ')} {_value(value)}"


def _code(code: Any) -> str:
    if code is None:
        return "not in a git checkout"
    return f"git {code.get('commit')}" + (", with uncommitted changes" if code.get("dirty") else "")


def _machine(machine: Any) -> str:
    parts = [str(machine[name]) for name in ("host", "system", "cpu") if machine.get(name)]
    parts += [counted(machine["cores"], "core")] if "cores" in machine else []
    parts += [f"{machine['memory_bytes'] / _GIB:.0f} GiB of memory"] if "memory_bytes" in machine else []
    return ", ".join([*parts, *map(str, machine.get("gpus", []))])


def _code_style() -> str:
    """Colours of folded code, for light and for dark pages."""
    light = HtmlFormatter(style="default", nobackground=True).get_style_defs(".highlight")
    dark = HtmlFormatter(style="github-dark", nobackground=True).get_style_defs(".highlight")
    return f"{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}"


def _arranged(html: str) -> str:
    """The page with its numbers marked and its contents listed."""
    soup = BeautifulSoup(html, "html.parser")
    _mark_numbers(soup)
    _list_contents(soup)
    return str(soup)


def _mark_numbers(soup: BeautifulSoup) -> None:
    """Mark the cells that hold a number, which must not be broken into two however narrow the paper."""
    for cell in soup.select("main td"):
        if _NUMBER.fullmatch(cell.get_text(strip=True)):
            cell["data-number"] = ""


def _list_contents(soup: BeautifulSoup) -> None:
    """Ids of their own on the notebook's headings, and a list of them at the place for it, where there are three or more.

    Headings that a cell put out, such as an example's, are none of its sections.
    """
    place = soup.find(id="contents")
    headings = soup.select("main > .text h2, main > .text h3")
    entries = soup.new_tag("ul")
    for number, heading in enumerate(headings, start=1):
        heading["id"] = f"section-{number}"
        link = soup.new_tag("a", href=f"#section-{number}")
        link.string = heading.get_text(" ", strip=True)
        entry = soup.new_tag("li", attrs={"class": heading.name})
        entry.append(link)
        entries.append(entry)
    if place is not None and len(headings) >= 3:
        place.append(entries)
