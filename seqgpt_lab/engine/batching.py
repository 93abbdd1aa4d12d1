"""The order in which requests are decoded, and their parts for several replicas; knows lengths and ids only."""

from __future__ import annotations

from collections.abc import Sequence

from seqgpt_lab.engine.requests import Request


def longest_first(requests: Sequence[Request]) -> list[int]:
    """Indices by length, so that what is too large for memory shows at once; requests that share a text stand together."""

    def key(index: int) -> tuple[int, tuple[int, ...], int, int]:
        ids, shared = requests[index].prompt_ids, requests[index].shared_prefix
        return (-(shared or len(ids)), ids[:shared], -len(ids), index)

    return sorted(range(len(requests)), key=key)


def plan_parts(requests: Sequence[Request], *, replicas: int, most: int) -> list[list[int]]:
    """Indices of the requests of each part, longest first: at most `most`, and no more than a replica's fair share of all."""
    order = longest_first(requests)
    size = max(1, min(most, -(-len(order) // replicas)))
    return [order[start : start + size] for start in range(0, len(order), size)]
