"""What is kept of texts that may be asked again: their keys and values, or their embeddings only. Least recently used goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from seqgpt_lab.errors import OptionError

LEVELS = ("none", "embedding", "prefix")
CACHE_BYTES = 512 << 20  # that a process keeps, unless told
Ids = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """level: none, embedding or prefix. hits, misses: of texts, since loading; reused_tokens: not computed again. bytes <= limit_bytes."""

    level: str
    limit_bytes: int
    hits: int = 0
    misses: int = 0
    reused_tokens: int = 0
    entries: int = 0
    bytes: int = 0

    @property
    def hit_rate(self) -> float:
        """Hits among all look-ups, 0.0 before the first."""
        return self.hits / max(1, self.hits + self.misses)


def joined(infos: Sequence[CacheInfo]) -> CacheInfo:
    """The sum over replicas, each of which keeps what it has seen itself."""
    if not infos:
        return CacheInfo("none", 0)
    counts = ("limit_bytes", "hits", "misses", "reused_tokens", "entries", "bytes")
    return CacheInfo(infos[0].level, *(sum(getattr(info, name) for info in infos) for name in counts))


def check_level(level: str, limit_bytes: int) -> None:
    """Raises OptionError for a level that does not exist or a size below zero."""
    if level not in LEVELS:
        raise OptionError(f"unknown cache {level!r}; choose {', '.join(LEVELS)}")
    if limit_bytes < 0:
        raise OptionError(f"cache_bytes is {limit_bytes}; it must be at least 0")


class ReuseCache:
    """Tensors by the ids they were computed from. Ranks look up the same ids in the same order, so they agree on what is kept."""

    def __init__(self, level: str = "none", limit_bytes: int = 0) -> None:
        check_level(level, limit_bytes)
        self.info = CacheInfo(level, limit_bytes)
        self._kept: OrderedDict[Ids, tuple[Tensor, ...]] = OrderedDict()

    @property
    def level(self) -> str:
        return self.info.level

    def find(self, ids: Ids) -> tuple[Tensor, ...] | None:
        """What was kept for exactly these ids, counted as a hit or a miss."""
        found, info = self._kept.get(ids), self.info
        if found is None:
            self.info = replace(info, misses=info.misses + 1)
        else:
            self._kept.move_to_end(ids)
            self.info = replace(info, hits=info.hits + 1, reused_tokens=info.reused_tokens + len(ids))
        return found

    def __contains__(self, ids: Ids) -> bool:
        return ids in self._kept

    def keep(self, ids: Ids, *tensors: Tensor) -> None:
        """Keep tensors, which are nobody else's, and let the oldest go until all fit; what can never fit is not kept."""
        if ids in self._kept or _bytes(tensors) > self.info.limit_bytes:
            return
        self._kept[ids] = tensors
        total = self.info.bytes + _bytes(tensors)
        while total > self.info.limit_bytes:
            _, oldest = self._kept.popitem(last=False)
            total -= _bytes(oldest)
        self.info = replace(self.info, entries=len(self._kept), bytes=total)

    def clear(self) -> None:
        """Let everything go; the counts stay."""
        self._kept.clear()
        self.info = replace(self.info, entries=0, bytes=0)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors)
