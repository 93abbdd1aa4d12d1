"""Finds the documents and label sets of a study and notes what it read; knows no model and scores nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas

from seqgpt_lab.documents.formats import load_documents, read_documents
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.files import sha256_of, write_json
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.display import Prose, counted, plain
from seqgpt_lab.studies.models import model_record
from seqgpt_lab.studies.personal import record_personal
from seqgpt_lab.studies.run_files import INPUTS

if TYPE_CHECKING:
    from seqgpt_lab.documents.document import Document
    from seqgpt_lab.engine.engine import Engine


@dataclass(frozen=True, slots=True)
class Source:
    """One kind of document: a file of labelled documents and the label set to ask for."""

    kind: str
    documents: Path
    labels: Path

    def load(self, complete: bool = True) -> list[Document]:
        """Its documents with their gold, which a table has in columns called as the label set's fields.

        complete: whether a table must have all of those columns. Raises DocumentError and LabelError for files that cannot be used.
        """
        return load_documents(self.documents, gold=LabelSet.load(self.labels).names, complete=complete)


def find_sources(
    documents: Sequence[str | Path] = (),
    kinds: Sequence[str] = (),
    split: str = "test",
    labels: str | Path = "",
    run_dir: str | Path = "",
) -> list[Source]:
    """What to evaluate: files of one's own, or the bundled documents of these kinds (all without any) and this split.

    A file's kind is its name up to the first dot. labels: a folder with `<kind>.yaml` for each kind, or one label set for all;
    empty: the bundled folder. In order of the files given, else of the kinds given, else by name. run_dir: where it is noted which
    gold values are personal, before anything can show or quote them; empty: nowhere.
    Raises OptionError when both files and kinds are given, DocumentError and LabelError naming what is missing and what exists.
    """
    if documents and kinds:
        raise OptionError(f"documents are {list(documents)} and kinds {list(kinds)}: give files of your own or bundled kinds, not both")
    files = [_own_file(Path(path)) for path in documents] or _bundled_files(kinds, split)
    sources = [Source(path.name.split(".")[0], path, _label_set(path, Path(labels) if labels else bundled("labels"))) for path in files]
    names = [source.kind for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise OptionError(f"the kinds {repeated} are given more than once; a file's kind is its name up to the first dot, rename one")
    _note_personal(run_dir, sources)
    return sources


def find_source(file: str, kind: str, split: str, labels: str | Path = "", run_dir: str | Path = "") -> Source:
    """A file of one's own or, where none is given, the bundled documents of this kind and split; else as `find_sources`."""
    (source,) = find_sources([file] if file else [], [] if file else [kind], split, labels, run_dir)
    return source


def first(documents: Sequence[Document], limit: int, name: str = "limit") -> list[Document]:
    """The first `limit` documents; 0: all. name: of the parameter that says how many. Raises OptionError for a negative limit."""
    if limit < 0:
        raise OptionError(f"{name} is {limit}; it must be 0 (all documents) or more")
    return list(documents[: limit or None])


def source_table(sources: Iterable[Source], limit: int = 0, asked: Sequence[str] = ()) -> pandas.DataFrame:
    """One row a source: kind, documents (how many are used), gold values in these of the fields asked for, these fields, and the files.

    limit: only the first so many documents of each are used; 0: all. asked: the fields, where they are not all of the label set's.
    Raises OptionError for a negative limit.
    """
    rows = []
    for source in sources:
        documents, fields = first(source.load(), limit), asked or LabelSet.load(source.labels).names
        rows.append(
            {
                "kind": source.kind,
                "documents": len(documents),
                "gold values": _gold_values(fields, documents),
                "fields": "、".join(fields),
                # In one column: two file names side by side leave a page no room for the fields.
                "files": f"{source.documents.name} {source.labels.name}",
            }
        )
    return pandas.DataFrame(rows)


