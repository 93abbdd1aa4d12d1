"""What a value is and where it lies in a text: spans, and fields that hold them. Knows not how they are found or shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Match = Literal["exact", "approximate", "unaligned"]


@dataclass(frozen=True, slots=True)
class Span:
    """A value as the model wrote it, and the code points [start, end) where the text holds it.

    match: `exact` when the text there reads the same; `approximate` when it differs only in full or half width (and other forms
    that Unicode calls compatible, such as `㎡` and `m2`, or é as one character and as e and its accent), in case, in white space or in
    characters nobody sees (zero-width spaces, soft hyphens); `unaligned` when it was not found, and only then start and end are None.
    confidence: 0 to 1, None when it was not measured.
    """

    text: str
    start: int | None
    end: int | None
    confidence: float | None = None
    match: Match = "exact"

    def __post_init__(self) -> None:
        placed = self.start is not None and self.end is not None and 0 <= self.start < self.end
        nowhere = self.start is None and self.end is None
        assert nowhere if self.match == "unaligned" else placed, f"a span cannot be {self.match} at [{self.start}, {self.end})"

    @property
    def certainty(self) -> float:
        """The confidence, for comparing; below all others where it was not measured."""
        return -1.0 if self.confidence is None else self.confidence

    def invented(self, text: str) -> bool:
        """Whether the value does not occur in the text at all (an unaligned repeat of a value that does is not invented)."""
        return self.match == "unaligned" and self.text not in text


@dataclass(frozen=True, slots=True)
class Field:
    """The values of one label, in the model's order; none when the model found the label absent."""

    label: str
    spans: tuple[Span, ...] = ()

    @property
    def unaligned(self) -> tuple[Span, ...]:
        """The values that were not found in the text."""
        return tuple(span for span in self.spans if span.match == "unaligned")

    @property
    def value(self) -> str | list[str] | None:
        """None without values, a string for one, a list for several."""
        texts = [span.text for span in self.spans]
        return texts if len(texts) > 1 else next(iter(texts), None)
