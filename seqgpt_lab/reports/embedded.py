"""Masks personal data in files that stand in a page's attributes (`data:` addresses); knows nothing of the page around them.

What is embedded is either a picture or a font, which is left as it is, or a text that can be searched, or it is left out: a sheet of
Excel, an archive or a text in another encoding may hold what the page must not show, and nobody would see it there.
"""

from __future__ import annotations

import base64
import html
import re
from urllib.parse import quote, unquote

from seqgpt_lab.reports.masking import Masker, replace_hits

_EMBEDDED = re.compile(r"\s*data:", re.IGNORECASE)
_DRAWN = re.compile(r"\s*data:(?:image/(?!svg)|font/)", re.IGNORECASE)
_MARKUP = re.compile(r"(?:image/svg|text/html|text/xml|application/(?:[\w.-]+\+)?xml|application/xhtml)")
# Types of files that are text and nothing else.
_TEXTUAL = re.compile(r"|text/(?!rtf)[\w.+-]+|application/(?:[\w.-]+[+-])?(?:json|xml|yaml|csv|ndjson|jsonlines)|image/svg\+xml")
_UTF8 = ("utf-8", "utf8", "us-ascii", "ascii")
# No text has these; a text of two bytes a character does, read as one of UTF-8.
_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1f]")
_TAG = re.compile(r"<[^>]*>")


def masked_attribute(value: str, masker: Masker) -> str | None:
    """The attribute's value with masks; None where a file is embedded that cannot be searched and must be left out."""
    if not _EMBEDDED.match(value):
        return replace_hits(value, masker.hits(value))
    if _DRAWN.match(value):
        return value
    head, _, body = value.partition(",")
    kind, *options = (part.strip().lower() for part in head.partition(":")[2].split(";"))
    text = _text(kind, options, body)
    if text is None:
        return None
    hits = masker.hits(text)
    masked = replace_hits(text, hits)
    if _MARKUP.match(kind) and masker.hits(html.unescape(_TAG.sub("", masked))):
        return None  # a value that tags cut or that is written in numbers
    if not hits:
        return value
    return f"{head},{base64.b64encode(masked.encode()).decode('ascii') if 'base64' in options else quote(masked)}"


def _text(kind: str, options: list[str], body: str) -> str | None:
    """The text that is embedded; None where it is none, or one in another encoding than UTF-8."""
    charsets = [option.partition("=")[2].strip('"') for option in options if option.startswith("charset=")]
    if not _TEXTUAL.fullmatch(kind) or not set(charsets) <= set(_UTF8):
        return None
    try:
        text = _decoded(body) if "base64" in options else unquote(body, errors="strict")
    except ValueError:  # no base64, or no UTF-8
        return None
    return None if _NO_TEXT.search(text) else text


def _decoded(body: str) -> str:
    """The text behind base64, in an address. Raises ValueError where it is none."""
    return base64.b64decode("".join(unquote(body).split()), validate=True).decode("utf-8")
