"""Keeps an engine busy with the requests of many callers, in one thread: bounded, fair, and deaf to those who left. Knows ids only.

Requests join those at work as soon as a row of the engine is free, and each caller has his answer as soon as it is complete.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from seqgpt_lab.engine.decode import Finish, More, Numbered
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import SeqGPTLabError

_LONGEST_ADVICE = 60
_TURN = 4  # requests of a caller taken in a row: those that share a text come together, so that it is computed once
_REMEMBERED = 64  # completions, from which the rate is told


class Serves(Protocol):
    """What a batcher needs of an engine."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]: ...

    def serve(self, more: More, finish: Finish) -> None: ...

    def wake(self) -> None: ...


class BusyError(SeqGPTLabError):
    """The queue has no room now. retry_after: seconds after which there is likely to be room."""

    def __init__(self, queued: int, asked: int, capacity: int, retry_after: int) -> None:
        super().__init__(
            f"{queued:,} prompts are waiting, {asked:,} more are asked for and the queue takes {capacity:,}; try again in {retry_after} s"
        )
        self.retry_after = retry_after


class TooLargeError(SeqGPTLabError):
    """More prompts in one lot than the queue ever takes."""

    def __init__(self, prompts: int, capacity: int) -> None:
        super().__init__(
            f"this comes to {prompts:,} prompts or more (windows of the texts, times groups of labels) and the queue takes {capacity:,}; "
            "send shorter texts, fewer labels or fewer texts at once, or have the server started with a larger --queue"
        )


class ClosedError(SeqGPTLabError):
    """The engine is being shut down and takes nothing new."""


@dataclass(slots=True, eq=False)
class _Job:
    """A caller's requests; `taken` of them are at work or complete. A caller that lost interest cancels `future`."""

    requests: Sequence[Request]
    future: Future[list[Completion]] = field(default_factory=Future)
    taken: int = 0
    found: dict[int, Completion] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        return 0 if self.future.done() else len(self.requests) - self.taken


@dataclass(frozen=True, slots=True)
class _Place:
    """A request at work: the `at`th of a job, since `begun` (time.perf_counter)."""

    job: _Job
    at: int
    begun: float

    @property
    def request(self) -> Request:
        return self.job.requests[self.at]


class Batcher:
    """One thread that owns an engine. capacity: most requests that wait for a row of it.

    observe: called with the seconds from a request's start to its completion, and how many are at work with it then.
    """

    def __init__(self, engine: Serves, *, capacity: int, observe: Callable[[float, int], None] = lambda seconds, at_work: None) -> None:
        self.engine, self.capacity, self._observe = engine, capacity, observe
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._numbers = count()
        self._at_work: dict[int, _Place] = {}
        self._completed: deque[float] = deque(maxlen=_REMEMBERED)  # when, since the engine had nothing to do
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many requests wait for a row."""
        with self._changed:
            return self._waiting()

    def submit(self, requests: Sequence[Request]) -> Future[list[Completion]]:
        """A future of one completion a request, in order; cancelling it frees its place at once.

        Raises as `check_room`.
        """
        job = _Job(tuple(requests))
        if not requests:
            job.future.set_result([])
            return job.future
        with self._changed:
            self.check_room(len(requests))
            # While no row of the engine becomes free, nobody else takes out those whose callers left, however many these become.
            self._jobs = deque(one for one in (*self._jobs, job) if one.waiting)
            self._changed.notify()
        self.engine.wake()  # it may be at work for others and have room
        return job.future

    def check_room(self, count: int) -> None:
        """Raises TooLargeError for more requests than the queue takes, BusyError without room for them now, ClosedError after `close`."""
        with self._changed:
            if self._closing:
                raise ClosedError("the server is shutting down; ask again when it is back")
            if count > self.capacity:
                raise TooLargeError(count, self.capacity)
            waiting = self._waiting()
            if waiting + count > self.capacity:
                retry_after = min(_LONGEST_ADVICE, max(1, math.ceil(waiting * self._seconds_each())))
                raise BusyError(waiting, count, self.capacity, retry_after)

    def close(self) -> None:
        """Take nothing new, answer what was taken, end the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def _waiting(self) -> int:
        return sum(job.waiting for job in self._jobs)

    def _seconds_each(self) -> float:
        """Between two of the last completions; 0.0 where there were too few to tell."""
        times = list(self._completed)
        return (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 0.0

    def _work(self) -> None:
        while self._something_waits():
            self._completed.clear()
            try:
                self.engine.serve(self._next, self._finish)
            except Exception:
                # Each of those at work is asked alone, so that one caller's trouble is not another's; where the engine took
                # nothing, the first of those that wait learns why.
                if not self._at_work:
                    self._next(1)
                for number, place in list(self._at_work.items()):
                    self._alone(number, place)

    def _something_waits(self) -> bool:
        """Once something does; False after `close`, when nothing is left."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._waiting())
            return self._waiting() > 0

    def _next(self, places: int) -> list[Numbered]:
        """At most so many requests, of the callers in turn, so that a long document does not keep the others waiting."""
        taken: list[Numbered] = []
        with self._changed:
            while self._jobs and len(taken) < places:
                job = self._jobs.popleft()
                for _ in range(min(job.waiting, _TURN, places - len(taken))):
                    place, number = _Place(job, job.taken, time.perf_counter()), next(self._numbers)
                    self._at_work[number] = place
                    taken.append((number, place.request))
                    job.taken += 1
                if job.waiting:
                    self._jobs.append(job)
        return taken

    def _finish(self, numbers: Sequence[int], completions: Sequence[Completion]) -> None:
        """Hand out what is complete."""
        for number, completion in zip(numbers, completions, strict=True):
            now, at_work = time.perf_counter(), len(self._at_work)
            place = self._at_work.pop(number)
            self._completed.append(now)
            self._observe(now - place.begun, at_work)
            job = place.job
            job.found[place.at] = completion
            if len(job.found) == len(job.requests):
                _settle(job, [job.found[index] for index in range(len(job.requests))])

    def _alone(self, number: int, place: _Place) -> None:
        """Complete a request that a fault left; the fault is its caller's where it meets it again."""
        try:
            completions = [] if place.job.future.done() else self.engine.generate([place.request])
        except Exception as error:
            completions = []
            _settle(place.job, error)
        if completions:
            self._finish([number], completions)
        else:
            del self._at_work[number]


def _settle(job: _Job, outcome: list[Completion] | Exception) -> None:
    """Give a job its outcome, unless it has one or its caller has left."""
    if job.future.done() or not job.future.set_running_or_notify_cancel():
        return
    if isinstance(outcome, Exception):
        job.future.set_exception(outcome)
    else:
        job.future.set_result(outcome)
