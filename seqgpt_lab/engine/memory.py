"""Tells running out of memory from other errors, and halves batches that did; knows no processes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch

from seqgpt_lab.engine.decode import Completion, Request, decode
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.errors import CapacityError, EngineWarning


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA's error, Python's own, and the plain RuntimeError that torch raises on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


def halve(requests: Sequence[Request], where: str) -> tuple[int, int]:
    """How many requests go into each half of a batch that did not fit `where`, after telling the user.

    Raises CapacityError when there is only one request, for which there is nothing left to split.
    """
    count = len(requests)
    if count == 1:
        prompt, limit = len(requests[0].prompt_ids), requests[0].max_new_tokens
        raise CapacityError(
            f"one request with a prompt of {prompt} tokens and room for {limit} new ones does not fit into the memory of {where}; "
            "shorten the text, lower max_new_tokens, or share the model out with tensor_parallel"
        )
    first = count - count // 2
    warnings.warn(
        f"a batch of {count} prompts ran out of memory on {where} and was decoded as {first} + {count - first}; "
        "a lower batch_size or token_budget avoids the detour",
        EngineWarning,
        stacklevel=2,
    )
    return first, count - first


def decode_in_parts(model: Bloom, requests: Sequence[Request], where: str) -> list[Completion]:
    """As `decode`, in halves of halves as long as the batch does not fit. Raises CapacityError when one request does not."""
    try:
        return decode(model, requests)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    first, _ = halve(requests, where)  # outside the handler: the error's traceback would keep the failed batch's memory
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return decode_in_parts(model, requests[:first], where) + decode_in_parts(model, requests[first:], where)
