"""Makes HTML that a notebook displayed harmless and independent of any host; knows nothing of notebooks or pages.

Kept: structure, styles, tables, inline SVG, embedded images, links that a reader may click. Removed: whatever runs or loads.
"""

from __future__ import annotations

import re

from bs4 import BeautifulSoup
from bs4.element import CData, Comment, Declaration, Doctype, NavigableString, ProcessingInstruction, Tag

_REMOVED = ("script", "iframe", "frame", "frameset", "object", "embed", "applet", "link", "meta", "base", "audio", "video", "portal")
_FETCHING = ("src", "srcset", "poster", "background", "action", "formaction", "data", "ping", "cite", "longdesc")
_ADDRESS = re.compile(r"""url\(\s*(?!['"]?(?:data:|\#))[^)]*\)|@import[^;]*;?|image-set\([^)]*\)""", re.IGNORECASE)
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
    if tag.has_attr("style"):
        tag["style"] = _ADDRESS.sub("none", str(tag["style"]))
    if tag.name == "style":
        tag.string = _ADDRESS.sub("none", tag.get_text())
    if tag.name == "img" and not tag.has_attr("src"):
        note = soup.new_tag("em")
        note.string = f"[picture left out, it is not embedded: {tag.get('alt') or 'no description'}]"
        tag.replace_with(note)


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
