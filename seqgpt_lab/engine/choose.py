"""The greedy choice after hidden states: over the whole vocabulary, or over the ids a constraint allows. Knows no rows and no cache."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.errors import LogitsError

STATES_AT_ONCE = 1024  # scored on the whole vocabulary, a block of it at a time
_REMEDY = {torch.float16: "load it with dtype='bf16' or 'fp32'", torch.bfloat16: "load it with dtype='fp32'"}


def choose(model: Bloom, hidden: Tensor, allowed: Sequence[Tensor | None]) -> list[tuple[int, float]]:
    """The likeliest id after each hidden state, and its probability. allowed: sorted ids [K] to choose from, or None for all.

    hidden: [N or more, C]; states after the N that `allowed` speaks of are let go. Where ids are given, the LM head is computed on those
    alone, and the probability is the softmax over those alone. Raises LogitsError, on every rank alike, where logits are not numbers.
    """
    answers: list[tuple[int, float]] = [(-1, 0.0)] * len(allowed)
    free = [at for at, ids in enumerate(allowed) if ids is None]
    bound = [(at, ids) for at, ids in enumerate(allowed) if ids is not None]
    for start in range(0, len(free), STATES_AT_ONCE):
        some = free[start : start + STATES_AT_ONCE]
        states = hidden if len(some) == len(allowed) else _states(hidden, [*some, *some[-1:] * model.spare(len(some))])
        blocks = (block[: len(some)] for block in model.logit_blocks(states))  # used up before `some` is another
        _put(answers, some, model.shard.argmax(blocks, model.config.vocab_size), hidden.dtype)
    if bound:
        places = [at for at, _ in bound]
        states = hidden[: len(allowed)] if not free else _states(hidden, places)
        _put(answers, places, _choose_among(model, states, [ids for _, ids in bound]), hidden.dtype)
    return answers


def _states(hidden: Tensor, places: list[int]) -> Tensor:
    """The states at these places."""
    return hidden.index_select(0, torch.tensor(places).to(hidden.device))


def _choose_among(model: Bloom, hidden: Tensor, allowed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Rows share most of their ids, so one product with the union serves all, and each row is masked down to its own."""
    union, column = torch.unique(torch.cat(list(allowed)), return_inverse=True)  # on the CPU, where constraints live
    row = torch.repeat_interleave(torch.arange(len(allowed)), torch.tensor([len(ids) for ids in allowed]))
    barred = torch.full((len(allowed), len(union)), -math.inf)
    barred[row, column] = 0.0
    mine = (union >= model.vocabulary.start) & (union < model.vocabulary.stop)
    ids, barred = union[mine].to(hidden.device), barred[:, mine].to(hidden.device)
    logits = model.logits(hidden, ids).float() + barred  # [N, U]
    return model.shard.argmax([logits], model.config.vocab_size, ids)


def _put(answers: list[tuple[int, float]], places: Sequence[int], chosen: tuple[Tensor, Tensor], dtype: torch.dtype) -> None:
    """One logit that is not a number, or infinite, leaves the probability no number: so nothing but that has to be looked at."""
    tokens, probabilities = chosen[0].tolist(), chosen[1].tolist()
    if any(map(math.isnan, probabilities)):
        name = str(dtype).removeprefix("torch.")
        raise LogitsError(
            f"the model's logits are not numbers in {name}: a value grew beyond what {name} holds, or the weights hold NaN; "
            f"{_REMEDY.get(dtype, 'convert the checkpoint again from its source')}"
        )
    for at, token, probability in zip(places, tokens, probabilities, strict=True):
        answers[at] = (token, probability)
