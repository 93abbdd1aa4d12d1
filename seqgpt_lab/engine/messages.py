"""What the engine's process and its workers say to each other; knows no pipes and imports nothing heavy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqgpt_lab.engine.requests import Completion, Request
    from seqgpt_lab.engine.reuse import CacheInfo


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What all workers of an engine have in common: which model, and how each of them runs it.

    config, weights: absolute paths. dtype and attention: names as `Engine.load` takes them. rows, token_budget, cache, cache_bytes: as
    Decoder and ReuseCache take them.
    """

    config: Path
    weights: tuple[Path, ...]
    dtype: str
    attention: str
    threads: int
    rows: int
    token_budget: int
    cache: str
    cache_bytes: int


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """All a worker needs to start: plain values, so that unpickling them imports no torch before the log is in place.

    rank in [0, world_size) within the replica. device: cpu or cuda:N. store: the file over which the ranks of this start of the replica
    find each other. directory: removed when the parent is gone.
    """

    model: ModelSpec
    replica: int
    rank: int
    world_size: int
    device: str
    directory: Path
    store: Path
    log: Path

    @property
    def name(self) -> str:
        return f"replica {self.replica} rank {self.rank}"


@dataclass(frozen=True, slots=True)
class Work:
    """A batch to decode, the same for every rank. Numbers only grow, so a late answer can be told from the awaited one.

    rows: at work at once.
    """

    number: int
    requests: tuple[Request, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop batch `number` at its next token; of no effect once it is answered."""

    number: int


@dataclass(frozen=True, slots=True)
class Ping:
    """Say that you live."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Leave."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The weights are in place and the ranks have met. weight_bytes: of this rank's parameters."""

    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Pong:
    """layers: calls of a layer so far. processor_seconds: of the whole process; both only grow while there is work."""

    layers: int
    processor_seconds: float


@dataclass(frozen=True, slots=True)
class Written:
    """Completions of some requests of batch `number`, by their places in it; rank 0 alone tells."""

    number: int
    indices: Sequence[int]
    completions: Sequence[Completion]


@dataclass(frozen=True, slots=True)
class Answer:
    """Batch `number` is done, and all its completions are told. cache: what the rank keeps of texts."""

    number: int
    cache: CacheInfo


@dataclass(frozen=True, slots=True)
class Failure:
    """Batch `number` raised; None: the start did, or the reading of a batch. by_peer: in a collective, so that another rank is the cause.

    kind: the exception's class. no_numbers: every rank stopped at the same token, since it was told to or its logits were not numbers.
    """

    number: int | None
    kind: str
    message: str
    traceback: str
    out_of_memory: bool = False
    by_peer: bool = False
    no_numbers: bool = False