def about_sources(sources: Sequence[Source], limit: int = 0, asked: Sequence[str] = ()) -> Prose:
    """What is about to be evaluated, and whether it was made up, in sentences. limit, asked, errors as in `source_table`."""
    loaded = {source.kind: source.load() for source in sources}
    taken = {kind: first(documents, limit) for kind, documents in loaded.items()}
    gold = {source.kind: _gold_values(asked or LabelSet.load(source.labels).names, taken[source.kind]) for source in sources}
    used, there = (sum(map(len, each.values())) for each in (taken, loaded))
    if used == there:
        which = counted(there, "document")
    elif len(loaded) == 1:
        which = f"the first {used:,} of {counted(there, 'document')},"
    else:
        which = f"{used:,} of {counted(there, 'document')} (at most the first {limit:,} of each kind),"
    text = f"{counted(len(loaded), 'kind')} of documents, {which} with {counted(sum(gold.values()), 'gold value')}"
    if len(gold) > 1:
        fewest = min(gold, key=lambda kind: gold[kind])
        text += f"; fewest in {plain(fewest)} ({gold[fewest]})"
    return Prose(f"{text}.{_made_up(sources)}")


def _gold_values(fields: Sequence[str], documents: Iterable[Document]) -> int:
    """Those that a score rests on: gold of a field that is not asked for counts nowhere, and what is marked twice counts once."""
    return sum(len({entity for entity in document.gold if entity.label in fields}) for document in documents)


def _made_up(sources: Sequence[Source]) -> str:
    """A sentence on those that come with the lab: who reads a score on a page cannot see that nobody ever wrote these documents."""
    folder = bundled("documents").resolve()
    kinds = [source.kind for source in sources if folder in source.documents.resolve().parents]
    if not kinds:
        return ""
    which = "These documents" if len(kinds) == len(sources) else f"The documents of {', '.join(map(plain, kinds))}"
    return f" {which} come with the lab: a program made them and marked the values in them, nobody collected them."


def record_inputs(run_dir: str | Path, engine: Engine, sources: Iterable[Source], others: Iterable[Path] = ()) -> None:
    """Note in `<run_dir>/inputs.json` which model and files a study reads, each with its SHA-256; an empty `run_dir` means nowhere.

    others: files that it reads beside the sources'. The record of the run takes them from there. Which gold values are personal is
    noted beside it, where `find_sources` did not.
    """
    if not run_dir:
        return
    sources = list(sources)
    files = dict.fromkeys([*(path for source in sources for path in (source.documents, source.labels)), *others])
    data = [{"path": str(path), "sha256": sha256_of(path)} for path in files]
    write_json(Path(run_dir) / INPUTS, {"model": model_record(engine), "data": data})
    _note_personal(run_dir, sources)


def _note_personal(run_dir: str | Path, sources: Iterable[Source]) -> None:
    """Note the personal gold values of what can be read, for the page to mask. What cannot is left to whoever reads it in earnest."""
    for source in sources if run_dir else ():
        with suppress(LabelError):
            labels = LabelSet.load(source.labels)
            record_personal(run_dir, labels)
            with suppress(DocumentError):
                record_personal(run_dir, labels, read_documents(source.documents, gold=labels.names, complete=False).documents)


def _own_file(path: Path) -> Path:
    if not path.is_file():
        raise DocumentError(f"there is no file of documents at {path}; give the path of a .jsonl file")
    return path


def _bundled_files(kinds: Sequence[str], split: str) -> list[Path]:
    folder = bundled("documents")
    found = {path.name.split(".")[0]: path for path in sorted(folder.glob(f"*.{split}.jsonl"))}
    if not found:
        splits = sorted({path.name.split(".")[1] for path in folder.glob("*.*.jsonl")})
        raise DocumentError(f"there are no bundled documents of split {split!r}; there are {splits}")
    unknown = [kind for kind in kinds if kind not in found]
    if unknown:
        raise DocumentError(f"there are no bundled documents of kinds {unknown} in split {split!r}; there are {sorted(found)}")
    return [found[kind] for kind in kinds or found]


def _label_set(documents: Path, labels: Path) -> Path:
    path = labels if labels.is_file() else labels / f"{documents.name.split('.')[0]}.yaml"
    if not path.is_file():
        raise LabelError(f"{documents.name} has no label set at {path}; give a folder with that file, or one label set for all documents")
    return path
