"""Groups requests of any number into batches of similar length under a token budget; knows lengths only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seqgpt_lab.engine.decode import Request
from seqgpt_lab.errors import OptionError


def plan_batches(requests: Sequence[Request], *, batch_size: int, token_budget: int) -> Iterator[list[int]]:
    """Indices of the requests of each batch, longest prompts first, so that a batch too large for memory shows at once.

    batch_size: most rows of a batch. token_budget: most prompt tokens of a batch after padding; a prompt longer than that goes alone.
    """
    if batch_size < 1 or token_budget < 1:
        raise OptionError(f"batch_size {batch_size} and token_budget {token_budget} must both be at least 1")
    order = sorted(range(len(requests)), key=lambda index: (-len(requests[index].prompt_ids), index))
    batch: list[int] = []
    for index in order:
        longest = len(requests[batch[0]].prompt_ids) if batch else len(requests[index].prompt_ids)
        if batch and (len(batch) == batch_size or longest * (len(batch) + 1) > token_budget):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
