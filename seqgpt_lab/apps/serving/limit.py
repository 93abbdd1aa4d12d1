"""What one request may take, time and room in the queue, and its work under that limit. Knows no HTTP and starts no thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from seqgpt_lab.apps.serving.batcher import Batcher
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import SeqGPTLabError
from seqgpt_lab.extraction.extractor import Prepared
from seqgpt_lab.progress import Progress

Prepare = Callable[[Progress], Prepared[Any]]
"""Prepares one text, telling its progress, as `Extractor.prepare` does."""


class TimeUpError(SeqGPTLabError):
    """There was no answer in a request's time."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"there was no answer in {seconds:g} s; send shorter texts or fewer labels, allow more time, or try again later")


class GivenUpError(SeqGPTLabError):
    """Nobody waits for the answer any more."""


@dataclass(frozen=True, slots=True)
class Lot:
    """The prepared texts of one request."""

    texts: Sequence[Prepared[Any]]

    @property
    def requests(self) -> list[Request]:
        """What to ask about all of them, in order."""
        return [request for text in self.texts for request in text.requests]


class Limit:
    """Ends a request's work `seconds` from now, when it is given up, and when it comes to more prompts than the queue takes.

    Its methods may be called in any thread.
    """

    def __init__(self, batcher: Batcher, seconds: float) -> None:
        self.seconds = seconds
        self._batcher, self._ends = batcher, time.monotonic() + seconds
        self._given_up = threading.Event()
        self._largest = 0  # number of prompts that there was room for

    @property
    def left(self) -> float:
        """Seconds until the end, at least 0."""
        return max(0.0, self._ends - time.monotonic())

    def give_up(self) -> None:
        """End what is being done, at its next step."""
        self._given_up.set()

    def check(self, prompts: int = 0) -> None:
        """Raises GivenUpError, TimeUpError, and for so many prompts TooLargeError, BusyError and ClosedError as the queue does."""
        if self._given_up.is_set():
            raise GivenUpError("nobody waits for this answer any more")
        if not self.left:
            raise TimeUpError(self.seconds)
        if prompts > self._largest:
            self._batcher.check_room(prompts)
            self._largest = prompts

    def prepare(self, texts: Iterable[Prepare]) -> Lot:
        """Prepare texts one after the other, checking before each and at each step. Raises as `check` and what preparing them raises."""
        prepared: list[Prepared[Any]] = []
        before = 0
        for prepare in texts:
            self.check(before)
            prepared.append(prepare(lambda _made, planned, before=before: self.check(before + planned)))  # type: ignore[misc]
            before += len(prepared[-1].requests)
        return Lot(prepared)

    def finish(self, lot: Lot, completions: Sequence[Completion]) -> list[Any]:
        """The texts' results of one completion a request, checking the time before each text. Raises as `check`."""
        following, results = iter(completions), []
        for text in lot.texts:
            self.check()
            results.append(text.finish([next(following) for _ in text.requests]))
        return results
