"""Rows of any number of new tokens in one pass: the tokens lie side by side, unpadded, and only attention sees rows. Knows no weights.

Linears cost by the token, so a newcomer's prompt, a row with fifteen guesses and a row with none share a pass without padding, but for a
few spare tokens at its end that make it one of few lengths. Attention works on spans: neighbouring rows of the cache with similar numbers
of new tokens, as rectangles padded on the right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Attention, Geometry, Prepared
from seqgpt_lab.engine.kv_cache import KVCache

_SMALL = 32  # tokens: rows with so few may be padded to each other; longer ones only when little is wasted
_WASTE = 1.25
BLOCK = 256  # tokens of a long row by itself that attend at a time


@dataclass(frozen=True, slots=True)
class Span:
    """Cache rows first .. first + rows - 1, whose `tokens` new tokens follow each other in the pass.

    places: [tokens] int64, where each lies in the rectangle [rows * geometry.new_tokens]; None when it has no padding.
    """

    first: int
    rows: int
    tokens: int
    geometry: Geometry
    places: Tensor | None


@dataclass(frozen=True, slots=True)
class Packing:
    """A pass's tokens. slots: [N] int64, each token's place in the cache's rows and slots, counted through. spans: in order."""

    slots: Tensor
    spans: tuple[Span, ...]


def pack(starts: Sequence[int], counts: Sequence[int], capacity: int, device: torch.device) -> Packing:
    """Row r of the cache gets counts[r] >= 1 new tokens from slot starts[r] on. capacity: slots of a cache row."""
    slots = [row * capacity + slot for row in range(len(starts)) for slot in range(starts[row], starts[row] + counts[row])]
    spans = [span for run in _runs(starts, counts, capacity) for span in _spans(run, starts, counts, device)]
    return Packing(torch.tensor(slots).to(device), tuple(spans))


def _runs(starts: Sequence[int], counts: Sequence[int], capacity: int) -> Iterator[range]:
    """Neighbours in one rectangle as long as its padding costs little and stays within the cache."""
    first, total, longest, furthest = 0, 0, 0, 0
    for row, (start, count) in enumerate(zip(starts, counts, strict=True)):
        total, longest, furthest = total + count, max(longest, count), max(furthest, start)
        padded = longest * (row + 1 - first)
        if row > first and (furthest + longest > capacity or (longest > _SMALL and padded > _WASTE * total)):
            yield range(first, row)
            first, total, longest, furthest = row, count, count, start
    yield range(first, len(starts))


def _spans(run: range, starts: Sequence[int], counts: Sequence[int], device: torch.device) -> Iterator[Span]:
    """One span; of a single long row several, a block each, for a block need not look at the slots of those after it."""
    if len(run) > 1 or counts[run.start] <= BLOCK:
        yield _span(run, starts, counts, device)
        return
    first, last = starts[run.start], starts[run.start] + counts[run.start]
    for begin in range(first, last, BLOCK):
        count = min(BLOCK, last - begin)
        yield Span(run.start, 1, count, Geometry(torch.tensor([begin]).to(device), count, begin + count), None)


def _span(run: range, starts: Sequence[int], counts: Sequence[int], device: torch.device) -> Span:
    begin, new = [starts[row] for row in run], [counts[row] for row in run]
    longest, total = max(new), sum(new)
    places = None
    if total < longest * len(run):
        places = torch.tensor([at * longest + step for at, count in enumerate(new) for step in range(count)]).to(device)
    geometry = Geometry(torch.tensor(begin).to(device), longest, max(begin) + longest, fresh=not any(begin))
    return Span(run.start, len(run), total, geometry, places)


class PackedPass:
    """What the layers of a packed pass share: as AttentionPass, for tokens side by side."""

    def __init__(self, attention: Attention, cache: KVCache, packing: Packing, slopes: Tensor, dtype: torch.dtype) -> None:
        self.attention, self.cache, self.packing = attention, cache, packing
        self.prepared = [attention.prepare(span.geometry, slopes, dtype) for span in packing.spans]

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query, key, value: [1, N or more, H, D] each -> [1, as many, H, D]; spare tokens are not cached and attend to nothing."""
        query, key, value = query.squeeze(0), key.squeeze(0), value.squeeze(0)
        spare = len(query) - len(self.packing.slots)
        if spare:
            query, key, value = (each.narrow(0, 0, len(self.packing.slots)) for each in (query, key, value))
        self.cache.write(layer, key, value, self.packing.slots)
        parts = torch.split(query, [span.tokens for span in self.packing.spans])  # [tokens, H, D] each
        found = [self._attend(layer, *each) for each in zip(parts, self.packing.spans, self.prepared, strict=True)]
        if spare:
            found.append(query.new_zeros(spare, *query.shape[1:]))
        return (found[0] if len(found) == 1 else torch.cat(found)).unsqueeze(0)

    def _attend(self, layer: int, query: Tensor, span: Span, prepared: Prepared) -> Tensor:
        shape = (span.rows, span.geometry.new_tokens, *query.shape[1:])  # [B, T, H, D]
        if span.places is not None:
            rectangle = query.new_zeros(shape[0] * shape[1], *query.shape[1:])
            query = rectangle.index_copy(0, span.places, query)
        keys, values = self.cache.view(layer, span.first, span.rows, span.geometry.slots)
        mixed = self.attention.attend(query.view(shape), keys, values, prepared).reshape(-1, *query.shape[1:])
        return mixed if span.places is None else mixed.index_select(0, span.places)
