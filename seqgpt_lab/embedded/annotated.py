"""Reads sets of annotated real text for training, and keeps a part of every set unseen; knows files and labels, no tokens.

The texts are not in this repository: which sets there can be, and what their labels are asked with, says data/training/annotated.yaml.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any

import yaml

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.documents.reading import read_bytes_as_text
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.errors import DocumentError
from seqgpt_lab.resources import bundled

LONGEST_TEXT = 400  # characters; longer ones would make training batches of one
LONGEST_VALUE = 40
_OVERLAP = "overlap_ids.txt"
_DESCRIPTION = ("training", "annotated.yaml")
UNKNOWN = "unknown"
"""What a document's meta calls the labels of `unknown_labels`."""

_LEAST_HELD_OUT_FIRST: tuple[Split, ...] = ("train", "dev", "test")
_SEPARATORS = frozenset("，,、\t\n")


@dataclass(frozen=True, slots=True)
class AnnotatedSet:
    """Documents of one source. phrases: for each label that may be asked, its wordings.

    exhaustive: a label that a text lacks is truly absent from it, so that it may be asked too; but not those that `unknown_labels` names.
    """

    name: str
    documents: tuple[Document, ...]
    phrases: Mapping[str, tuple[str, ...]]
    exhaustive: bool
    weight: float

    def wordings(self, label: str) -> tuple[str, ...]:
        return self.phrases.get(label, (label,))


class AnnotatedSets:
    """One split of all the sets under a directory."""

    def __init__(self, sets: Sequence[AnnotatedSet]) -> None:
        self.sets = tuple(sets)
        self._shares = list(accumulate(len(each.documents) * each.weight for each in self.sets))

    @classmethod
    def load(cls, directory: Path, split: Split = "train") -> AnnotatedSets:
        """Every known set that `directory` holds a folder of.

        Raises DocumentError when it holds none, or a set that lacks a file, has a line that is no annotated text, or no text of the split.
        """
        described = described_sets()["sets"]
        found = [_load(directory / name, entry, split) for name, entry in described.items() if (directory / name).is_dir()]
        if not found:
            raise DocumentError(f"{directory} holds none of the annotated sets this lab knows: {', '.join(described)}; one folder each")
        return cls(found)

    def summary(self) -> str:
        """How many texts each set has, and which of the known sets are not among them."""
        names = [each.name for each in self.sets]
        lacking = [name for name in described_sets()["sets"] if name not in names]
        counts = ", ".join(f"{each.name} {len(each.documents):,}" for each in self.sets)
        return counts + (f"; not there: {', '.join(lacking)}" if lacking else "")

    def draw(self, random: Random) -> tuple[AnnotatedSet, Document]:
        """A random text: sets by size and weight, texts of a set alike."""
        (chosen,) = random.choices(self.sets, cum_weights=self._shares)
        return chosen, random.choice(chosen.documents)


def described_sets() -> dict[str, Any]:
    """What data/training/annotated.yaml says."""
    described: dict[str, Any] = yaml.safe_load(bundled(*_DESCRIPTION).read_text(encoding="utf-8"))
    return described


def annotated_files(directory: Path) -> list[Path]:
    """What `AnnotatedSets.load` reads: of the sets that `directory` holds, and the description that comes with the lab."""
    described = described_sets()["sets"]
    files = [directory / name / file for name, entry in described.items() for file in (*entry["files"], _OVERLAP)]
    return [*filter(Path.is_file, files), bundled(*_DESCRIPTION)]


def split_of(identifier: str) -> Split:
    """Where a text belongs: a tenth of every set is `test`, another `dev`, by a hash of its id, the same on every machine.

    A text that has several ids belongs to the least held-out one of theirs.
    """
    bucket = int.from_bytes(hashlib.sha256(identifier.encode()).digest()[:4], "big") % 10
    return "test" if bucket == 0 else "dev" if bucket == 1 else "train"


def unknown_labels(document: Document) -> frozenset[str]:
    """Labels of which a document of an annotated set may have values that its gold does not hold."""
    return frozenset(document.meta.get(UNKNOWN, ()))


