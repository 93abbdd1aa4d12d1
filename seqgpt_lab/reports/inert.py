"""Makes HTML that a notebook displayed harmless and independent of any host; knows nothing of notebooks or pages.

Kept: structure, styles, tables, inline SVG, embedded images, links that a reader may click. Removed: whatever runs or loads.
"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from bs4.element import CData, Comment, Declaration, Doctype, NavigableString, ProcessingInstruction, Tag

_REMOVED = ("script", "iframe", "frame", "frameset", "object", "embed", "applet", "link", "meta", "base", "audio", "video", "portal")
_FETCHING = ("src", "srcset", "background", "action", "formaction", "ping", "cite", "longdesc")
# Of what is not closed a browser closes what is open at the end.
_ADDRESS = re.compile(r"""url\(\s*(?!['"]?(?:data:|\#))[^)]*\)?|@import[^;]*;?|image-set\([^)]*\)?""", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)
# What is written like a property in a style, and read as one.
_STYLING = ("style", "fill", "stroke", "filter", "mask", "clip-path", "cursor", "marker", "marker-start", "marker-mid", "marker-end")
_CLICKABLE = re.compile(r"(?:https?:|mailto:|#|[^:]*$)", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x20]+")


def inert(html: str) -> str:
    """The fragment as balanced HTML that runs nothing and, once opened, asks no host for anything.

    A picture that is not embedded becomes a sentence that says so. Links stay links, except `javascript:` and the like.
    """
    soup = BeautifulSoup(html, "html.parser")
    # A browser ends a CDATA section at the first ">" where it is not within SVG, and takes the rest of it for tags.
    for node in soup.find_all(string=lambda text: isinstance(text, CData)):
        node.replace_with(NavigableString(str(node)))
    for node in soup.find_all(string=lambda text: isinstance(text, (Comment, Declaration, Doctype, ProcessingInstruction))):
        node.extract()
    for tag in soup.find_all(_REMOVED):
        tag.decompose()
    for tag in soup.find_all(True):
        _disarm(tag, soup)
    return str(soup)


def _disarm(tag: Tag, soup: BeautifulSoup) -> None:
    for name in list(tag.attrs):
        if not _may_stay(tag, name.lower(), _CONTROLS.sub("", str(tag[name]))):
            del tag[name]
    for name in [name for name in tag.attrs if name.lower() in _STYLING]:
        tag[name] = _styled(str(tag[name]))
    if tag.name == "style":
        tag.string = _styled(tag.get_text())
    if tag.name == "img" and not tag.has_attr("src"):
        note = soup.new_tag("em")
        note.string = f"[picture left out, it is not embedded: {tag.get('alt') or 'no description'}]"
        tag.replace_with(note)


def _styled(css: str) -> str:
    """Styles without addresses; nothing where some are hidden in escapes, as in `u\\72l(...)`."""
    plain = _ADDRESS.sub("none", css)
    return "" if _ADDRESS.search(_ESCAPED.sub(_meant, plain)) else plain


def _meant(escape: re.Match[str]) -> str:
    """The sign that an escape of CSS stands for."""
    return escape[2] or chr(min(int(escape[1], 16), 0x10FFFF))


def _may_stay(tag: Tag, name: str, value: str) -> bool:
    """Whether an attribute is free of code and loads nothing; value: without blanks and controls, which browsers skip too."""
    if name.startswith("on"):
        return False
    if name in _FETCHING:
        return name == "src" and value.lower().startswith("data:image/")
    if name in ("href", "xlink:href"):
        embedded = value.lower().startswith("data:")
        if tag.name == "a":
            return bool(_CLICKABLE.match(value)) or (embedded and tag.has_attr("download"))
        return value.startswith("#") or (tag.name == "image" and value.lower().startswith("data:image/"))
    return True
