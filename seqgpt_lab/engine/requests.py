"""What the engine is asked and what it answers: token ids and probabilities. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Literal

from seqgpt_lab.engine.protocols import ConstraintSource, DraftSource
from seqgpt_lab.errors import OptionError

MAX_NEW_TOKENS = 256  # of an answer, unless told


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt to complete greedily: ids in [0, vocab_size), at least one; at most `max_new_tokens` are written.

    constraint: what may be written; the choice is then the likeliest of the ids it allows. drafts: guesses, verified several a pass,
    that make the answer quicker and never change it. shared_prefix: how many of the first prompt ids other requests are likely to share.
    """

    prompt_ids: tuple[int, ...]
    max_new_tokens: int = MAX_NEW_TOKENS
    constraint: ConstraintSource | None = None
    drafts: DraftSource | None = None
    shared_prefix: int = 0


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds: the prompt's pass, and from then until the last token. passes: how many fed this request, the prompt's included.

    reused: ids of the prompt whose keys and values were there already.
    """

    prefill: float
    decode: float
    passes: int = 0
    reused: int = 0


@dataclass(frozen=True, slots=True)
class Completion:
    """What the model wrote: ids without the end token, each with the softmax probability it had when chosen.

    Under a constraint the softmax is over the ids that were allowed, so forced ids have probability 1.0.
    end_probability: of the end token where finish_reason is 'stop'; None where the limit cut it off ('length').
    """

    token_ids: tuple[int, ...]
    token_probabilities: tuple[float, ...]
    finish_reason: Literal["stop", "length"]
    end_probability: float | None
    timing: Timing


def check_request(index: int, request: Request, vocabulary: int) -> None:
    """Raises OptionError, naming the request by its number, for one that cannot be answered."""
    _check_types(index, request)
    if not request.prompt_ids:
        raise OptionError(f"request {index} has an empty prompt; a prompt needs at least one token")
    if request.max_new_tokens < 1:
        raise OptionError(f"request {index} asks for {request.max_new_tokens} new tokens; at least 1 is needed")
    if not 0 <= request.shared_prefix <= len(request.prompt_ids):
        raise OptionError(f"request {index} shares {request.shared_prefix} of {len(request.prompt_ids)} prompt ids; 0 to all are possible")
    low, high = min(request.prompt_ids), max(request.prompt_ids)
    if low < 0 or high >= vocabulary:
        wrong = low if low < 0 else high
        raise OptionError(f"request {index} holds token id {wrong}, outside the vocabulary [0, {vocabulary})")


def _check_types(index: int, request: Request) -> None:
    """Python holds nobody to the types of a request, and a limit of 2.5 tokens, say, would never be reached."""
    ids: object = request.prompt_ids
    if not isinstance(ids, tuple):
        raise OptionError(f"request {index} has a {type(ids).__name__} as prompt_ids; a tuple of token ids is needed: tuple(…)")
    for kind in set(map(type, ids)):  # few, and quick to find in long prompts
        if not issubclass(kind, Integral):
            raise OptionError(f"request {index} holds token ids of type {kind.__name__}; whole numbers are needed")
    counts: dict[str, object] = {"max_new_tokens": request.max_new_tokens, "shared_prefix": request.shared_prefix}
    for name, value in counts.items():
        if not isinstance(value, Integral):
            raise OptionError(f"request {index} has {value!r} as {name}; a whole number is needed")
