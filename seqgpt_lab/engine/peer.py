"""What engines of other people's share behind the engine's interface: requests are checked, and answered in batches as they come."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.requests import Completion, Request, check_request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import Progress


class Peer(ABC):
    """The same `generate(requests)` as Engine. name: what errors call it."""

    name: ClassVar[str]

    def __init__(self, checkpoint: Checkpoint, config: ModelConfig, batch_size: int) -> None:
        self.checkpoint, self.config, self.batch_size = checkpoint, config, batch_size

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        """Complete every request greedily; results in input order. Raises OptionError as Engine does, and for a constraint."""
        for index, request in enumerate(requests):
            check_request(index, request, self.config.vocab_size)
            if request.constraint is not None:
                raise OptionError(
                    f"request {index} has a constraint, and {self.name} knows none here; ask without it, or use Engine for grounded answers"
                )
        done: list[Completion] = []
        for start in range(0, len(requests), self.batch_size):
            done += self._batch(requests[start : start + self.batch_size])
            if progress:
                progress(len(done), len(requests))
        return done

    @abstractmethod
    def _batch(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete these together."""
