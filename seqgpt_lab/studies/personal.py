"""Notes which values of a run are personal, so that pages made of it can mask them; masks nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from seqgpt_lab.documents.document import Document
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.files import write_json
from seqgpt_lab.studies.run_files import PERSONAL


def record_personal(
    run_dir: str | Path, labels: LabelSet, documents: Iterable[Document] = (), extractions: Iterable[Extraction] = ()
) -> None:
    """Add the values, gold and extracted, of all fields that `labels` marks personal to `<run_dir>/personal.json`.

    Fields without values are named there too. An empty `run_dir` means nowhere. Raises OSError, and ValueError for a broken file.
    """
    if not run_dir:
        return
    path = Path(run_dir) / PERSONAL
    names = [label.field for label in labels.labels if label.personal]
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = {name: set(known.get(name, ())) for name in [*known, *names]}
    for label, value in (*_gold(documents), *_extracted(extractions)):
        if label in names:
            found[label].add(value)
    write_json(path, {name: sorted(values) for name, values in found.items()})


def _gold(documents: Iterable[Document]) -> Iterator[tuple[str, str]]:
    return ((entity.label, entity.text) for document in documents for entity in document.gold)


def _extracted(extractions: Iterable[Extraction]) -> Iterator[tuple[str, str]]:
    """Values as the model wrote them, and as the text has them."""
    for extraction in extractions:
        for field in extraction.fields:
            for span in field.spans:
                yield field.label, span.text
                if span.start is not None and span.end is not None:
                    yield field.label, extraction.text[span.start : span.end]
