"""Masks personal data in a whole HTML page: texts, attributes, embedded files; knows nothing of how the page was made.

A value may be cut by marks (`<mark>张</mark>伟`), so texts are searched a block at a time, whatever other elements lie in it.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import count, takewhile
from operator import attrgetter
from pathlib import Path

from bs4 import BeautifulSoup
from bs4.element import CData, Comment, NavigableString, PreformattedString, Tag

from seqgpt_lab.errors import RunError
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.reports.embedded import masked_attribute
from seqgpt_lab.reports.masking import Hit, Masker, replace_hits
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.run_files import PERSONAL

# Elements that stand apart from the text around them. All others go on in its line, those that nobody knows too.
_BLOCKS = {"address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "div", "dl", "dt"}
_BLOCKS |= {"fieldset", "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "head", "header", "hgroup", "hr"}
_BLOCKS |= {"html", "legend", "li", "main", "menu", "meta", "nav", "ol", "optgroup", "option", "p", "pre", "script", "search", "section"}
_BLOCKS |= {"select", "style", "summary", "table", "tbody", "td", "template", "textarea", "tfoot", "th", "thead", "tr", "ul"}
_BLOCKS |= {"svg", "g", "defs", "desc", "text", "foreignobject", "math"}
# An aside within a text, such as the caption of a marked value: no part of the text around it.
_ASIDE = {"title", "rt"}
# Numbers that draw, not numbers that name.
_GEOMETRY = {"d", "points", "transform", "viewbox", "style", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "class", "charset"}
# Columns whose cells are values of the label that their row names. Not "gold values": in the lab's tables that is how many there are, and
# a count taken for a name would be masked wherever such a number stands on the page.
_VALUE_COLUMNS = {"gold", "predicted", "value", "values", "answer", "baseline", "run"}
_MASK = re.compile(r"\[([^\[\]\n]{1,60}) ([1-9]\d{0,8})\]")
_LEFT_OUT = "[file left out: it cannot be searched for personal data]"

# A text and the node that holds it; None for the end of a line.
_Piece = tuple[str, NavigableString | None]


def read_personal(folder: str | Path) -> dict[str, list[str]]:
    """The values of personal fields that a run noted in its folder; the bundled label sets' personal fields are there without values.

    Raises RunError for a file that cannot be read, since a page without it would show what it should not.
    """
    path = Path(folder) / PERSONAL
    values: dict[str, list[str]] = {field: [] for field in bundled_personal_fields()}
    if not path.exists():
        return values
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))
        return values | {str(field): list(map(str, found)) for field, found in noted.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path} does not hold the values of personal fields ({error}); have the notebook write it with record_personal"
        ) from error


@cache
def bundled_personal_fields() -> tuple[str, ...]:
    """The personal fields of the label sets that come with the lab, which are masked in every run's page."""
    sets = [LabelSet.load(path) for path in sorted(bundled("labels").glob("*.yaml"))]
    return tuple(dict.fromkeys(label.field for labels in sets for label in labels.labels if label.personal))


