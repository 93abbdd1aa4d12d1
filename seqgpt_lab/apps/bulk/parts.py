"""Keeps what a job has done in parts beside its output, so that a killed job goes on, and joins them at the end; knows no model."""

from __future__ import annotations

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from seqgpt_lab.documents.utf8 import json_line, without_halves
from seqgpt_lab.errors import OptionError, SeqGPTLabError
from seqgpt_lab.files import atomic_stream, write_atomically, write_json

Row = dict[str, Any]
"""row (from 0), id, values, spans, problems, error: one document of a job; error is null where it was read."""

SUFFIXES = (".jsonl", ".parquet")
_PART = re.compile(r"part-(\d{12})-(\d{9})\.jsonl")
_PARQUET_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Tally:
    """Rows of a whole job, those that failed, and those that were read with something to tell."""

    rows: int
    failed: int
    problems: int


class Parts:
    """The folder `OUT.parts` of a job: a file a chunk, each written whole; a context manager that keeps a second job out.

    A job that ends in an error before its first row leaves no folder behind.
    """

    def __init__(self, out: Path, about: Row, *, overwrite: bool = False) -> None:
        """about: what makes this job the same as one that was begun before, JSON-ready.

        Raises OptionError where the output exists (unless `overwrite`) or has a suffix that is not known, or where the parts are
        another job's.
        """
        if out.suffix.lower() not in SUFFIXES:
            raise OptionError(f"the output {out} must end in {' or '.join(SUFFIXES)}")
        self.out, self.folder = out, out.with_name(f"{out.name}.parts")
        self._joining = self.folder / "joining"
        if out.exists() and not overwrite and not self._joining.exists():
            raise OptionError(f"the output {out} exists; add --overwrite to replace it, or name another file")
        self._about = about
        self._lock: IO[bytes] | None = None
        self._others = False  # whether the folder is at work for another job

    def __enter__(self) -> Parts:
        try:
            self.folder.mkdir(exist_ok=True)
            self._lock = open(self.folder / "lock", "wb")
            self._keep_others_out(self._lock)
            self._check_same_job()
        except OSError as error:
            told = self._cannot_write(error)
            self.__exit__(type(told))
            raise told from error
        except OptionError:
            self.__exit__(OptionError)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *_error: object) -> None:
        if kind is not None and not self._others:
            self._leave_nothing()
        if self._lock is not None:
            self._lock.close()

    def _leave_nothing(self) -> None:
        """Remove a folder in which no row is done; whatever else lies in it stays. While the lock is held, so that it is nobody else's."""
        with suppress(OSError):
            if self._joining.exists() or any(self.folder.glob("part-*")):
                return
            for name in ("job.json", "lock") if self._lock is not None else ():
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()

    def _keep_others_out(self, lock: IO[bytes]) -> None:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A job that ended may have removed the file meanwhile, and a lock on that keeps nobody out.
            self._others = not os.path.samestat(os.fstat(lock.fileno()), (self.folder / "lock").stat())
        except (BlockingIOError, FileNotFoundError):
            self._others = True
        except OSError as error:
            raise OptionError(
                f"the file system of {self.folder} does not lock files ({error.strerror}), so two jobs could write at once; "
                "name an output on a local disk"
            ) from error
        if self._others:
            raise OptionError(f"another job is writing {self.out} just now; wait for it, or name another output")

    def _check_same_job(self) -> None:
        """Begin the job, anew where another one has done no row; raise OptionError where it has."""
        known = self.folder / "job.json"
        if not known.exists():
            write_json(known, self._about)
            return
        before = json.loads(known.read_text(encoding="utf-8"))
        differing = sorted(key for key in {*before, *self._about} if before.get(key) != json.loads(json.dumps(self._about)).get(key))
        if not differing:
            return
        if self.rows or self._joining.exists():
            raise OptionError(
                f"{self.folder} holds the parts of another job: {', '.join(differing)} differ; give the same input and options "
                "to go on with it, or remove that folder to begin again"
            )
        for path in self.folder.glob("part-*"):  # what another job did out of turn, after rows that it never did
            path.unlink()
        write_json(known, self._about)  # nothing is lost: a mistyped option, say, that ended the other job before its first row

    @property
    def rows(self) -> int:
        """How many rows, from the first on, are done."""
        return sum(rows for _, rows in self._files())

    def add(self, rows: Sequence[Row]) -> None:
        """Keep the next rows, whole or not at all. Raises SeqGPTLabError where the file system does not take them, as a full disk."""
        path = self.folder / f"part-{rows[0]['row']:012d}-{len(rows):09d}.jsonl"
        try:
            write_atomically(path, "".join(f"{json_line(row)}\n" for row in rows))
        except OSError as error:
            raise self._cannot_write(error) from error

    def join(self, labels: Sequence[str]) -> Tally:
        """Write the output of all parts, whole or not at all, and remove them. Raises SeqGPTLabError as `add` does."""
        try:
            self._joining.touch()
            with atomic_stream(self.out) as stream:
                tally = self._write_parquet(stream, labels) if self.out.suffix.lower() == ".parquet" else self._write_jsonl(stream)
        except OSError as error:
            raise self._cannot_write(error) from error
        self._remove()
        return tally

    def _remove(self) -> None:
        """Parts first, the last of them before the others, and then what says whose they are: a kill leaves no parts to another job."""
        for path in sorted(self.folder.glob("part-*"), reverse=True):
            path.unlink()
        self._joining.unlink()
        shutil.rmtree(self.folder)

    def _write_jsonl(self, stream: IO[bytes]) -> Tally:
        rows = failed = problems = 0
        for line in self._lines():
            stream.write(line)
            row = json.loads(line)
            rows, failed, problems = rows + 1, failed + (row["error"] is not None), problems + bool(row["problems"])
        return Tally(rows, failed, problems)

    def _write_parquet(self, stream: IO[bytes], labels: Sequence[str]) -> Tally:
        import pyarrow
        from pyarrow import parquet

        schema = _schema(labels)
        rows = failed = problems = 0
        with parquet.ParquetWriter(stream, schema) as writer:
            for batch in _batches(map(json.loads, self._lines()), _PARQUET_ROWS):
                rows += len(batch)
                failed += sum(row["error"] is not None for row in batch)
                problems += sum(bool(row["problems"]) for row in batch)
                writer.write_table(pyarrow.Table.from_pylist([_for_parquet(row) for row in batch], schema=schema))
        return Tally(rows, failed, problems)

    def _lines(self) -> Iterator[bytes]:
        for path, _ in self._files():
            with open(path, "rb") as stream:
                yield from stream

    def _files(self) -> list[tuple[Path, int]]:
        """The parts that follow one another from row 0, each with its number of rows."""
        found = sorted((path, match) for path in self.folder.iterdir() if (match := _PART.fullmatch(path.name)))
        files, done = [], 0
        for path, match in found:
            if int(match.group(1)) != done:
                break
            files.append((path, int(match.group(2))))
            done += int(match.group(2))
        return files

    def _cannot_write(self, error: OSError) -> SeqGPTLabError:
        with suppress(OSError):
            return SeqGPTLabError(
                f"cannot write to {self.folder}: {error.strerror}; {self.rows:,} rows are safe there: "
                "make room, and the same command goes on"
            )
        return SeqGPTLabError(f"cannot write to {self.folder}: {error.strerror}")


