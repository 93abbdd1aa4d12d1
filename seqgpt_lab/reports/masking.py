"""Replaces personal data in texts by masks, the same value always by the same; knows nothing of runs and notebooks.

Three sources say what is personal: values that a caller names (those of fields marked personal), patterns of phones, Chinese ID
numbers, bank cards and e-mail addresses, and the marks around what a message quotes of a document, whatever that is. Masks are
numbers in the order of occurrence, `[姓名 1]`, and tell nothing of the value.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from seqgpt_lab.documents.invisible import INVISIBLE
from seqgpt_lab.documents.quoting import QUOTED
from seqgpt_lab.documents.utf8 import without_halves

# One sign before: neither a digit nor the decimal point of a number, so that no fraction is taken for a number of this kind.
_ALONE = r"(?<!\d)(?<!\d\.)"
_DAY = r"(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_YEAR = r"20[0-3]\d"
_ABROAD = r"(?:\+|00)86[- ]?"  # China, as it is called from elsewhere
_AREA = r"(?:10|2\d|[3-9]\d\d)"  # an area code there is, without the nought that it has within the country
_PATTERNS = {
    # From the first sign of its kind only: from each of them anew, a long text without blanks would take hours.
    "e-mail": r"(?<![A-Za-z0-9._%+\-])[A-Za-z0-9._%+\-]+@[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+",
    "ID number": rf"{_ALONE}[1-9]\d{{5}}[- ]?(?:(?:18|19|20)\d{{2}}[- ]?{_DAY}[- ]?\d{{3}}[\dXx]|\d{{2}}{_DAY}\d{{3}})(?![\dA-Za-z])",
    "card number": rf"{_ALONE}(?:[1-9]\d{{14,18}}|[1-9]\d{{3}}(?:[- ]\d{{4}}){{3}}(?:[- ]\d{{1,3}})?|[1-9]\d{{5}}[- ]\d{{9,13}})(?!\d)",
    "phone": (
        rf"{_ALONE}(?:{_ABROAD}|86[- ]?|0)?1[3-9]\d"
        rf"(?:(?P<gap>[- .]?)\d{{4}}(?P=gap)\d{{4}}|[- ]\d{{3}}[- ]?\d{{5}}|\d[- ]\d{{3}}[- ]?\d{{4}})(?!\d)"
        rf"|{_ALONE}(?:(?:{_ABROAD}|86[- ]?)\(1[3-9]\d\)|\(1[3-9]\d\)(?![- ]?{_YEAR}))[- ]?\d{{4}}[- ]?\d{{4}}(?!\d)"
        rf"|{_ALONE}(?:\(0[1-9]\d{{1,2}}\)[- ]?|0[1-9]\d{{1,2}}[- ]?)[2-9]\d{{6,7}}(?:-\d{{1,5}})?(?!\d)"
        rf"|{_ALONE}{_ABROAD}(?:\(0\)[- ]?)?(?:\(0?{_AREA}\)|0?{_AREA})[- ]?[2-9]\d{{2,3}}[- ]?\d{{4}}(?:-\d{{1,5}})?(?!\d)"
        # In two fours only after an area code that there is, and not where contracts are numbered: HT-010-6024-1012, 021-2024-0315.
        rf"|{_ALONE}(?<![A-Za-z]-)(?:\(0{_AREA}\)|0{_AREA})"
        rf"[- ]?(?!{_YEAR}[- ]0)[2-9]\d{{3}}[- ]\d{{4}}(?!\d)"
        rf"|{_ALONE}[48]00(?:[- ]\d{{3}}[- ]?\d{{4}}|-\d{{4}}-?\d{{3}})(?!\d)"
        # Without gaps only as such numbers begin; sums end in noughts, or have decimals, a currency or a unit beside them.
        rf"|{_ALONE}(?<![¥$A-Za-z])(?:400[016-9]|8008)(?!\d\d0{{4}})\d{{6}}(?![\d.,]\d|\d| ?[元美欧人万亿吨份股A-Za-z])"
    ),
}
_PATTERN = re.compile("|".join(f"(?P<p{number}>{pattern})" for number, pattern in enumerate(_PATTERNS.values())))
_KINDS = dict(zip((f"p{number}" for number in range(len(_PATTERNS))), _PATTERNS, strict=True))
# Fingerprints and commits are digits and letters at random: no part of one is anybody's number.
_HASH = re.compile(r"(?<![0-9A-Za-z])(?=[0-9a-f]*[a-f])[0-9a-f]{32,64}(?![0-9A-Za-z])")
# Documents are broken into lines anywhere, within a number too.
_LINE_END = re.compile(r"(?<=[0-9A-Za-z@.+\-])[ \t]*\r?\n[ \t]*(?=[0-9A-Za-z@.])")
_FORM = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {0x3000: " ", 0xA0: " ", 0xFFE5: "¥"}
# Signs that are written for a hyphen between the parts of a number: hyphens, dashes, the minus sign, the middle dot.
_FORM |= dict.fromkeys([*range(0x2010, 0x2016), 0x2212, 0xB7], "-")
# All of them: whatever stands unseen within a name or number, people read it as that name or number.
_INVISIBLE = re.compile(f"[{INVISIBLE}]+")
_SHORT = 7
_QUOTED_KIND = "quoted"


@dataclass(frozen=True, slots=True)
class Hit:
    """Text at [start, end) that is to be replaced by `mask`."""

    start: int
    end: int
    mask: str


@dataclass(slots=True)
class Masker:
    """Finds and masks personal values. values: those of each personal field, whatever they look like; none: patterns and quotations.

    A value is found wherever it stands, half or full width, in capitals or not, with invisible signs in it, also as JSON, Python or an
    address would write it; one of fewer than seven ASCII letters and digits only as it is spelt and where it stands alone. A field's own
    name is not a value, and neither is what holds no letter or digit. masks: the mask of each value met so far. numbers: the last number
    used of each field or kind, for texts that have masks already.
    """

    values: Mapping[str, Iterable[str]] = field(default_factory=dict)
    masks: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)
    _fields: dict[str, str] = field(default_factory=dict)  # a value's key -> the field it is of
    _values: dict[str, str] = field(default_factory=dict)  # a way of writing a value -> the value
    # (a way of writing it in small letters, as it is), by the first two characters in small letters, long ones first
    _forms: dict[str, list[tuple[str, str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.values.items():
            for value in values:
                for form in _forms(value):
                    if form not in self.values:
                        self._values.setdefault(_level(form), value)
                        self._fields.setdefault(_key(value), name)
        for form in sorted(self._values, key=len, reverse=True):
            small = _small(form)
            self._forms.setdefault(small[:2], []).append((small, form))

    def mask(self, text: str) -> str:
        """The text with masks for all that is personal in it."""
        return replace_hits(text, self.hits(text))

    def mask_within(self, value: Any) -> Any:
        """The value with the texts in it masked, in lists, tuples and mappings too; the names in mappings and all else stay."""
        if isinstance(value, Mapping):
            return {name: self.mask_within(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return type(value)(map(self.mask_within, value))
        return self.mask(value) if isinstance(value, str) else value

    def hits(self, text: str) -> list[Hit]:
        """What to replace, in order, without overlaps: values that overlap are masked as one."""
        visible, places = _visible(text)
        level = _level(visible)
        found = [(start, start + len(form), self._values[form], "") for start, form in self._named(level)]
        found += [(start, end, level[start:end], kind) for start, end, kind in _patterned(level)]
        found += [(*match.span(), match["content"], _QUOTED_KIND) for match in QUOTED.finditer(level)]
        return [Hit(places[start], places[end - 1] + 1, self._mask(value, kind)) for start, end, value, kind in _joined(found)]

    def _named(self, level: str) -> Iterator[tuple[int, str]]:
        """Where values stand that the caller named; of those that begin at one place, the longest."""
        if not self._forms:
            return
        letters = _small(level)
        for start in range(len(letters)):
            for small, form in (*self._forms.get(letters[start : start + 2], ()), *self._forms.get(letters[start], ())):
                if letters.startswith(small, start) and _stands(level, start, form):
                    yield start, form
                    break

    def _mask(self, value: str, kind: str) -> str:
        """kind: what it looks like; empty for a value of a field."""
        key = _key(value)
        if key not in self.masks:
            name = self._fields.get(key, kind)
            self.numbers[name] = self.numbers.get(name, 0) + 1
            self.masks[key] = f"[{name} {self.numbers[name]}]"
        return self.masks[key]


def replace_hits(text: str, hits: Iterable[Hit]) -> str:
    """The text with each hit replaced by its mask."""
    pieces, place = [], 0
    for hit in hits:
        pieces += [text[place : hit.start], hit.mask]
        place = hit.end
    return "".join([*pieces, text[place:]])


def _patterned(level: str) -> list[tuple[int, int, str]]:
    """(start, end, kind) of what has a pattern: what stands whole, and what one end of a line cuts where nothing whole stands."""
    taken = bytearray(len(level))  # 1 where something stands already
    for found in _HASH.finditer(level):
        taken[slice(*found.span())] = b"\1" * len(found[0])
    matches = [(*match.span(), _KINDS[match.lastgroup or ""]) for match in _PATTERN.finditer(level)]
    whole = [(start, end, kind) for start, end, kind in matches if 0 in taken[start:end]]
    for start, end, _ in whole:
        taken[start:end] = b"\1" * (end - start)
    cuts = {place for found in _LINE_END.finditer(level) for place in range(*found.span())}
    places = [place for place in range(len(level)) if place not in cuts]
    for match in _PATTERN.finditer("".join(level[place] for place in places)):
        start, end = places[match.start()], places[match.end() - 1] + 1
        if level.count("\n", start, end) == 1 and 1 not in taken[start:end]:
            whole.append((start, end, _KINDS[match.lastgroup or ""]))
    return whole


def _forms(value: str) -> Iterator[str]:
    """A value as texts, JSON, addresses, XML and Python write it; none for one without a letter or digit, which is nobody's."""
    plain = _visible(without_halves(value))[0].strip()
    if not any(map(str.isalnum, plain)):
        return
    yield from (plain, " ".join(plain.split()), json.dumps(plain)[1:-1], json.dumps(plain, ensure_ascii=False)[1:-1], quote(plain))
    yield from (ascii(plain)[1:-1], repr(plain.encode())[2:-1], plain.encode("ascii", "xmlcharrefreplace").decode())


