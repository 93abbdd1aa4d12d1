"""The decode loop: a batch of prompts in, greedy completions out; knows ids and the model, no text.

Rows leave as they finish: the last row takes the place of the finished one, so a pass only ever works on rows that still write.
Every rank of a sharded model runs this same loop and agrees, because the choice of a token is reduced over ranks.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.choose import choose
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.engine.row import Row

__all__ = ["Completion", "Request", "Timing", "decode"]

DRAFTED_AT_MOST = 15  # ids a row, beyond the newest


class Batch:
    """Rows being decoded together over one cache."""

    def __init__(self, model: Bloom, requests: Sequence[Request]) -> None:
        self.model, self.device = model, model.slopes.device
        self.rows = [Row(index, request, model.config.eos_token_id) for index, request in enumerate(requests)]
        self.done: dict[int, Completion] = {}
        self.cache = self._allocate(requests)
        self._leave()

    def _allocate(self, requests: Sequence[Request]) -> KVCache:
        """Slots for the longest prompt and the largest limit that follows one, and for the padding after the shortest draft."""
        config, weight = self.model.config, self.model.word_embeddings.weight
        slots = max(len(request.prompt_ids) + request.max_new_tokens for request in requests) + DRAFTED_AT_MOST
        heads = len(self.model.shard.heads(config.heads))
        return KVCache(config.layers, len(requests), slots, heads, config.head_dim, dtype=weight.dtype, device=self.device)

    def step(self) -> None:
        """Feed each row what it has not seen and its guesses, ask what comes next, keep what is right."""
        for row in self.rows:
            row.plan(DRAFTED_AT_MOST)
        count = max(len(row.feed) for row in self.rows)
        ids = torch.tensor([row.feed + [0] * (count - len(row.feed)) for row in self.rows]).to(self.device)
        starts = torch.tensor([row.length for row in self.rows]).to(self.device)
        slots = max(row.length for row in self.rows) + count
        hidden = self.model(ids, Geometry(starts, count, slots), self.cache)  # [B, T, C]
        asked = [(at, question) for at, row in enumerate(self.rows) for question in row.questions]
        places = torch.tensor([(at, question.at) for at, question in asked]).to(self.device)
        answers = choose(self.model, hidden[places[:, 0], places[:, 1]], [question.allowed for _, question in asked])
        first = 0
        for row in self.rows:
            row.take(answers[first : first + len(row.questions)])
            first += len(row.questions)
        self._leave()

    def _leave(self) -> None:
        """Rows that are complete leave, from the last one down."""
        for at in reversed(range(len(self.rows))):
            row = self.rows[at]
            if row.completion:
                self.done[row.index] = row.completion
                last = self.rows.pop()
                if last is not row:
                    self.cache.move_row(len(self.rows), at, last.length)
                    self.rows[at] = last


@torch.inference_mode()
def decode(model: Bloom, requests: Sequence[Request]) -> list[Completion]:
    """Complete a batch of requests greedily; results in their order."""
    batch = Batch(model, requests)
    while batch.rows:
        batch.step()
    return [batch.done[index] for index in range(len(requests))]
