"""The decode loop: requests in, greedy completions out, some rows at a time; knows ids and the model, no text.

A step admits waiting requests to free rows, feeds every row in one pass, and lets go of rows that are complete. Every rank of a
sharded model runs this same loop and agrees, because the choice of a token is reduced over ranks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import chain, islice

import torch
from torch import Tensor

from seqgpt_lab.engine.batching import longest_first
from seqgpt_lab.engine.choose import choose
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.packing import PackedPass, pack
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.engine.reuse import ReuseCache
from seqgpt_lab.engine.row import Row
from seqgpt_lab.engine.sharing import WORTH_SHARING, can_share, length_of
from seqgpt_lab.errors import EngineClosedError

PROMPT_TOKENS_A_PASS = 2048  # newcomers' tokens beyond these wait for the next pass; past a few hundred, more at once gains nothing
TOKEN_BUDGET = 16384  # prompt tokens of all rows at work, unless told
GUESSES_A_ROW = 24  # ids at most that a row may guess in a pass; a drafter guesses fewer where it is not sure

Numbered = tuple[int, Request]
"""A request, and the number by which its completion is told."""

Finish = Callable[[Sequence[int], Sequence[Completion]], None]
"""Called with the numbers of requests and their completions, as soon as some are complete."""

More = Callable[[int], Sequence[Numbered]]
"""Asked between passes for at most so many further requests, none where there are none now."""


class Decoder:
    """Decodes on one model; keeps its KV cache and what it knows of texts from call to call.

    rows: at work at once. token_budget: prompt tokens of all rows at work, each counted as long as the longest. closed: set by any thread,
    ends the call at work before its next pass, and all later ones.
    """

    def __init__(self, model: Bloom, *, rows: int = 32, token_budget: int = TOKEN_BUDGET, reuse: ReuseCache | None = None) -> None:
        self.model, self.most_rows, self.token_budget = model, rows, token_budget
        self.device, self.reuse = model.slopes.device, reuse or ReuseCache()
        self.closed = False
        self.cache: KVCache | None = None
        self.waiting: deque[tuple[int, Request]] = deque()
        self.rows: list[Row] = []  # row r is at row r of the cache

    def run(self, requests: Sequence[Request], finish: Finish, rows: int | None = None) -> None:
        """Complete every request, longest prompts first; numbers are places in the list. rows: as for `work`."""
        self.work([(index, requests[index]) for index in longest_first(requests)], finish, min(rows or self.most_rows, len(requests)))

    @torch.inference_mode()
    def work(self, requests: Iterable[Numbered], finish: Finish, rows: int | None = None, more: More | None = None) -> None:
        """Complete these requests, admitted in their order, and whatever `more` gives meanwhile, until nothing is left and it gives none.

        rows: at work at once in this call, as many as ever if None. After an error, out of memory for one, the next call starts afresh.
        Raises LogitsError where logits are not numbers, EngineClosedError once it is closed.
        """
        self.waiting, self.rows = deque(requests), []
        try:
            self._work(rows or self.most_rows, finish, more)
        except BaseException:
            self.forget()  # what a pass left half written, or is not a number, would get into other rows from slots they do not see
            raise

    def _work(self, most_rows: int, finish: Finish, more: More | None) -> None:
        while True:
            if self.closed:
                raise EngineClosedError
            if more and (places := most_rows - len(self.rows) - len(self.waiting)) > 0:
                self.waiting.extend(more(places))
            if not self.waiting and not self.rows:
                return
            self._admit(most_rows)
            self._leave(finish)  # a constraint may have forced a whole answer
            if self.rows:
                self._step()
                self._remember()
                self._leave(finish)

    def forget(self) -> None:
        """Let go of the KV cache, of all texts and of what was at work."""
        self.cache, self.waiting, self.rows = None, deque(), []
        self.reuse.clear()

    def _has_room(self, request: Request, rows: int) -> bool:
        """Whether the cache has so many rows, and slots for the prompt and its limit; where no row is at work, it is made so."""
        if self.cache and self.cache.rows >= rows and self.cache.slots >= _slots(request):
            return True
        if self.rows:
            return False
        slots = max(_slots(request) for _, request in self.waiting)
        self.cache = None  # before the new one is made
        config, weight = self.model.config, self.model.word_embeddings.weight
        heads = len(self.model.shard.heads(config.heads))
        self.cache = KVCache(config.layers, rows, slots, heads, config.head_dim, dtype=weight.dtype, device=self.device)
        return True

    def _admit(self, most_rows: int) -> None:
        """Requests that fit become rows. Those whose text a newcomer is about to compute wait a pass, and find it kept."""
        room, coming, later = PROMPT_TOKENS_A_PASS, set[tuple[int, ...]](), []
        longest = max((len(row.request.prompt_ids) for row in self.rows), default=0)
        while self.waiting and len(self.rows) < most_rows:
            index, request = self.waiting[0]
            if not self._has_room(request, most_rows):
                break
            count, prefix = len(request.prompt_ids), _prefix(request)
            longest = max(longest, count)
            if self.rows and (longest * (len(self.rows) + 1) > self.token_budget or (count > room and room < PROMPT_TOKENS_A_PASS)):
                break
            self.waiting.popleft()
            if prefix in coming:
                later.append((index, request))
                continue
            row = Row(index, request, self.model.config.eos_token_id, self.model.config.vocab_size)
            self.rows.append(row)
            if self.reuse.level == "prefix" and prefix:
                self._recall(row, len(self.rows) - 1, prefix)
                if not row.length and self._can_keep(prefix):
                    coming.add(prefix)
            room -= count - row.length
        self.waiting.extendleft(reversed(later))

    def _shares(self, prefix: tuple[int, ...]) -> bool:
        """Whether a newcomer attends to one copy of a text with others: a long one, about which further newcomers ask, or whoever is next.

        A row alone with its text would attend apart from all others, in two parts, which takes longer than a copy and one rectangle.
        """
        if len(prefix) < WORTH_SHARING or not can_share(self.model.attention, self.device):
            return False
        newcomers = (row.request for row in self.rows if row.text or not row.passes)
        near = chain(newcomers, (request for _, request in islice(self.waiting, self.most_rows)))
        alike = (request for request in near if request.prompt_ids[: len(prefix)] == prefix == _prefix(request))
        return len(list(islice(alike, 2))) == 2

    def _can_keep(self, prefix: tuple[int, ...]) -> bool:
        """Whether it is worth waiting for a text: not if it is too large to be kept."""
        assert self.cache is not None, "there is room before there are rows"
        return len(prefix) * self.cache.token_bytes <= self.reuse.info.limit_bytes

    def _recall(self, row: Row, at: int, prefix: tuple[int, ...]) -> None:
        """Give a newcomer what is kept of its text: to share, or where that cannot be, as a copy in row `at` of the cache."""
        found = self.reuse.find(prefix)
        if found is None:
            return
        row.length = row.reused = len(prefix)
        if self._shares(prefix):
            row.text = found
        else:
            assert self.cache is not None, "there is room before there are rows"
            self.cache.put_prefix(at, *found)

    def _step(self) -> None:
        """Feed each row what it has not seen and its guesses, ask what comes next, keep what is right."""
        for row in self.rows:
            row.plan(GUESSES_A_ROW)
        questions, places, first = [], [], 0
        for row in self.rows:
            questions += row.questions
            places += [first + question.at for question in row.questions]
            first += len(row.feed)
        places += places[-1:] * self.model.spare(len(places))  # the last one's state again, which nobody asks for
        asked = self._feed(torch.tensor(places).to(self.device))
        answers = iter(choose(self.model, asked, [question.allowed for question in questions]))
        for row in self.rows:
            row.take([next(answers) for _ in row.questions])

    def _feed(self, places: Tensor) -> Tensor:
        """The pass: every row's feed side by side, and spare tokens -> hidden states [K, C] of the tokens at `places` [K]."""
        assert self.cache is not None, "there is room before there are rows"
        starts, counts = [row.length for row in self.rows], [len(row.feed) for row in self.rows]
        packing = pack(starts, counts, self.cache.slots, self.device, [row.text for row in self.rows])
        embedded = self._embed()
        attend = PackedPass(self.model.attention, self.cache, packing, self.model.slopes, embedded.dtype)
        return self.model.run(embedded.unsqueeze(0), attend, places).squeeze(0)

    def _embed(self) -> Tensor:
        """Every row's feed, embedded, and spare tokens [N or more, C]; at level 'embedding' that of a known text is not computed again."""
        reuse = self.reuse
        kept: list[tuple[Tensor, ...]] = [()] * len(self.rows)
        if reuse.level == "embedding":
            kept = [(reuse.find(_prefix(row.request)) or ()) if not row.passes and _prefix(row.request) else () for row in self.rows]
        known = [len(found[0]) if found else 0 for found in kept]
        ids = [token for row, count in zip(self.rows, known, strict=True) for token in row.feed[count:]]
        fed = len(ids) + sum(known)
        ids += [0] * self.model.spare(fed)
        fresh = self.model.embed(torch.tensor([ids]).to(self.device)).squeeze(0)
        if reuse.level != "embedding":
            return fresh
        lengths = [len(row.feed) - count for row, count in zip(self.rows, known, strict=True)]
        *parts, spare = torch.split(fresh, [*lengths, len(ids) - sum(lengths)])
        for row, part, count in zip(self.rows, parts, known, strict=True):
            if not row.passes and not count and (prefix := _prefix(row.request)):
                reuse.keep(prefix, part[: len(prefix)].clone())
        return torch.cat([*(piece for found, part in zip(kept, parts, strict=True) for piece in (*found, part)), spare])

    def _remember(self) -> None:
        """Keep the texts of rows that have just had their first pass."""
        if self.reuse.level != "prefix":
            return
        for at, row in enumerate(self.rows):
            prefix = _prefix(row.request)
            if row.passes == 1 and row.text is None and prefix and prefix not in self.reuse:  # a row that shares its text has no copy
                assert self.cache is not None, "rows are in it"
                self.reuse.keep(prefix, *self.cache.copy_prefix(at, len(prefix)))

    def _leave(self, finish: Finish) -> None:
        """Complete rows leave; the last row takes the place of one that does, so that rows stay neighbours."""
        gone = []
        for at in reversed(range(len(self.rows))):
            row = self.rows[at]
            if row.completion:
                gone.append((row.index, row.completion))
                last = self.rows.pop()
                if last is not row:
                    assert self.cache is not None, "rows are in it"
                    self.cache.move_row(len(self.rows), at, last.length, length_of(last.text))
                    self.rows[at] = last
        if gone:
            finish([index for index, _ in gone], [completion for _, completion in gone])


def _slots(request: Request) -> int:
    return len(request.prompt_ids) + request.max_new_tokens


def _prefix(request: Request) -> tuple[int, ...]:
    """The ids worth keeping; the prompt's last id is always fed, for what follows it is asked."""
    return request.prompt_ids[: min(request.shared_prefix, len(request.prompt_ids) - 1)]


def decode(model: Bloom, requests: Sequence[Request]) -> list[Completion]:
    """Complete all requests side by side; results in their order."""
    done: dict[int, Completion] = {}

    def finish(indices: Sequence[int], completions: Sequence[Completion]) -> None:
        done.update(zip(indices, completions, strict=True))

    Decoder(model, rows=max(1, len(requests))).run(requests, finish)
    return [done[index] for index in range(len(requests))]
