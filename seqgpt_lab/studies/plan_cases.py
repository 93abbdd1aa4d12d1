"""Batches that the planner can be held to: drawn prompts, answers of a known length, drafts that are right. Predicts nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.studies.passes import GUESSED, Workload
from seqgpt_lab.studies.planner import Arrangement

_HEAD_IDS = 64
NO_BUDGET = 1 << 30  # every batch is at work as a whole
_LEAST_ID, _MOST_ID = 300, 3000
_MOST_REPLAYS = 8


@dataclass(frozen=True, slots=True)
class Case:
    """One configuration of the grid; output: ids written by every row. spread: how much shorter and longer than `length` prompts are, at
    most, as a share of it; they are evenly spread."""

    batch: int
    length: int
    technique: str
    arrangement: Arrangement = field(default_factory=Arrangement)
    output: int = 12
    spread: float = 0.0

    def lengths(self, count: int) -> list[int]:
        """Of so many prompts, `length` on average."""
        steps = [2 * index / (count - 1) - 1 if count > 1 else 0.0 for index in range(count)]
        return [round(self.length * (1 + self.spread * step)) for step in steps]

    def to_dict(self) -> dict[str, Any]:
        """What tells it from other cases, the arrangement in words."""
        return {
            "arrangement": str(self.arrangement),
            "technique": self.technique,
            "batch": self.batch,
            "length": self.length,
            "spread": self.spread,
            "output": self.output,
        }


@dataclass(frozen=True, slots=True)
class Replay:
    """Drafts that are right, as long as drafts are on average: an answer known beforehand. Its own drafter, for it keeps no state."""

    answer: tuple[int, ...]

    def start(self) -> Replay:
        return self

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        return self.answer[len(written) : len(written) + min(most, GUESSED)]


@dataclass(frozen=True, slots=True)
class FewIds:
    """A constraint that always allows the same ids, as many as grounded decoding does; keeps no state."""

    ids: tuple[int, ...]

    def start(self) -> FewIds:
        return self

    def forced(self) -> Sequence[int]:
        return ()

    def allowed(self) -> Tensor:
        return torch.tensor(self.ids)

    def advance(self, token_ids: Sequence[int]) -> None:
        pass

    def rollback(self, count: int) -> None:
        pass


def endless_copy(model: str | Path, folder: Path) -> Path:
    """A model directory with the same weights whose end token is its last id, so that answers run to their limit. Links, no copies."""
    checkpoint = find_checkpoint(model)
    folder.mkdir(parents=True)
    for path in {*checkpoint.config.parent.iterdir(), checkpoint.tokenizer}:
        if path.is_file() and path != checkpoint.config:
            (folder / path.name).symlink_to(path.resolve())
    config = json.loads(checkpoint.config.read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": config["vocab_size"] - 1}), encoding="utf-8")
    return folder


def grid(batches: Iterable[int], lengths: Iterable[int], techniques: Iterable[str], arrangements: Iterable[Arrangement]) -> list[Case]:
    """Every combination. Answers of 12 ids, or 48 where several are written a pass."""
    lengths, techniques, arrangements = list(lengths), list(techniques), list(arrangements)
    return [
        Case(batch, length, technique, arrangement, 12 if technique == "plain" else 48)
        for arrangement in arrangements
        for batch in batches
        for length in lengths
        for technique in techniques
    ]


def workload_of(case: Case, written: Sequence[Completion]) -> Workload:
    """A case as the planner is asked about it, with the ids and passes that its answers took."""
    passes = max(completion.timing.passes for completion in written)
    output = max(len(completion.token_ids) for completion in written)
    head_ids = _HEAD_IDS if case.technique == "grounded" else None
    # These requests name no text to be kept, and have room for what they write only.
    room = {"max_new_tokens": case.output, "kept_bytes": 0, "token_budget": NO_BUDGET}
    return Workload(case.batch, case.length, output, passes, case.technique != "plain", head_ids, **room)


def requests_of(engine: Engine, case: Case) -> list[Request]:
    """Prompts of drawn ids, always the same; drafts replay what the model writes without them."""
    source = random.Random(0)
    most = min(_MOST_ID, engine.config.vocab_size - 1)
    least = min(_LEAST_ID, most // 2)
    few = FewIds(tuple(sorted(source.sample(range(least, most), min(_HEAD_IDS, most - least))))) if case.technique == "grounded" else None
    count = case.batch * case.arrangement.replicas
    prompts = [tuple(source.randrange(least, most) for _ in range(length)) for length in case.lengths(count)]
    requests = [Request(ids, case.output, constraint=few) for ids in prompts]
    if case.technique == "plain":
        return requests
    # In half precision a pass of another width may choose another id, and a draft of the narrow pass's answer then goes wrong from there
    # on; so what was written with drafts is drafted again until nothing changes.
    answers: list[tuple[int, ...]] = []
    for _ in range(_MOST_REPLAYS):
        written = [completion.token_ids for completion in engine.generate(requests)]
        if written == answers:
            break
        answers = written
        requests = [Request(ids, case.output, constraint=few, drafts=Replay(answer)) for ids, answer in zip(prompts, answers, strict=True)]
    return requests
