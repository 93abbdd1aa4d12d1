"""What is asked of a text: fields, the wording the model sees for each, and label-set files. Knows no prompt and no model."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from seqgpt_lab.errors import LabelError

_SEPARATORS = re.compile(r"[,，\n]")
_FORBIDDEN = {",": "the ASCII comma", "，": "the full-width comma", "\n": "a line break", "\r": "a line break", "\t": "a tab"}
_KEYS = {"field", "phrase", "synonyms", "multiple", "personal"}


@dataclass(frozen=True, slots=True)
class Label:
    """A field's name, which people see, and the phrase the model is asked with (the name, unless given).

    synonyms: other phrases worth trying. multiple: several values are expected. personal: its values identify a person.
    Raises LabelError for an empty name or phrase, or a character that the prompt or the answer uses as a separator.
    """

    field: str
    phrase: str = ""
    synonyms: tuple[str, ...] = ()
    multiple: bool = False
    personal: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "phrase", self.phrase or self.field)
        for text in (self.field, self.phrase, *self.synonyms):
            _check_phrase(text)


def _check_phrase(text: str) -> None:
    if not text.strip():
        raise LabelError(f"a label is {text!r}: empty; write at least one character")
    if text != text.strip():
        raise LabelError(f"the label {text!r} begins or ends with white space; write {text.strip()!r}")
    for character, name in _FORBIDDEN.items():
        if character in text:
            raise LabelError(f"the label {text!r} contains {name}, which separates labels or values; split it or use another wording")
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise LabelError(f"the label {text!r} contains a control character or half a character; type it again")


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
    def of(cls, labels: str | Sequence[str] | LabelSet) -> LabelSet:
        """A label set from what a caller has: one already, a list of names, or a string with commas (ASCII or full-width) or lines.

        Blanks around names and empty pieces between commas are typing, not labels; blanks inside a name (`job title`) stay.
        """
        if isinstance(labels, LabelSet):
            return labels
        if isinstance(labels, str):
            labels = [piece.strip() for piece in _SEPARATORS.split(labels) if piece.strip()]
        return cls(tuple(Label(name) for name in labels))

    @classmethod
    def load(cls, path: str | Path) -> LabelSet:
        """Read a YAML label set: `name`, `fields: [{field, phrase?, synonyms?, multiple?, personal?}]`.

        Raises LabelError for a file that is missing or not YAML, for unknown keys and for wrong types.
        """
        try:
            found = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise LabelError(f"the label set {path} cannot be read: {error.strerror}") from error
        except (yaml.YAMLError, ValueError) as error:  # bad UTF-8, and dates such as 2024-13-45, are plain ValueErrors
            raise LabelError(f"the label set {path} is not YAML in UTF-8: {error}") from error
        if not isinstance(found, dict) or not isinstance(found.get("fields"), list):
            raise LabelError(f"{path}: a label set is a mapping with a list called 'fields'")
        unknown = set(found) - {"name", "fields"}
        if unknown:
            raise LabelError(f"{path}: unknown keys {sorted(map(str, unknown))}; a label set has 'name' and 'fields'")
        labels = [_label(entry, f"{path}, field {number}") for number, entry in enumerate(found["fields"], 1)]
        return cls(tuple(labels), str(found.get("name", "")))


def _label(entry: Any, where: str) -> Label:
    if isinstance(entry, str):
        return Label(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("field"), str):
        raise LabelError(f"{where}: {entry!r} is not a name or a mapping with 'field'")
    unknown = set(entry) - _KEYS
    if unknown:
        raise LabelError(f"{where}: unknown keys {sorted(map(str, unknown))}; known are {sorted(_KEYS)}")
    synonyms = entry.get("synonyms") or []
    if not isinstance(synonyms, list) or not all(isinstance(word, str) for word in synonyms):
        raise LabelError(f"{where}: synonyms are {synonyms!r}; a list of phrases is needed")
    for flag in ("multiple", "personal"):
        if not isinstance(entry.get(flag, False), bool):
            raise LabelError(f"{where}: {flag} is {entry[flag]!r}; write true or false")
    phrase = entry.get("phrase") or ""
    if not isinstance(phrase, str):
        raise LabelError(f"{where}: phrase is {phrase!r}; a text is needed")
    return Label(entry["field"], phrase, tuple(synonyms), entry.get("multiple", False), entry.get("personal", False))
