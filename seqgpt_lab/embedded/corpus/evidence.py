"""What a document's own words say against a question: whom they call what, and what they hold that nobody marked. Asks nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping

from seqgpt_lab.documents.document import Document

# Between what a value is called and the value: `乙方：…`, `乙方单位 …`, `乙方（买方）…`, `甲方为“…`, `（乙方）：…`.
_LINK = re.compile(r"(?:单位|名称|全称)?(?:[（(【][^（）()【】]{1,8}[）)】])?[\s：:为是即系→=＝｜|—\-（(【「“\"'\[）)】”」]*")
# Between a value and what it is called: `…（乙方）`, `…（以下简称“乙方”`, `…，乙方；`.
_NAMED = re.compile(r"[（(【，,、]\s*(?:(?:以下)?[简下合]?称[为作]?[“\"「]?)?$")
_NAMED_END = re.compile(r"[）)】”\"」；;。.，,、\n]|$")
# What a value of a family looks like where its makers write it in figures.
_FIGURES: Mapping[str, re.Pattern[str]] = {
    "date": re.compile(r"\d{4}\s?年|\d{1,2}月\d{1,2}[日号]|\d{4}[-/.]\d{1,2}\b|(?<!\d)\d{1,2}[:：]\d{2}(?!\d)"),
    "money": re.compile(r"\d[\d,.]*\s?[万亿千]?(?:元|美元|欧元)|[￥¥$€]\s?\d"),
    "percent": re.compile(r"\d\s?[%％‰]"),
    "phone": re.compile(r"(?<![\dA-Za-z])(?:1\d{10}|0\d{2,3}-?\d{7,8}|400-?\d{3}-?\d{4})(?!\d)"),
    "number": re.compile(r"(?<![A-Za-z0-9@.])(?=(?:[A-Za-z-]*\d){3})[A-Za-z0-9][A-Za-z0-9-]{4,}"),
}


def called(document: Document, wording: str) -> set[str]:
    """The fields whose values the text itself calls by a wording, right behind it or in brackets behind the value."""
    text, found = document.text, set()
    for match in re.finditer(re.escape(wording), text):
        behind = _LINK.match(text, match.end())
        assert behind is not None, "it matches nothing, too"
        before = _NAMED.search(text, 0, match.start())
        named = before.start() if before and _NAMED_END.match(text, match.end()) else 0
        for entity in document.gold:
            if text.startswith(entity.text, behind.end()) or text.endswith(entity.text, 0, named):
                found.add(entity.label)
    return found


def unmarked(document: Document) -> str:
    """The text with a blank for each marked value, wherever it stands."""
    text = document.text
    for value in sorted({entity.text for entity in document.gold}, key=len, reverse=True):
        text = text.replace(value, " ")
    return text


def may_hold(text: str, family: str) -> bool:
    """Whether something in a text looks like a value of a family that is written in figures; of other families it never does."""
    return family in _FIGURES and bool(_FIGURES[family].search(text))
