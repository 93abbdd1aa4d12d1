"""The order in which requests are decoded, and their parts for several replicas; knows lengths and ids only."""

from __future__ import annotations

from collections.abc import Sequence

from seqgpt_lab.engine.requests import Request

_ANSWER_WORK = 100  # writing an answer takes about as long as reading so many tokens of a prompt


def longest_first(requests: Sequence[Request]) -> list[int]:
    """Indices by length, so that what is too large for memory shows at once; requests that share a text stand together."""

    def key(index: int) -> tuple[int, tuple[int, ...], int, int]:
        ids, shared = requests[index].prompt_ids, requests[index].shared_prefix
        return (-(shared or len(ids)), ids[:shared], -len(ids), index)

    return sorted(range(len(requests)), key=key)


def plan_parts(requests: Sequence[Request], *, replicas: int, most: int) -> list[list[int]]:
    """Indices of the requests of each part, at most `most` and longest first; of so many parts in a row all take about as long.

    Requests that share a text stay in one part as long as that is not more than a replica's fair share of the work.
    """
    order, size = longest_first(requests), max(1, most * replicas)
    blocks = [order[start : start + size] for start in range(0, len(order), size)]
    return [part for block in blocks for part in _dealt(requests, block, replicas, most) if part]


def _dealt(requests: Sequence[Request], block: Sequence[int], replicas: int, most: int) -> list[list[int]]:
    """Longest first, each request to the part with the least work so far (Graham 1969): none is behind by more than one request."""
    parts: list[list[int]] = [[] for _ in range(replicas)]
    work, home = [0] * replicas, dict[tuple[int, ...], int]()
    texts = {index: requests[index].prompt_ids[: requests[index].shared_prefix] for index in block}
    alone = {index: len(requests[index].prompt_ids) - len(text) + _ANSWER_WORK for index, text in texts.items()}
    fair = (sum(map(len, set(texts.values()))) + sum(alone.values())) / replicas
    for index, text in texts.items():
        at = home.get(text, -1) if text else -1
        if at < 0 or work[at] >= fair or len(parts[at]) == most:
            at = min((part for part in range(replicas) if len(parts[part]) < most), key=lambda part: (work[part], part))
        work[at] += alone[index] + (0 if home.get(text) == at else len(text))
        home[text] = at
        parts[at].append(index)
    return parts
