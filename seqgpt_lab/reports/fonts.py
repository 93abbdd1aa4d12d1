"""Cuts out of a font of this machine the Chinese characters that a page needs, so that no reader needs a font of their own.

A page names the fonts readers usually have and this one last: where a reader has none with Chinese, no character turns into a box.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from functools import cache
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from matplotlib.font_manager import findSystemFonts

FAMILY = "SeqGPT Lab Han"
_FIRST_WIDE = 0x2E80
_RANGE = "U+2E80-9FFF,U+F900-FAFF,U+FE30-FE4F,U+FF00-FFEF,U+20000-3FFFF"
# Fonts with Simplified Chinese whose licence lets a document carry a part of them, by the beginning of their file's name.
_FREE = ("wqy-microhei", "notosanscjk", "notosanssc", "notosanscjksc", "sourcehansans", "droidsansfallback", "wqy-zenhei")

_STYLE = re.compile(rf"@font-face {{ font-family: '{FAMILY}'; [^{{}}]*}}")


def embedded_font(text: str) -> str:
    """A style sheet with a font of the wide characters in `text`; empty without any, or where this machine has no font for them."""
    wanted = {ord(character) for character in text if ord(character) >= _FIRST_WIDE}
    path = _font_file()
    if not wanted or path is None:
        return ""
    font = base64.b64encode(_cut(path, wanted)).decode("ascii")
    return f"@font-face {{ font-family: '{FAMILY}'; src: url(data:font/woff;base64,{font}) format('woff'); unicode-range: {_RANGE} }}"


def refitted(page: str) -> str:
    """A page that carries such a style sheet, with one that has the characters left in it and no others: those gone tell what is masked."""
    bare = _STYLE.sub("", page)
    return page if bare == page else _STYLE.sub(lambda _: embedded_font(bare), page, count=1)


@cache
def _font_file() -> Path | None:
    """The first of the free fonts that this machine has."""
    found = {Path(name).name.lower().replace("-regular", ""): Path(name) for name in sorted(findSystemFonts())}
    return next((path for free in _FREE for name, path in found.items() if name.startswith(free)), None)


def _cut(path: Path, characters: set[int]) -> bytes:
    """A WOFF file with these characters of a font, those that it has."""
    logging.getLogger("fontTools").setLevel(logging.ERROR)  # it remarks on every table that it drops
    options = Options(hinting=False, layout_features=[], notdef_outline=True)
    with TTFont(path, fontNumber=0, lazy=True) as font:
        subsetter = Subsetter(options)
        subsetter.populate(unicodes=characters)
        subsetter.subset(font)
        font.flavor = "woff"
        stream = io.BytesIO()
        font.save(stream)
    return stream.getvalue()