def personal_values(soup: BeautifulSoup, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(label, value) of what the page shows as values of these labels: marked texts, and columns and rows of tables."""
    for tag in soup.select("[data-label-1]"):
        yield from ((label, value) for label, value in _told(tag) if label in labels)
    yield from _told_in_words(soup, labels)
    for table in soup.find_all("table"):
        yield from _tabled(table, labels)


def _told(tag: Tag) -> Iterator[tuple[str, str]]:
    """(label, value) of a marked text, or of a value without a mark, as `highlight` writes them; two where the text has it differently."""
    for number in takewhile(lambda number: f"data-label-{number}" in tag.attrs, count(1)):
        ways = (tag.attrs.get(f"data-{way}-{number}") for way in ("value", "found"))
        yield from ((str(tag[f"data-label-{number}"]), str(value)) for value in ways if value is not None)


def _told_in_words(soup: BeautifulSoup, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The same from pages of earlier versions, where only what people read tells them."""
    for mark in soup.select("mark[title]:not([data-label-1])"):
        for title in str(mark["title"]).split(" · "):
            label, _, value = title.partition(": ")
            if label in labels:
                yield label, re.sub(r" \((?:confidence|approximate)[^()]*\)$", "", value)
    for flag in soup.select(".seqgpt-unaligned:not([data-label-1])"):
        label, _, value = flag.get_text().lstrip("⚠ ").partition(": ")
        if label in labels:
            yield label, re.sub(r" \(not (?:in|placed in) the text\)(?: × \d+)?$", "", value)


def _tabled(table: Tag, labels: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Cells below a personal label, and cells of value columns in a row that names a personal label."""
    rows = [[cell.get_text().strip() for cell in row.find_all(["th", "td"])] for row in table.find_all("tr")]
    head = rows[0] if rows else []
    for row in rows[1:]:
        named = next((cell for cell in row if cell in labels), None)
        for title, cell in zip(head, row, strict=False):
            label = title if title in labels else named if title.lower() in _VALUE_COLUMNS else None
            if label is not None:
                yield from ((label, value) for value in re.split(r" \| |、|\t", cell) if value)


def mask_page(html: str, values: Mapping[str, Sequence[str]]) -> tuple[str, int]:
    """The page with masks, and how many different values they stand for. values: of each personal field, none where not known.

    What the page itself shows as values of these fields is masked too. Pictures made of pixels are left as they are; other embedded files
    that cannot be searched are left out, and a note says so. A page that has masks can be masked again: another value gets another mask.
    """
    soup = BeautifulSoup(html, "html.parser")
    masker = Masker(_with_shown(soup, values), numbers=_numbers(html))
    runs, attributes = list(_runs(soup)), list(_attributes(soup))
    for run in runs:
        _mask_run(run, masker)
    for tag, name, value in attributes:
        _mask_attribute(soup, tag, name, value, masker)
    return str(soup), len(masker.masks)


def with_shown(html: str, values: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """The values, and what the page or part of one, without masks, shows as values of the same fields."""
    return _with_shown(BeautifulSoup(html, "html.parser"), values)


def _with_shown(soup: BeautifulSoup, values: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    known = {label: list(found) for label, found in values.items()}
    for label, value in personal_values(soup, list(values)):
        known[label].append(value)
    return known


def _numbers(html: str) -> dict[str, int]:
    """The highest number of the masks of each field and kind in a page."""
    numbers: dict[str, int] = {}
    for name, number in _MASK.findall(html):
        numbers[name] = max(int(number), numbers.get(name, 0))
    return numbers


def _runs(soup: BeautifulSoup) -> Iterator[list[_Piece]]:
    """The pieces of text of each block, in order."""
    run: list[_Piece] = []

    def walk(element: Tag) -> Iterator[list[_Piece]]:
        nonlocal run
        for child in list(element.children):
            if isinstance(child, NavigableString):
                run += [(str(child), child)] if _is_text(child) else []
            elif not isinstance(child, Tag):
                continue
            elif child.name == "br":
                run.append(("\n", None))
            elif child.name in _ASIDE or (child.name == "small" and child.find_parent("mark") is not None):
                outer, run = run, []
                yield from walk(child)
                yield run
                run = outer
            elif child.name not in _BLOCKS:
                yield from walk(child)
            elif child.name != "style" or child.find_parent("main") is not None:
                yield run
                run = []
                yield from walk(child)
                yield run
                run = []

    yield from walk(soup)
    yield run


def _is_text(node: NavigableString) -> bool:
    return not isinstance(node, PreformattedString) or isinstance(node, (Comment, CData))


def _mask_run(run: Sequence[_Piece], masker: Masker) -> None:
    """A mask stands where its value begins; what other pieces hold of the value is taken out."""
    hits = masker.hits("".join(text for text, _ in run))
    start = 0
    for text, node in run:
        end = start + len(text)
        # Hits are in order and apart, so those within this piece are found without going over all for each of many pieces.
        mine = hits[bisect_right(hits, start, key=attrgetter("end")) : bisect_left(hits, end, key=attrgetter("start"))]
        if mine and node is not None:
            # The mask goes where the value begins.
            masks = [hit.mask if hit.start >= start else "" for hit in mine]
            places = [(max(hit.start - start, 0), min(hit.end - start, len(text))) for hit in mine]
            local = [Hit(*place, mask) for place, mask in zip(places, masks, strict=True)]
            node.replace_with(type(node)(replace_hits(text, local)))
        start = end


def _attributes(soup: BeautifulSoup) -> Iterator[tuple[Tag, str, str]]:
    for tag in soup.find_all(True):
        for name, value in tag.attrs.items():
            if name.lower() not in _GEOMETRY:
                yield tag, name, value if isinstance(value, str) else " ".join(value)  # of `rel` and the like there are several


def _mask_attribute(soup: BeautifulSoup, tag: Tag, name: str, value: str, masker: Masker) -> None:
    masked = masked_attribute(value, masker)
    if masked is not None:
        tag[name] = masked
        return
    del tag[name]
    note = soup.new_tag("em")
    note.string = _LEFT_OUT
    tag.insert_after(note)
