"""Makes the bundled documents and label sets from the corpus's held-out templates: `python -m seqgpt_lab.embedded.bundle data`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import yaml

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.jsonl import write_jsonl
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kind import FAMILIES, Kind, Split
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.corpus.questions import meaning, written
from seqgpt_lab.extraction.align import Aligner
from seqgpt_lab.files import write_atomically

SIZES: dict[Split, int] = {"dev": 30, "test": 60}
_SEED = 20261122
_LEAST_PRESENT = 3
_PERSONAL_FAMILIES = {"person", "phone"}
_PERSONAL_NAMES = {"邮箱", "微信号", "身份证号", "收货地址", "收件地址"}


def documents(kind: Kind, split: Split, count: int) -> Iterator[Document]:
    """`count` documents of held-out templates and values, gold under the kind's canonical labels; the same every time.

    Left out: documents with fewer than three of their labels present, texts seen before, and those where a value also
    stands elsewhere, so that text alone would not tell which place is meant.
    """
    random = Random(f"{_SEED}/{kind.name}/{split}")
    seen: set[str] = set()
    while len(seen) < count:
        drawn = compose(kind, split, random, len(seen))
        gold = tuple(canonical_gold(drawn, kind))
        if drawn.text not in seen and len({entity.label for entity in gold}) >= _LEAST_PRESENT and _unambiguous(drawn.text, gold):
            seen.add(drawn.text)
            yield Document(drawn.id, drawn.text, gold, {**drawn.meta, "split": split})


def canonical_gold(document: Document, kind: Kind) -> Iterator[Entity]:
    """The entities of every canonical label in text order; a value that several fields share is marked once a label."""
    for label in kind.labels:
        met: set[str] = set()
        for entity in document.gold:
            if entity.label in meaning(label, kind) and written(entity.text) not in met:
                met.add(written(entity.text))
                yield Entity(label, entity.start, entity.end, entity.text)


def _unambiguous(text: str, gold: tuple[Entity, ...]) -> bool:
    aligner = Aligner(text)
    spans = [aligner.place([(written(entity.text), None)])[0] for entity in gold]
    return all((span.start, span.end) == (entity.start, entity.end) for span, entity in zip(spans, gold, strict=True))


def label_set(kind: Kind) -> str:
    """The kind's canonical label set as YAML."""
    fields = [_field(label, kind) for label in kind.labels]
    return yaml.safe_dump({"name": kind.title, "fields": fields}, allow_unicode=True, sort_keys=False, width=120)


def _field(label: str, kind: Kind) -> dict[str, object]:
    specs = [spec for spec in kind.fields if spec.name in meaning(label, kind)]
    family = next((phrases for phrases in FAMILIES.values() if label in phrases), None)
    synonyms = [phrase for phrase in (family or (specs[0].name, *specs[0].phrases)) if phrase != label]
    entry: dict[str, object] = {"field": label, "synonyms": synonyms}
    if family or label == "参会人员":
        entry["multiple"] = True
    if any(spec.family in _PERSONAL_FAMILIES or spec.name in _PERSONAL_NAMES for spec in specs):
        entry["personal"] = True
    return entry


def main(data: Path) -> None:
    """Write data/documents/<kind>.<split>.jsonl and data/labels/<kind>.yaml."""
    (data / "documents").mkdir(parents=True, exist_ok=True)
    (data / "labels").mkdir(parents=True, exist_ok=True)
    for kind in KINDS:
        write_atomically(data / "labels" / f"{kind.name}.yaml", label_set(kind))
        for split, count in SIZES.items():
            write_jsonl(data / "documents" / f"{kind.name}.{split}.jsonl", list(documents(kind, split, count)))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