def _visible(text: str) -> tuple[str, Sequence[int]]:
    """The text without invisible signs, and where each of its characters stands in the text."""
    if not _INVISIBLE.search(text):
        return text, range(len(text))
    hidden = {place for found in _INVISIBLE.finditer(text) for place in range(*found.span())}
    places = [place for place in range(len(text)) if place not in hidden]
    return "".join(text[place] for place in places), places


def _small(text: str) -> str:
    """The text in small letters, each for one, so that offsets stay."""
    small = text.lower()
    return small if len(small) == len(text) else "".join(one.lower() if len(one.lower()) == 1 else one for one in text)


def _level(text: str) -> str:
    """The text with full-width signs and blanks as half-width ones and dashes as hyphens, each for one, so that offsets stay."""
    return text.translate(_FORM)


def _key(value: str) -> str:
    """What makes two spellings the same value: neither width, case nor separators in numbers."""
    plain = unicodedata.normalize("NFKC", _level(_visible(value)[0])).casefold()
    bare = re.sub(r"[\s().+-]", "", plain)
    if not (bare.isdigit() or bare[:-1].isdigit()):
        return plain
    within_china = re.sub(r"^(?:00)?860?(?=(?:10|2\d)\d{8}$|[3-9]\d{9,10}$)", "0", bare)
    return re.sub(r"^(?:(?:00)?86|0)(?=1[3-9]\d{9}$)", "", within_china)


def _stands(level: str, start: int, form: str) -> bool:
    """Whether it is spelt like that and no part of a longer word or number, where it is so short that it often would be another word."""
    if len(form) >= _SHORT or not (form.isascii() and form.isalnum()):
        return True
    if not level.startswith(form, start):
        return False
    before, after = level[start - 1 : start] if start else "", level[start + len(form) : start + len(form) + 1]
    return not (before == "." or ((before + after).isascii() and any(map(str.isalnum, (before, after)))))


def _joined(found: Iterable[tuple[int, int, str, str]]) -> list[tuple[int, int, str, str]]:
    """(start, end, value, kind) in order, overlapping ones made one that passes for the longest of them."""
    joined: list[tuple[int, int, str, str]] = []
    longest = 0
    for start, end, value, kind in sorted(found, key=lambda one: (one[0], -one[1])):
        if joined and start < joined[-1][1]:
            first, last, *known = joined[-1]
            value, kind = (value, kind) if end - start > longest else known
            joined[-1] = (first, max(last, end), value, kind)
            longest = max(longest, end - start)
        else:
            joined.append((start, end, value, kind))
            longest = end - start
    return joined
