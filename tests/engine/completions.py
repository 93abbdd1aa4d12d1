"""Completions of a decoder in the order of their requests, and held against others; what tests of its texts have in common."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from seqgpt_lab.engine.decode import Decoder
from seqgpt_lab.engine.requests import Completion, Request


def run(decoder: Decoder, requests: Sequence[Request]) -> list[Completion]:
    found: dict[int, Completion] = {}
    decoder.run(requests, lambda indices, done: found.update(zip(indices, done, strict=True)))
    return [found[index] for index in range(len(requests))]


def same(found: Sequence[Completion], wanted: Sequence[Completion]) -> None:
    assert [completion.token_ids for completion in found] == [completion.token_ids for completion in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-5)
