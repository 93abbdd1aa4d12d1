"""The decode loop: a batch of prompts in, greedy completions out, one pass a token; knows ids and the model, no text.

Rows leave as they finish: the last row takes the place of the finished one, so a pass only ever works on rows that still write.
Every rank of a sharded model runs this same loop and agrees, because the choice of a token is reduced over ranks.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt to complete greedily: ids in [0, vocab_size), at least one; at most `max_new_tokens` are written."""

    prompt_ids: tuple[int, ...]
    max_new_tokens: int = 256


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: the prompt pass of the request's batch, and from then until its last token."""

    prefill: float
    decode: float


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote: ids without the end token, each with the softmax probability it had when chosen.

    end_probability: of the end token where finish_reason is 'stop'; None where the limit cut it off ('length').
    """

    token_ids: tuple[int, ...]
    token_probabilities: tuple[float, ...]
    finish_reason: Literal["stop", "length"]
    end_probability: float | None
    timing: Timing


@dataclass(slots=True)
class Row:
    """A request in the making, at one row of the cache. length: slots in use."""

    index: int
    limit: int
    length: int
    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)


class Batch:
    """Rows being decoded together over one cache."""

    def __init__(self, model: Bloom, requests: Sequence[Request]) -> None:
        self.model = model
        self.rows = [Row(index, request.max_new_tokens, len(request.prompt_ids)) for index, request in enumerate(requests)]
        self.device = model.slopes.device
        self.done: dict[int, Completion] = {}
        self.started = time.perf_counter()
        self.prefilled: float | None = None  # when the prompt pass was over; rows may end with it
        self.cache = self._allocate(requests)
        self._take(*self._prefill(requests))
        self.prefilled = time.perf_counter()

    def _allocate(self, requests: Sequence[Request]) -> KVCache:
        """Slots for the longest prompt and the largest limit that follows one."""
        config, weight = self.model.config, self.model.word_embeddings.weight
        slots = max(len(request.prompt_ids) + request.max_new_tokens for request in requests)
        heads = len(self.model.shard.heads(config.heads))
        return KVCache(config.layers, len(requests), slots, heads, config.head_dim, dtype=weight.dtype, device=self.device)

    def _prefill(self, requests: Sequence[Request]) -> tuple[Tensor, Tensor]:
        """One pass over all prompts, padded on the right; the choice after each prompt's last token."""
        longest = max(row.length for row in self.rows)
        ids = torch.zeros((len(requests), longest), dtype=torch.int64)
        for row, request in enumerate(requests):
            ids[row, : len(request.prompt_ids)] = torch.tensor(request.prompt_ids)
        ids = ids.to(self.device)
        starts = torch.zeros(len(requests), dtype=torch.int64, device=self.device)
        hidden = self.model(ids, Geometry(starts, longest, longest, fresh=True), self.cache)  # [B, T, C]
        last = torch.tensor([row.length - 1 for row in self.rows], device=self.device)
        return self._choose(hidden[torch.arange(len(requests), device=self.device), last])

    def step(self) -> None:
        """Feed each row its newest token and choose the next one."""
        tokens = torch.tensor([[row.tokens[-1]] for row in self.rows]).to(self.device)
        starts = torch.tensor([row.length for row in self.rows]).to(self.device)
        slots = max(row.length for row in self.rows) + 1
        hidden = self.model(tokens, Geometry(starts, 1, slots), self.cache)  # [B, 1, C]
        for row in self.rows:
            row.length += 1
        self._take(*self._choose(hidden[:, 0]))

    def _choose(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Greedy tokens [B] and their probabilities [B] after the hidden states [B, C] of the newest tokens."""
        return self.model.shard.argmax(self.model.logits(hidden), self.model.config.vocab_size)

    def _take(self, tokens: Tensor, probabilities: Tensor) -> None:
        """Append the chosen tokens; rows that ended become completions and leave, from the last row down."""
        chosen, certain = tokens.tolist(), probabilities.tolist()
        for at in reversed(range(len(self.rows))):
            row = self.rows[at]
            ended = chosen[at] == self.model.config.eos_token_id
            if not ended:
                row.tokens.append(chosen[at])
                row.probabilities.append(certain[at])
            if ended or len(row.tokens) >= row.limit:
                self._finish(at, certain[at] if ended else None)

    def _finish(self, at: int, end_probability: float | None) -> None:
        row, last = self.rows[at], self.rows.pop()
        if last is not row:
            self.cache.move_row(len(self.rows), at, last.length)
            self.rows[at] = last
        reason: Literal["stop", "length"] = "length" if end_probability is None else "stop"
        now = time.perf_counter()
        prefilled = now if self.prefilled is None else self.prefilled
        timing = Timing(prefilled - self.started, now - prefilled)
        self.done[row.index] = Completion(tuple(row.tokens), tuple(row.probabilities), reason, end_probability, timing)


@torch.inference_mode()
def decode(model: Bloom, requests: Sequence[Request]) -> list[Completion]:
    """Complete a batch of requests greedily; results in their order."""
    batch = Batch(model, requests)
    while batch.rows:
        batch.step()
    return [batch.done[index] for index in range(len(requests))]
