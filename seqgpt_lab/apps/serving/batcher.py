"""Fills an engine's batches from many callers at once, in one thread: bounded, fair, and deaf to those who left. Knows ids only."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from seqgpt_lab.engine.decode import Completion, Request
from seqgpt_lab.errors import SeqGPTLabError
from seqgpt_lab.extraction.extractor import Generates

_LONGEST_ADVICE = 60


class BusyError(SeqGPTLabError):
    """The queue is full. retry_after: seconds after which there is likely to be room."""

    def __init__(self, queued: int, capacity: int, retry_after: int) -> None:
        super().__init__(f"{queued} prompts are waiting, the most is {capacity}; try again in {retry_after} s")
        self.retry_after = retry_after


class ClosedError(SeqGPTLabError):
    """The engine is being shut down and takes nothing new."""


@dataclass(slots=True, eq=False)
class _Job:
    """A caller's requests; `taken` of them have gone into batches. A caller that lost interest cancels `future`."""

    requests: Sequence[Request]
    future: Future[list[Completion]] = field(default_factory=Future)
    taken: int = 0
    found: dict[int, Completion] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return 0 if self.future.done() else len(self.requests) - self.taken


_Place = tuple[_Job, int]


class Batcher:
    """One thread that owns an engine. batch_size: most requests decoded together; capacity: most that wait.

    observe: called with the size and the seconds of each batch.
    """

    def __init__(
        self, engine: Generates, *, batch_size: int, capacity: int, observe: Callable[[int, float], None] = lambda size, seconds: None
    ) -> None:
        self.engine, self.batch_size, self.capacity, self._observe = engine, batch_size, capacity, observe
        self._jobs: list[_Job] = []
        self._changed = threading.Condition()
        self._closing = False
        self._seconds_each = 0.0  # of the last batch
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait for a batch."""
        with self._changed:
            return self._waiting()

    def submit(self, requests: Sequence[Request]) -> Future[list[Completion]]:
        """A future of one completion a request, in order; cancelling it frees its place at once.

        Where nothing waits, any number is taken. Raises BusyError when the queue has no room, ClosedError after `close`.
        """
        job = _Job(tuple(requests))
        if not requests:
            job.future.set_result([])
            return job.future
        with self._changed:
            waiting = self._waiting()
            if self._closing:
                raise ClosedError("the server is shutting down; ask again when it is back")
            if waiting and waiting + len(requests) > self.capacity:
                raise BusyError(waiting, self.capacity, min(_LONGEST_ADVICE, max(1, math.ceil(waiting * self._seconds_each))))
            self._jobs.append(job)
            self._changed.notify()
        return job.future

    def close(self) -> None:
        """Take nothing new, answer what was taken, end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _waiting(self) -> int:
        return sum(job.waiting for job in self._jobs)

    def _work(self) -> None:
        while batch := self._next_batch():
            begun = time.perf_counter()
            self._answer(batch)
            seconds = time.perf_counter() - begun
            self._seconds_each = seconds / len(batch)
            self._observe(len(batch), seconds)

    def _next_batch(self) -> list[_Place]:
        """Requests of the callers in turn, so that a long document does not keep the others waiting; none after `close`."""
        with self._changed:
            while True:
                self._jobs = [job for job in self._jobs if job.waiting]
                if self._jobs:
                    break
                if self._closing:
                    return []
                self._changed.wait()
            batch: list[_Place] = []
            while len(batch) < self.batch_size and (open_jobs := [job for job in self._jobs if job.waiting]):
                for job in open_jobs[: self.batch_size - len(batch)]:
                    batch.append((job, job.taken))
                    job.taken += 1
            self._jobs = self._jobs[1:] + self._jobs[:1]
            return batch

    def _answer(self, batch: Sequence[_Place]) -> None:
        """Decode a batch. Where it fails, each of its requests is tried alone, so that one caller's trouble is not another's."""
        try:
            completions = self.engine.generate([job.requests[at] for job, at in batch])
        except Exception as error:
            if len(batch) == 1:
                _settle(batch[0][0], error)
            else:
                for place in batch:
                    self._answer([place])
            return
        for (job, at), completion in zip(batch, completions, strict=True):
            job.found[at] = completion
            if len(job.found) == len(job.requests):
                _settle(job, [job.found[index] for index in range(len(job.requests))])


def _settle(job: _Job, outcome: list[Completion] | Exception) -> None:
    """Give a job its outcome, unless it has one or its caller has left."""
    if job.future.done() or not job.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)
