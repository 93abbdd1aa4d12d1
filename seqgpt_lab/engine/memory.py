"""Keeps freed memory for the next pass; tells running out of memory from other errors, and then decodes fewer rows at once."""

from __future__ import annotations

import ctypes
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch

from seqgpt_lab.engine.decode import Decoder, Finish, More, Numbered
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import CapacityError, EngineWarning

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_FROM_HEAP = 32 << 20  # bytes; glibc takes no larger threshold on 64 bits
_KEPT = 1 << 30
# In the words of a plain RuntimeError: torch on the CPU, cuBLAS without room for its workspace, CUDA itself where the caching allocator
# was not asked, NCCL (older ones without the number).
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDA error: out of memory",
    "Cuda failure 2 'out of memory'",
    "Cuda failure 'out of memory'",
)


def keep_freed_memory() -> None:
    """Have malloc keep up to 1 GiB of a heap's free end for what is allocated next, in this process, where it would keep at most 64 MB.

    Left alone it gives a pass's large tensors back to the system, which clears their pages before the next pass gets them: up to a
    fifth of the time at batch 16. Where malloc is not glibc's, nothing changes.
    """
    mallopt = _of_malloc("mallopt")
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)
        mallopt(_M_TRIM_THRESHOLD, _KEPT)


def give_back_memory() -> None:
    """Give what is free back to the system and to the card, for whatever is needed most now."""
    if trim := _of_malloc("malloc_trim"):
        trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _of_malloc(name: str) -> Callable[..., int] | None:
    """A function of glibc's malloc, if that is what allocates here."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None


def is_out_of_memory(error: BaseException) -> bool:
    """True for torch's error, Python's own, and the RuntimeErrors that tell of it in their words only."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _OUT_OF_MEMORY)


@contextmanager
def within_memory(what: Callable[[], str], mend: str) -> Iterator[None]:
    """Around what takes memory. Raises CapacityError where there is too little; what: says what does not fit where, asked only then; mend:
    what helps."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise CapacityError(f"{what()}: {error}; {mend}") from error


def weights_within_memory(stored_bytes: int, dtype: torch.dtype, device: torch.device) -> AbstractContextManager[None]:
    """Around the loading of weights. Raises CapacityError where they do not fit; stored_bytes: of their files."""
    return within_memory(
        lambda: (
            f"the weights ({stored_bytes / 1e9:.1f} GB in their files) do not fit into the memory of {device} in "
            f"{str(dtype).removeprefix('torch.')}"
        ),
        "use a smaller dtype, a device with more memory, or share them out with tensor_parallel",
    )


def fewer_rows(rows: int, left: Sequence[Request], where: str) -> int:
    """How many rows to try with what is left after `rows` did not fit `where`: half. The user is told where that takes several turns.

    Raises CapacityError when there was only one row, for which there is nothing left to split.
    """
    if rows == 1:
        largest = max(left, key=lambda request: len(request.prompt_ids) + request.max_new_tokens)
        raise CapacityError(
            f"one request with a prompt of {len(largest.prompt_ids)} tokens and room for {largest.max_new_tokens} new ones does not fit "
            f"into the memory of {where}; shorten the text, lower max_new_tokens, or share the model out with tensor_parallel"
        )
    first = rows - rows // 2
    if len(left) > first:
        warnings.warn(
            f"a batch of {rows} prompts ran out of memory on {where} and was decoded as {first} + {rows - first}; "
            "a lower batch_size or token_budget avoids the detour",
            EngineWarning,
            stacklevel=2,
        )
    return first


def decode_within_memory(decoder: Decoder, requests: Iterable[Numbered], rows: int, finish: Finish, more: More | None = None) -> None:
    """As Decoder.work. Requests that do not fit together are completed by themselves, with half as many rows as often as it takes; what
    `more` gives after them has all `rows` again. Raises CapacityError when one row does not fit with nothing kept beside it.
    """
    left: dict[int, Request] = dict(requests)

    def note(numbers: Sequence[int], completions: Sequence[Completion]) -> None:
        for number in numbers:
            del left[number]
        finish(numbers, completions)

    def take(places: int) -> Sequence[Numbered]:
        found = more(places) if more else ()
        left.update(found)
        return found

    def fits(most: int, source: More | None = None) -> bool:
        try:
            decoder.work(list(left.items()), note, most, source)
            return True
        except (RuntimeError, MemoryError) as error:
            if not left or not is_out_of_memory(error):
                raise
        give_back_memory()  # outside the handler: the error's traceback keeps the failed pass's memory
        return False

    while not fits(rows, take):
        fewer, before = rows, 0
        while left:
            # What ran out at one row may have had texts of earlier requests and their cache beside it, which a failed pass lets go of.
            if fewer > 1 or len(left) == before:
                fewer = min(len(left), fewer_rows(fewer, list(left.values()), str(decoder.device)))
            before = len(left)
            fits(fewer)
