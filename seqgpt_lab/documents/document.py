"""What a labelled document is: text, gold entities with code-point offsets, free metadata. Knows no model and no file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from seqgpt_lab.documents.offsets import hint
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError


@dataclass(frozen=True, slots=True)
class Entity:
    """A gold value of `label` at code points [start, end) of its document's text."""

    label: str
    start: int
    end: int
    text: str

    def moved(self, by: int) -> Entity:
        """The same value, so many code points further on in a text."""
        return replace(self, start=self.start + by, end=self.end + by)


@dataclass(frozen=True, slots=True)
class Document:
    """A text with the entities that are marked in it; `gold` is in the order of the file, spans may overlap.

    Raises DocumentError when an entity's offsets do not enclose its text.
    """

    id: str
    text: str
    gold: tuple[Entity, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entity in self.gold:
            found = self.text[entity.start : entity.end] if 0 <= entity.start < entity.end else ""
            if found != entity.text:
                raise DocumentError(
                    f"document {quoted(self.id)}: the entity {entity.label!r} says {quoted(entity.text)} at "
                    f"[{entity.start}, {entity.end}), but the text there reads {quoted(found)}; offsets are code points, end exclusive"
                    + hint(self.text, entity.start, entity.end, entity.text)
                )
