"""Tells in which unit offsets into a text were counted: code points, UTF-16 code units or UTF-8 bytes. Knows no document."""

from __future__ import annotations

from typing import Literal, get_args

Unit = Literal["code points", "UTF-16 code units", "UTF-8 bytes"]
UNITS: tuple[Unit, ...] = get_args(Unit)
_ENCODINGS: dict[Unit, tuple[str, int]] = {
    "code points": ("utf-32-le", 4),
    "UTF-16 code units": ("utf-16-le", 2),
    "UTF-8 bytes": ("utf-8", 1),
}


def part(text: str, start: int, end: int, unit: Unit) -> str | None:
    """What the text reads at [start, end) counted in `unit`; None when they lie outside the text, are empty or cut a character."""
    encoding, size = _ENCODINGS[unit]
    encoded = text.encode(encoding, "surrogatepass")
    if not 0 <= start < end or end * size > len(encoded):
        return None
    try:
        return encoded[start * size : end * size].decode(encoding)
    except UnicodeDecodeError:
        return None


def in_code_points(text: str, start: int, end: int, unit: Unit) -> tuple[int, int] | None:
    """The same place in code points, end exclusive; None where `part` gives None."""
    found = part(text, start, end, unit)
    if found is None:
        return None
    encoding, size = _ENCODINGS[unit]
    before = len(text.encode(encoding, "surrogatepass")[: start * size].decode(encoding, "surrogatepass"))
    return before, before + len(found)


def recognise(text: str, start: int, end: int, wanted: str, likeliest: Unit = "code points") -> Unit | None:
    """The unit in which [start, end) encloses `wanted`: the likeliest, else the first of UNITS that fits; None when none does."""
    return next((unit for unit in (likeliest, *UNITS) if part(text, start, end, unit) == wanted), None)


def hint(text: str, start: int, end: int, wanted: str) -> str:
    """A sentence on what the offsets seem to be where they are not code points, else nothing."""
    unit = recognise(text, start, end, wanted)
    if unit == "UTF-16 code units":
        return "; they fit as UTF-16 code units, which Java, JavaScript and Windows count (a character such as 😀 or 𠮷 counts 2)"
    if unit == "UTF-8 bytes":
        return "; they fit as UTF-8 bytes, of which a Chinese character has 3"
    if recognise(text, start, end + 1, wanted) == "code points":
        return "; they fit with the end inclusive, so add 1 to every end"
    return ""