def _load(folder: Path, described: Mapping[str, Any], split: Split) -> AnnotatedSet:
    overlap = folder / _OVERLAP
    left_out = set(read_bytes_as_text(overlap).split()) if overlap.exists() else set()
    phrases: dict[str, list[str] | None] = described["labels"]
    unasked = {label for label, wordings in phrases.items() if wordings is None}
    documents = []
    for text, same in _by_text(folder / file for file in described["files"]).items():
        in_split = same.split == split and left_out.isdisjoint(same.ids)
        if in_split and 0 < len(text) <= LONGEST_TEXT:
            documents.append(_with_gold(same.united(text), unasked, phrases.keys() - same.marked))
    if not documents:
        raise DocumentError(f"{folder} has no text of the {split!r} split; is the set complete?")
    asked = {label: tuple(wordings) for label, wordings in phrases.items() if wordings is not None}
    return AnnotatedSet(folder.name, tuple(documents), asked, described["exhaustive"], described.get("weight", 1.0))


@dataclass(slots=True)
class _Same:
    """What a set's files say of one text, which may stand in them several times. marked: labels that any of the files marks at all."""

    ids: list[str] = field(default_factory=list)
    gold: list[Entity] = field(default_factory=list)
    marked: set[str] = field(default_factory=set)

    @property
    def split(self) -> Split:
        """The least held-out one of its ids: weights from when ids were split alone have seen it there, so it is held out for none."""
        return min(map(split_of, self.ids), key=_LEAST_HELD_OUT_FIRST.index)

    def united(self, text: str) -> Document:
        """With every value that is marked anywhere, under the first id of its split."""
        identifier = next(each for each in self.ids if split_of(each) == self.split)
        return Document(identifier, text, tuple(dict.fromkeys(self.gold)))


def _by_text(files: Iterable[Path]) -> dict[str, _Same]:
    """The texts of a set in the order of its files."""
    found: dict[str, _Same] = {}
    for file in files:
        documents = list(_read(file))
        # Files of one set may be annotated for different labels: of one that a file never marks its texts may well have values.
        marked = {entity.label for document in documents for entity in document.gold}
        for document in documents:
            same = found.setdefault(document.text, _Same())
            same.ids.append(document.id)
            same.gold += document.gold
            same.marked |= marked
    return found


def _read(path: Path) -> Iterator[Document]:
    """A file's documents; blank lines are skipped. Raises DocumentError naming the file, and the line where it is one that is at fault."""
    if not path.is_file():
        raise DocumentError(f"cannot read {path}: there is no such file; complete the set, or remove its folder to go without it")
    for number, line in enumerate(read_bytes_as_text(path).split("\n"), start=1):
        if line.strip():
            try:
                document = _document(json.loads(line))
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                fault = f"{error} is missing" if isinstance(error, KeyError) else error
                raise DocumentError(f"{path}, line {number} is no annotated text: {fault}; mend the line, or take it out") from error
            yield document


def _document(record: Any) -> Document:
    """Some sets carry keys of their own beside id, text and entities; they are not needed. Raises ValueError, TypeError or KeyError."""
    identifier, text, gold = record["id"], record["text"], tuple(Entity(**entity) for entity in record["entities"])
    for key, value in (("id", identifier), ("text", text), *(("label", entity.label) for entity in gold)):
        if not isinstance(value, str):
            raise TypeError(f"{key!r} is {quoted(value)}, not a string")
        value.encode()  # half of a character (a lone surrogate, which JSON can write) would end the training that meets it
    return Document(identifier, text, gold)


def _with_gold(document: Document, unasked: Set[str], unmarked: Set[str]) -> Document:
    """Without the labels that are not or cannot be asked, and without those that have an over-long value.

    unmarked: labels that no file of the document marks; they and those left out are unknown of it.
    """
    dropped = unasked | {entity.label for entity in document.gold if len(entity.text) > LONGEST_VALUE or _SEPARATORS & set(entity.label)}
    gold = tuple(sorted((entity for entity in document.gold if entity.label not in dropped), key=lambda entity: entity.start))
    return Document(document.id, document.text, gold, {UNKNOWN: sorted(dropped | unmarked)})
