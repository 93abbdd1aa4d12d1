"""What is asked of a text: fields, the wording the model sees for each, and label-set files. Knows no prompt and no model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from seqgpt_lab.documents.invisible import DIRECTION, STRAY
from seqgpt_lab.errors import LabelError
from seqgpt_lab.extraction.drafts import Draft, drafts_of, label_yaml, read_label_file
from seqgpt_lab.files import write_atomically

# What the prompt puts between labels, or the answer between lines and values.
RESERVED = {",": "the ASCII comma", "，": "the full-width comma", "\n": "a line break", "\r": "a line break", "\t": "a tab"}
# Copied along from pages and files, and then two labels look alike and are not. What words and emoji are spelt with stays.
_UNSEEN = re.compile(f"[{DIRECTION}{STRAY}]")


@dataclass(frozen=True, slots=True)
class Label(Draft):
    """A field's name, which people see, and the phrase the model is asked with (the name, unless given).

    synonyms: other phrases worth trying. multiple: several values are expected (False: at most one; None: nobody said). personal: its
    values identify a person.
    Raises LabelError for an empty name or phrase, or a character that the prompt or the answer uses as a separator.
    """

    def __post_init__(self) -> None:
        Draft.__post_init__(self)
        for text in (self.field, self.phrase, *self.synonyms):
            _check_phrase(text)

    @classmethod
    def checked(cls, draft: Draft) -> Label:
        """The draft as a label. Raises LabelError as the class does."""
        return draft if isinstance(draft, Label) else cls(*(getattr(draft, one.name) for one in fields(Draft)))


def unaskable(character: str) -> bool:
    """Whether a character is a control character, half a character or one that nobody sees, which no label may hold."""
    return unicodedata.category(character) in {"Cc", "Cs"} or _UNSEEN.match(character) is not None


def _check_phrase(text: str) -> None:
    if not text.strip():
        raise LabelError(f"a label is {text!r}: empty; write at least one character")
    if text != text.strip():
        raise LabelError(f"the label {text!r} begins or ends with white space; write {text.strip()!r}")
    for character, name in RESERVED.items():
        if character in text:
            raise LabelError(f"the label {text!r} contains {name}, which separates labels or values; split it or use another wording")
    if any(map(unaskable, text)):
        raise LabelError(f"the label {text!r} contains a control character, half a character or one that nobody sees; type it again")


@dataclass(frozen=True, slots=True)
class LabelSet:
    """Labels in the user's order. Raises LabelError when there are none, or when two share a field name or a phrase."""

    labels: tuple[Label, ...]
    name: str = ""

    def __post_init__(self) -> None:
        if not self.labels:
            raise LabelError("no labels were given; name at least one, for example 姓名")
        for what, names in (("labels", self.names), ("phrases", self.phrases)):
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise LabelError(f"the {what} {'、'.join(twice)} are given twice; keep each once")

    @property
    def names(self) -> tuple[str, ...]:
        """Field names, as results carry them."""
        return tuple(label.field for label in self.labels)

    @property
    def phrases(self) -> tuple[str, ...]:
        """The wordings the model sees."""
        return tuple(label.phrase for label in self.labels)

    @classmethod
    def of(cls, labels: str | Sequence[str] | Sequence[Draft] | LabelSet) -> LabelSet:
        """A label set from what a caller has: one already, a string as typed, or a list of labels (`drafts_of` says how they are read)."""
        return labels if isinstance(labels, LabelSet) else cls.checked(drafts_of(labels))

    @classmethod
    def checked(cls, drafts: Iterable[Draft], name: str = "") -> LabelSet:
        """Drafts as a label set. Raises LabelError for drafts that cannot be asked; `lint` tells them all, with a fix for each."""
        return cls(tuple(Label.checked(draft) for draft in drafts), name)

    @classmethod
    def load(cls, path: str | Path) -> LabelSet:
        """Read a YAML label set: `name`, `fields: [{field, phrase?, synonyms?, multiple?, personal?}]`.

        Raises LabelError for a file that is missing or not YAML, for unknown keys and for wrong types.
        """
        name, drafts = read_label_file(path)
        return cls.checked(drafts, name)

    def to_yaml(self) -> str:
        """The label set as the YAML text that `load` reads."""
        return label_yaml(self.name, self.labels)

    def save(self, path: str | Path) -> None:
        """Write `to_yaml()` to a file, whole or not at all. Raises OSError."""
        write_atomically(path, self.to_yaml())

    def reworded(self, phrases: Mapping[str, str]) -> LabelSet:
        """The same fields with other phrases, by field name; fields left out keep theirs. Raises LabelError for unknown fields."""
        self.check_known(phrases)
        return replace(self, labels=tuple(replace(label, phrase=phrases.get(label.field, label.phrase)) for label in self.labels))

    def reordered(self, names: Sequence[str]) -> LabelSet:
        """The same labels in this order of field names. Raises LabelError unless each name is there exactly once."""
        self.check_known(names)
        if sorted(names) != sorted(self.names):
            raise LabelError(f"the order {list(names)} does not name each of {list(self.names)} once; name every field once")
        by_name = {label.field: label for label in self.labels}
        return replace(self, labels=tuple(by_name[name] for name in names))

    def check_known(self, names: Iterable[str]) -> None:
        """Raise LabelError for names that no field has."""
        unknown = [name for name in names if name not in self.names]
        if unknown:
            raise LabelError(f"there are no fields {unknown}; the label set has {list(self.names)}")
