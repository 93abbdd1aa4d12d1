"""Rows of any number of new tokens in one pass: the tokens lie side by side, unpadded, and only attention sees rows. Knows no weights.

Linears cost by the token, so a newcomer's prompt, a row with fifteen guesses and a row with none share a pass without padding, but for a
few spare tokens at its end that make it one of few lengths. Attention works on spans: neighbouring rows of the cache with similar numbers
of new tokens, as rectangles padded on the right. Rows of one span that share a text look at it together (`sharing.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Attention, Geometry, Prepared
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.sharing import Beside, Text, attend_and_sum, length_of

_SMALL = 32  # tokens: rows with so few may be padded to each other; longer ones only when little is wasted
_WASTE = 1.25
BLOCK = 256  # tokens of a long row by itself that attend at a time


@dataclass(frozen=True, slots=True)
class Span:
    """Cache rows first .. first + rows - 1, whose `tokens` new tokens follow each other in the pass.

    places: [tokens] int64, where each lies in the rectangle [rows * geometry.new_tokens]; None when it has no padding.
    text: what these rows see instead of their first slots, which geometry does not count then.
    """

    first: int
    rows: int
    tokens: int
    geometry: Geometry
    places: Tensor | None
    text: Text | None


@dataclass(frozen=True, slots=True)
class Packing:
    """A pass's tokens. slots: [N] int64, each token's place in the cache's rows and slots, counted through. spans: in order."""

    slots: Tensor
    spans: tuple[Span, ...]


def pack(starts: Sequence[int], counts: Sequence[int], capacity: int, device: torch.device, texts: Sequence[Text | None] = ()) -> Packing:
    """Row r of the cache gets counts[r] >= 1 new tokens from slot starts[r] on. capacity: slots of a cache row.

    texts: what row r sees in place of as many first slots of its own, all of them before starts[r]; none at all: rows share nothing.
    """
    texts = texts or [None] * len(starts)
    slots = [row * capacity + slot for row in range(len(starts)) for slot in range(starts[row], starts[row] + counts[row])]
    spans = [span for run in _runs(starts, counts, capacity, texts) for span in _spans(run, starts, counts, texts[run.start], device)]
    return Packing(torch.tensor(slots).to(device), tuple(spans))


def _runs(starts: Sequence[int], counts: Sequence[int], capacity: int, texts: Sequence[Text | None]) -> Iterator[range]:
    """Neighbours in one rectangle as long as they share a text, or none does, and its padding costs little and stays within the cache."""
    first, total, longest, furthest = 0, 0, 0, 0
    for row, (start, count) in enumerate(zip(starts, counts, strict=True)):
        total, longest, furthest = total + count, max(longest, count), max(furthest, start)
        wasteful = longest > _SMALL and longest * (row + 1 - first) > _WASTE * total
        if row > first and (texts[row] is not texts[first] or furthest + longest > capacity or wasteful):
            yield range(first, row)
            first, total, longest, furthest = row, count, count, start
    yield range(first, len(starts))


def _spans(run: range, starts: Sequence[int], counts: Sequence[int], text: Text | None, device: torch.device) -> Iterator[Span]:
    """One span; of a single long row several, a block each, for a block need not look at the slots of those after it."""
    begin, new = [starts[row] for row in run], [counts[row] for row in run]
    if len(run) > 1 or new[0] <= BLOCK:
        yield _span(run.start, begin, new, text, device)
        return
    for done in range(0, new[0], BLOCK):
        yield _span(run.start, [begin[0] + done], [min(BLOCK, new[0] - done)], text, device)


def _span(first: int, starts: Sequence[int], counts: Sequence[int], text: Text | None, device: torch.device) -> Span:
    longest, total = max(counts), sum(counts)
    places = None
    if total < longest * len(counts):
        places = torch.tensor([at * longest + step for at, count in enumerate(counts) for step in range(count)]).to(device)
    own = [start - length_of(text) for start in starts]
    geometry = Geometry(torch.tensor(own).to(device), longest, max(own) + longest, fresh=not any(own))
    return Span(first, len(counts), total, geometry, places, text)


class PackedPass:
    """What the layers of a packed pass share: as AttentionPass, for tokens side by side."""

    def __init__(self, attention: Attention, cache: KVCache, packing: Packing, slopes: Tensor, dtype: torch.dtype) -> None:
        self.attention, self.cache, self.packing = attention, cache, packing
        self.prepared = [attention.prepare(span.geometry, slopes, dtype) for span in packing.spans]
        self.beside = [_beside(span, slopes, dtype) if span.text else None for span in packing.spans]

    def __call__(self, layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """query, key, value: [1, N or more, H, D] each -> [1, as many, H, D]; spare tokens are not cached and attend to nothing."""
        query, key, value = query.squeeze(0), key.squeeze(0), value.squeeze(0)
        spare = len(query) - len(self.packing.slots)
        if spare:
            query, key, value = (each.narrow(0, 0, len(self.packing.slots)) for each in (query, key, value))
        self.cache.write(layer, key, value, self.packing.slots)
        parts = torch.split(query, [span.tokens for span in self.packing.spans])  # [tokens, H, D] each
        found = [self._attend(layer, *each) for each in zip(parts, self.packing.spans, self.prepared, self.beside, strict=True)]
        if spare:
            found.append(query.new_zeros(spare, *query.shape[1:]))
        return (found[0] if len(found) == 1 else torch.cat(found)).unsqueeze(0)

    def _attend(self, layer: int, query: Tensor, span: Span, prepared: Prepared, beside: Beside | None) -> Tensor:
        """[tokens, H, D] -> the same."""
        keys, values = self.cache.view(layer, span.first, span.rows, span.geometry.slots, begin=length_of(span.text))
        rectangle = _rectangle(query, span)
        if beside is None:
            return _flat(self.attention.attend(rectangle, keys, values, prepared), span)
        own, own_sum = (_flat(each, span) for each in attend_and_sum(rectangle, keys, values, prepared.bias))
        return beside.join(query, layer, own, own_sum)


def _beside(span: Span, slopes: Tensor, dtype: torch.dtype) -> Beside:
    assert span.text is not None, "asked for spans with a text only"
    beyond = span.geometry.positions.expand(span.rows, -1)
    return Beside(span.text, _flat(beyond, span), slopes, dtype)


def _rectangle(query: Tensor, span: Span) -> Tensor:
    """[tokens, H, D] -> [B, T, H, D], zeros where rows are shorter than the longest."""
    shape = (span.rows, span.geometry.new_tokens, *query.shape[1:])
    if span.places is not None:
        query = query.new_zeros(shape[0] * shape[1], *query.shape[1:]).index_copy(0, span.places, query)
    return query.view(shape)


def _flat(rectangle: Tensor, span: Span) -> Tensor:
    """[B, T, ...] -> [tokens, ...], without the padding."""
    flat = rectangle.flatten(0, 1)
    return flat if span.places is None else flat.index_select(0, span.places)
