"""Labels as people type them or write them into files, before anything insists that they can be asked. Knows no model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import yaml

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.settings import read_yaml
from seqgpt_lab.errors import LabelError

_SEPARATORS = re.compile(r"[,，、\n]")
_ARROW = re.compile(r"[ \u3000]*(?:->|=>|→)[ \u3000]*")
_HAN = "\u2e80-\u2fdf\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_BLANKS_BY_HAN = re.compile(f"(?<=[{_HAN}])[ \u3000]+|[ \u3000]+(?=[{_HAN}])")
_KEYS = ("field", "phrase", "synonyms", "multiple", "personal")


@dataclass(frozen=True, slots=True)
class Draft:
    """A label that nothing has checked: the field's name, the phrase the model would be asked with (the name, unless given).

    synonyms: other phrases worth trying. multiple: several values are expected (False: at most one; None: nobody said). personal: its
    values identify a person.
    """

    field: str
    phrase: str = ""
    synonyms: tuple[str, ...] = ()
    multiple: bool | None = None
    personal: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "phrase", self.phrase or self.field)

    @classmethod
    def parse(cls, text: str) -> Draft:
        """`邮箱`, or `邮箱->email` (also `=>` and `→`) for a name and a phrase of its own; nothing else is taken away or read into it."""
        found = _ARROW.search(text)
        return cls(text[: found.start()], text[found.end() :]) if found else cls(text)

    @property
    def written(self) -> str:
        """The label as `parse` reads it: its name, with `→phrase` where the phrase is another."""
        return self.field if self.phrase == self.field else f"{self.field}→{self.phrase}"


def drafts_of(labels: str | Sequence[str] | Sequence[Draft]) -> tuple[Draft, ...]:
    """Drafts from what a caller has: a string as typed, a list of labels as `Draft.parse` reads them, or drafts already.

    In a string, commas (ASCII or full-width), `、` and line ends separate; blanks around labels and empty pieces are typing. Where none
    of these separates, blanks beside a Chinese character do (`姓名 年龄`); any other blank belongs to its label (`job title`).
    Raises LabelError for what has no order or more than names (a set, a mapping), and for what is in a list and no label.
    """
    if isinstance(labels, str):
        pieces = _SEPARATORS.split(_ARROW.sub("→", labels.strip()))
        if len(pieces) == 1:
            pieces = _BLANKS_BY_HAN.split(pieces[0])
        labels = [piece.strip() for piece in pieces if piece.strip()]
    if not is_list(labels):
        raise LabelError(f"the labels are a {type(labels).__name__}; give a string with commas, or a list such as ['姓名', '邮箱->email']")
    return tuple(map(_draft_of, labels))


def is_list(found: object) -> TypeGuard[Iterable[object]]:
    """Whether that gives one thing after another, as a list, a generator or a column of a table does.

    Python holds nobody to the types of labels and texts: of a mapping or a table only the names would be read, and a set has no order.
    """
    return isinstance(found, Iterable) and not isinstance(found, Mapping | set | frozenset) and getattr(found, "ndim", 1) == 1


def _draft_of(label: object) -> Draft:
    if not isinstance(label, str | Draft):
        raise LabelError(f"the label {label!r} is a {type(label).__name__}; a name, or a name and a phrase as '邮箱->email', is needed")
    return Draft.parse(str(label)) if isinstance(label, str) else label  # numpy's are texts of a class of their own, which YAML refuses


def read_label_file(path: str | Path) -> tuple[str, tuple[Draft, ...]]:
    """The name and drafts of a YAML label set: `name`, `fields: [{field, phrase?, synonyms?, multiple?, personal?}]`.

    Raises LabelError for a file that is missing or not YAML, for unknown keys and for wrong types; what the labels say is not judged.
    """
    try:
        found = read_yaml(path)
    except OSError as error:
        hint = "" if Path(path).suffix in {".yaml", ".yml"} else "; give the path of a .yaml file: `fields: [姓名, 年龄]` is enough for one"
        raise LabelError(f"the label set {path} cannot be read: {error.strerror}{hint}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise LabelError(f"the label set {path} is not YAML in UTF-8: {error}") from error
    if not isinstance(found, dict) or not isinstance(found.get("fields"), list):
        raise LabelError(f"{path}: a label set is a mapping with a list called 'fields'")
    unknown = set(found) - {"name", "fields"}
    if unknown:
        raise LabelError(f"{path}: unknown keys {sorted(map(str, unknown))}; a label set has 'name' and 'fields'")
    drafts = [_draft(entry, f"{path}, field {number}") for number, entry in enumerate(found["fields"], 1)]
    name = found.get("name", "")
    if name is None or isinstance(name, (dict, list)):
        raise LabelError(f"{path}: 'name' is {quoted(name, longest=60)}; give the label set's name, or leave the line out")
    return str(name), tuple(drafts)


def label_yaml(name: str, drafts: Sequence[Draft]) -> str:
    """The YAML text that `read_label_file` reads; keys that say nothing are left out."""
    fields = []
    for draft in drafts:
        entry: dict[str, object] = {"field": draft.field}
        if draft.phrase != draft.field:
            entry["phrase"] = draft.phrase
        if draft.synonyms:
            entry["synonyms"] = list(draft.synonyms)
        if draft.multiple is not None:
            entry["multiple"] = draft.multiple
        if draft.personal:
            entry["personal"] = True
        fields.append(entry)
    # Wide enough that no label is folded over two lines.
    return yaml.safe_dump({"name": name, "fields": fields}, allow_unicode=True, sort_keys=False, width=10_000)


def _draft(entry: Any, where: str) -> Draft:
    if isinstance(entry, str):
        return Draft(entry)
    if not isinstance(entry, dict) or not isinstance(entry.get("field"), str):
        raise LabelError(f"{where}: {entry!r} is not a name or a mapping with 'field'")
    unknown = set(entry) - set(_KEYS)
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
    return Draft(entry["field"], phrase, tuple(synonyms), entry.get("multiple"), entry.get("personal", False))
