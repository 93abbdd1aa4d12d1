"""Runs a job: chunks of a source through an extractor, here or on a cluster, into parts, in input order. Knows no file format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from seqgpt_lab.apps.bulk.parts import Parts, Row
from seqgpt_lab.apps.bulk.sources import Item, Source
from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import CapacityError, LogitsError, SeqGPTLabError, WorkerError
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.progress import Progress

CHUNK_CHARACTERS = 100_000
"""A chunk ends where its texts are longer than this together: long documents do not pile up in memory, a kill costs minutes and not an
hour, and progress is told as often. That is hundreds of windows, which fill any batch."""

_OF_A_DOCUMENT = (CapacityError, LogitsError, WorkerError)  # one document may be the cause
_HARMLESS = Document("harmless", "。")
"""What no engine that works can fail on."""

Chunk = list[Item]


@dataclass(frozen=True, slots=True)
class Done:
    """The rows of a chunk, and the bytes of the input read up to its end."""

    rows: list[Row]
    read: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done: the rows of a source from row `skip` on, in chunks."""

    source: Source
    skip: int
    rows_per_chunk: int

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in order; the same plan always gives the same."""
        return chunked(self.source.items(self.skip), self.rows_per_chunk)


Work = Callable[[Plan], Iterator[Done]]
"""Does a plan's chunks, in their order."""


def run_job(plan: Plan, parts: Parts, work: Work, progress: Progress | None = None) -> None:
    """Do what is planned, and keep it chunk by chunk.

    progress: called after each chunk with the documents done in this run and about how many it will be, by the bytes of all rows so far.
    """
    done = 0
    for chunk in work(plan):
        parts.add(chunk.rows)
        done += len(chunk.rows)
        if progress:
            rows = round((plan.skip + done) * plan.source.bytes / chunk.read) if chunk.read > 0 else 0
            progress(done, max(done, rows - plan.skip))


def work_here(extractor: Extractor, labels: LabelSet, plan: Plan) -> Iterator[Done]:
    """One chunk after another, by an extractor in this process."""
    for chunk in plan.chunks():
        yield extract_chunk(extractor, labels, chunk)


def chunked(items: Iterable[Item], rows: int) -> Iterator[Chunk]:
    """The items in order, at most `rows` and about CHUNK_CHARACTERS together; the same items always give the same chunks."""
    chunk: Chunk = []
    characters = 0
    for item in items:
        chunk.append(item)
        characters += len(item.text or "")
        if len(chunk) == rows or characters >= CHUNK_CHARACTERS:
            yield chunk
            chunk, characters = [], 0
    if chunk:
        yield chunk


def extract_chunk(extractor: Extractor, labels: LabelSet, chunk: Sequence[Item]) -> Done:
    """One row an item, in order. A document that takes a batch down is found by asking each alone, and has its reason in its row.

    Raises SeqGPTLabError where no document is to blame, for the engine fails on any: as when its workers can no longer be started.
    """
    readable = [item for item in chunk if item.text is not None]
    try:
        found = {item.row: row for item, row in zip(readable, _extracted(extractor, labels, readable), strict=True)}
    except _OF_A_DOCUMENT:
        found = {item.row: _alone(extractor, labels, item) for item in readable}
    return Done([found.get(item.row) or failure(item, item.failure) for item in chunk], chunk[-1].read)


def _extracted(extractor: Extractor, labels: LabelSet, items: Sequence[Item]) -> list[Row]:
    results = extractor.extract([Document(item.id, item.text or "") for item in items], labels)
    rows = [{"row": item.row, **result.to_record(), "error": None} for item, result in zip(items, results, strict=True)]
    for item, row in zip(items, rows, strict=True):
        row["problems"] = [*filter(None, (item.note,)), *row["problems"]]
    return rows


def _alone(extractor: Extractor, labels: LabelSet, item: Item) -> Row:
    try:
        return _extracted(extractor, labels, [item])[0]
    except _OF_A_DOCUMENT as error:
        _check_engine(extractor, labels)
        return failure(item, str(error))


def _check_engine(extractor: Extractor, labels: LabelSet) -> None:
    """Raise SeqGPTLabError where the engine fails whatever it is asked: it would make failures of all documents that are left."""
    try:
        extractor.extract(_HARMLESS, labels)
    except _OF_A_DOCUMENT as error:
        raise SeqGPTLabError(
            f"the engine fails on any text now, so the job ends here: {error}; rows that are done are kept, and the same command goes on"
        ) from error


def failure(item: Item, reason: str) -> Row:
    """The row of a document that could not be read."""
    return {"row": item.row, "id": item.id, "values": None, "spans": None, "problems": [], "error": reason}
