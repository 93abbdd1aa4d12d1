"""Where an engine's batches are decoded: what both places have in common, and the one in this process. Plans no batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Protocol

from seqgpt_lab.engine.batching import longest_first
from seqgpt_lab.engine.decode import Decoder, Finish, More
from seqgpt_lab.engine.memory import decode_within_memory, give_back_memory
from seqgpt_lab.engine.replica import Job
from seqgpt_lab.engine.reuse import CacheInfo
from seqgpt_lab.errors import EngineClosedError


class Runner(Protocol):
    """Where batches are decoded: in this process, or in workers. It is given one call at a time: the engine sees to that."""

    @property
    def caches(self) -> Sequence[CacheInfo]:
        """What each copy of the model keeps of texts."""
        ...

    def run(self, jobs: Iterable[Job], finish: Finish) -> None:
        """Decode every job, and hand completions to `finish` as they come."""
        ...

    def serve(self, more: More, rows: int, finish: Finish) -> None:
        """Decode what `more` gives, `rows` at once in each copy of the model, until it gives nothing and nothing is at work."""
        ...

    def wake(self) -> None:
        """Something waits for which `more` should be asked: from any thread, harmless at any time."""
        ...

    def leave(self) -> None:
        """End a call that is at work in another thread, soon and with EngineClosedError. From any thread, followed by `close`."""
        ...

    def close(self) -> None: ...


class LocalRunner:
    """Jobs one after another, by a model in this process."""

    def __init__(self, decoder: Decoder) -> None:
        self.decoder: Decoder | None = decoder

    @property
    def caches(self) -> Sequence[CacheInfo]:
        return [self.decoder.reuse.info] if self.decoder else []

    def run(self, jobs: Iterable[Job], finish: Finish) -> None:
        """As Runner.run. Raises CapacityError for a request that does not fit into memory by itself, LogitsError as Decoder.work does."""
        for job in jobs:
            numbered = [(job.indices[at], job.requests[at]) for at in longest_first(job.requests)]
            decode_within_memory(self._open(), numbered, min(job.rows, len(numbered)), finish)

    def serve(self, more: More, rows: int, finish: Finish) -> None:
        """As Runner.serve; rows are refilled as they finish. Raises as `run` does."""
        decode_within_memory(self._open(), (), rows, finish, more)

    def wake(self) -> None:
        """Nothing: `more` is asked between passes anyway."""

    def _open(self) -> Decoder:
        if self.decoder is None:
            raise EngineClosedError
        return self.decoder

    def leave(self) -> None:
        """As Runner.leave: at its next pass."""
        if self.decoder is not None:
            self.decoder.closed = True

    def close(self) -> None:
        """Let go of the weights, and of what torch keeps of a card for what it allocates next: others may need it, workers among them."""
        on_card = self.decoder is not None and self.decoder.device.type == "cuda"
        self.decoder = None
        if on_card:
            with suppress(RuntimeError):  # a card that takes no call any more, of which an error has told
                give_back_memory()
