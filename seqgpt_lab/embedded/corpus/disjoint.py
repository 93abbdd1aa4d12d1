"""Which split an invented value belongs to, by a stable hash of its text. Knows nothing about how values are made."""

from __future__ import annotations

from collections.abc import Mapping
from functools import wraps
from random import Random
from zlib import crc32

from seqgpt_lab.embedded.corpus.kind import Make, Split
from seqgpt_lab.errors import SeqGPTLabError

_BUCKETS = 10
_BUCKETS_OF: Mapping[Split, range] = {"train": range(0, 8), "dev": range(8, 9), "test": range(9, 10)}
_DRAWS = 2000


def belongs(value: str, split: Split) -> bool:
    """Whether crc32(utf-8 of value) mod 10 falls in the split's buckets: train 0..7, dev 8, test 9."""
    return crc32(value.encode()) % _BUCKETS in _BUCKETS_OF[split]


def open_class(make: Make) -> Make:
    """A maker whose values never occur in two splits: it draws again until the value belongs to the split asked for.

    The returned maker raises SeqGPTLabError when `make` knows too few values for the split.
    """

    @wraps(make)
    def drawn(random: Random, split: Split) -> str:
        for _ in range(_DRAWS):
            value = make(random, split)
            if belongs(value, split):
                return value
        raise SeqGPTLabError(
            f"{make.__name__} drew {_DRAWS} values and none belongs to the {split!r} split, the last being {value!r}: "
            "give the maker more values to combine, or drop @open_class if it is a closed list"
        )

    return drawn
