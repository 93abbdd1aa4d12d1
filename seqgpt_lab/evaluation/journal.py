"""Keeps the extractions of a long evaluation in a file as they are made, so that a killed one goes on from there; scores nothing.

A journal is JSON lines: a header that says what the extractions are made with, then one line a document, in the documents' order, with
the SHA-256 of the text that was read. Lines are added a batch at a time and synced; whatever strikes, at most the batch in flight is
lost. Batches have fixed borders (the first `batch` documents, the next ones, …), so that a continued evaluation asks the model exactly as
an uninterrupted one does. Nobody else writes meanwhile: documents that are there twice would make the journal worthless.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError, OptionError
from seqgpt_lab.evaluation.evaluate import Extracts, Labels
from seqgpt_lab.evaluation.records import extraction_record, read_extraction
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.files import naming
from seqgpt_lab.progress import Progress

_FORMAT = 2
_FIX = "delete it to start anew, or name another file"


class JournaledExtractor(Generic[Labels]):
    """An extractor that writes each finished batch of documents into a journal, and does not ask again for what the journal holds.

    made_with: what decides the answers (model, labels, limits), JSON-ready; a journal made with anything else is refused.
    batch: documents extracted, written and synced together, at least 1. taken_over: how many extractions the last call found in the
    journal. Raises OptionError for a smaller batch.
    """

    def __init__(self, extractor: Extracts[Labels], path: str | Path, made_with: Mapping[str, Any], batch: int = 32) -> None:
        if batch < 1:
            raise OptionError(f"batch is {batch}; a batch holds at least 1 document")
        self.extractor, self.path, self.batch, self.taken_over = extractor, Path(path), batch, 0
        self.header = json.loads(json.dumps({"format": _FORMAT, "batch": batch, "made_with": made_with}))

    def extract(self, documents: Sequence[Document], labels: Labels, /, *, progress: Progress | None = None) -> list[Extraction]:
        """One extraction a document, in their order, from the journal or else from the extractor. progress: in documents.

        Raises DocumentError when the journal belongs to other documents or other texts of them, or was made otherwise, or when another
        evaluation is writing it, and leaves it as it was; OSError when it cannot be written.
        """
        with _alone(self.path):
            return self._extract(documents, labels, progress)

    def _extract(self, documents: Sequence[Document], labels: Labels, progress: Progress | None) -> list[Extraction]:
        extractions = self._begin(documents)
        self.taken_over = len(extractions)
        while len(extractions) < len(documents):
            done, chunk = len(extractions), documents[len(extractions) : len(extractions) + self.batch]
            inner = None if progress is None else _scaled(progress, done, len(chunk), len(documents))
            found = self.extractor.extract(chunk, labels, progress=inner)
            self._append("".join(map(_entry, found)))
            extractions += found
            if progress is not None:
                progress(len(extractions), len(documents))
        return extractions

    def _append(self, lines: str) -> None:
        with naming(self.path), open(self.path, "ab") as stream:
            stream.write(lines.encode("ascii"))
            stream.flush()
            os.fsync(stream.fileno())

    def _begin(self, documents: Sequence[Document]) -> list[Extraction]:
        """What whole batches the journal holds; what is torn or half a batch is cut off. Writes the header where there is none."""
        lines, header = _whole_lines(self.path), _line(self.header).encode("ascii")
        if not lines:
            if self.path.exists() and not header.startswith(self.path.read_bytes()):  # a beginning of it is a header that was torn
                raise DocumentError(f"{self.path} is no journal (it holds no whole line); name another file")
            with naming(self.path):
                self.path.write_bytes(header)
            return []
        self._check_header(lines[0])
        if len(lines) - 1 > len(documents):
            raise DocumentError(f"{self.path} holds {len(lines) - 1} documents, {len(documents)} were given; {_FIX}")
        whole = len(documents) if len(lines) - 1 == len(documents) else (len(lines) - 1) // self.batch * self.batch
        kept = [self._read(line, document) for line, document in zip(lines[1 : whole + 1], documents, strict=False)]
        os.truncate(self.path, sum(map(len, lines[: whole + 1])))
        return kept

    def _check_header(self, line: bytes) -> None:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DocumentError(f"{self.path} is no journal ({error}); name another file") from error
        if not _is_header(found):
            raise DocumentError(f"{self.path} is no journal (its first line is no header); name another file")
        if found != self.header:
            told = differences(*map(_flat, (found, self.header)))
            raise DocumentError(f"{self.path} was made otherwise: {told}; {_FIX}")

    def _read(self, line: bytes, document: Document) -> Extraction:
        try:
            record = json.loads(line)
            extraction, read = read_extraction(record, document.text), record["text_sha256"]
        except (ValueError, TypeError, KeyError, AttributeError, AssertionError) as error:
            raise DocumentError(f"{self.path} holds a line that is no extraction ({error!r}); {_FIX}") from error
        if extraction.document_id != document.id:
            raise DocumentError(
                f"{self.path} holds {quoted(extraction.document_id)} in place of {quoted(document.id)}; "
                f"it belongs to other documents: {_FIX}"
            )
        if read != (given := _sha256(document.text)):
            raise DocumentError(f"{self.path} was made from another text of {quoted(document.id)} (SHA-256 {read}, now {given}); {_FIX}")
        return extraction


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keep all others out of a journal, which is there from now on; the system lets them in however this process ends.

    Raises DocumentError while it is another's. Where the file system does not lock files, nobody is kept out.
    """
    with naming(path):
        stream = open(path, "ab")  # noqa: SIM115 - held as long as the lock
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DocumentError(f"another evaluation is writing {path} just now; wait for it, or name another file") from None
        except OSError:
            pass
        yield


def _whole_lines(path: Path) -> list[bytes]:
    """The lines of the file with their ends; a last one without an end was torn and is left out. None without a file."""
    if not path.exists():
        return []
    return [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record) + "\n"


def _entry(extraction: Extraction) -> str:
    return _line({**extraction_record(extraction), "text_sha256": _sha256(extraction.text)})


def _sha256(text: str) -> str:
    # Texts may hold half characters, which are no UTF-8 otherwise.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is_header(found: Any) -> bool:
    return isinstance(found, dict) and isinstance(found.get("made_with"), dict)


def _flat(header: Mapping[str, Any]) -> dict[str, Any]:
    return {**header["made_with"], "format": header.get("format"), "batch": header.get("batch")}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What differs between what something was made with and what it is now, by name, with both values."""
    names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
    return "; ".join(f"{name} was {found.get(name)!r} and is {wanted.get(name)!r}" for name in names)


def _scaled(progress: Progress, done: int, chunk: int, total: int) -> Progress:
    """Progress of a batch (in whatever unit) as progress in documents."""
    return lambda part, whole: progress(done + chunk * part // max(whole, 1), total)
