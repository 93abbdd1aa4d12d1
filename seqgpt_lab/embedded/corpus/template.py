"""The template language: `{slot}` draws a value, `[[a||b||]]` picks an alternative. Knows nothing about kinds or labels.

`{field}`     the field's value; the same slot again in one document repeats the value and is marked once, at its first place.
`{field#2}`   a second, different value of the same field (multi-value fields).
`{field!}`    a value that the text itself says is none (`不是{产品!}，是{产品}`): drawn like the others, never marked; also `{field#2!}`.
`[[a||b||]]`  one of the alternatives, each as likely; an empty one leaves the part out. No nesting.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

from seqgpt_lab.documents.document import Entity

_ALTERNATIVES = re.compile(r"\[\[(.*?)\]\]", re.S)
_SLOT = re.compile(r"\{([^{}#!]+)(#\d+)?(!)?\}")
_DRAWS = 20
_BETWEEN = re.compile(r"^====$", re.M)


def read_templates(path: Path) -> tuple[str, ...]:
    """The templates of a text file, as they stand between lines that are exactly `====`; none where there is no text."""
    pieces = (piece.strip("\n") for piece in _BETWEEN.split(path.read_text(encoding="utf-8")))
    return tuple(piece for piece in pieces if piece.strip())


def choose(template: str, random: Random) -> str:
    """The template with every `[[…||…]]` replaced by one of its alternatives; slots are left in place."""
    return _ALTERNATIVES.sub(lambda match: random.choice(match.group(1).split("||")), template)


def slots(template: str) -> set[str]:
    """Names of all fields the template can draw."""
    return {match.group(1) for match in _SLOT.finditer(template)}


def map_literals(template: str, change: Callable[[str], str]) -> str:
    """The template with what stands before, between and after its slots changed, in this order; slots are left in place."""
    pieces: list[str] = []
    at = 0
    for match in _SLOT.finditer(template):
        pieces += [change(template[at : match.start()]), match.group(0)]
        at = match.end()
    return "".join([*pieces, change(template[at:])])


def fill(template: str, draw: Callable[[str], str]) -> tuple[str, list[Entity]]:
    """Fill the slots of a chosen template; `draw(field)` gives a fresh value. Returns the text and an Entity a distinct slot but `{…!}`."""
    values: dict[str, str] = {}
    pieces: list[str] = []
    entities: list[Entity] = []
    at = position = 0
    for match in _SLOT.finditer(template):
        literal = template[at : match.start()]
        slot, field = match.group(0), match.group(1)
        first = slot not in values
        if first:
            values[slot] = _unlike(values, draw, field)
        start = position + len(literal)
        position = start + len(values[slot])
        pieces += [literal, values[slot]]
        if first and not match.group(3):
            entities.append(Entity(field, start, position, values[slot]))
        at = match.end()
    return "".join([*pieces, template[at:]]), entities


def _unlike(values: dict[str, str], draw: Callable[[str], str], field: str) -> str:
    """A value that no other slot of the document has, so that no answer is ambiguous."""
    for _ in range(_DRAWS):
        value = draw(field)
        if value not in values.values():
            return value
    return value