def _schema(labels: Sequence[str]) -> Any:
    import pyarrow

    texts = pyarrow.list_(pyarrow.string())
    place = [("label", pyarrow.string()), ("text", pyarrow.string()), ("start", pyarrow.int64()), ("end", pyarrow.int64())]
    span = pyarrow.struct([*place, ("confidence", pyarrow.float64()), ("match", pyarrow.string())])
    return pyarrow.schema(
        [
            ("row", pyarrow.int64()),
            ("id", pyarrow.string()),
            ("values", pyarrow.struct([(label, texts) for label in labels])),
            ("spans", pyarrow.list_(span)),
            ("problems", texts),
            ("error", pyarrow.string()),
        ]
    )


def _for_parquet(row: Row) -> Row:
    """The row in the types of `_schema`: a list of values a label, spans in one list; half characters, which Arrow has not, as U+FFFD."""
    spans = [{"label": label, **span} for label, spans in (row["spans"] or {}).items() for span in spans]
    values = None
    if row["values"] is not None:
        values = {label: [span["text"] for span in row["spans"][label]] for label in row["values"]}
    whole: Row = _without_halves({**row, "values": values, "spans": spans})
    return whole


def _without_halves(value: Any) -> Any:
    if isinstance(value, str):
        return without_halves(value)
    if isinstance(value, list):
        return [_without_halves(one) for one in value]
    return {key: _without_halves(one) for key, one in value.items()} if isinstance(value, dict) else value


def _batches(rows: Iterator[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
