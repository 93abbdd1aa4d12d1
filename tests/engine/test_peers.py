"""Engines of other people's refuse by name what they would not heed, before they compute anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.peer_ctranslate2 import CTranslate2Engine
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import OptionError
from tests.engine.steering import RandomRules

NOWHERE = Checkpoint("", Path(), Path(), (), Path())
CONFIG = ModelConfig(1000, 64, 1, 1)
NO_MODEL: Any = None
PEERS = (
    ("CTranslate2", CTranslate2Engine(NO_MODEL, NOWHERE, CONFIG, 4)),
    ("transformers", ReferenceEngine(NO_MODEL, NOWHERE, CONFIG, 4, False)),
)


@pytest.mark.parametrize(("name", "peer"), PEERS)
def test_a_constraint_is_refused(name: str, peer: CTranslate2Engine | ReferenceEngine) -> None:
    with pytest.raises(OptionError, match=f"request 1 has a constraint, and {name} knows none here; ask without it, or use Engine"):
        peer.generate([Request((5,)), Request((5,), constraint=RandomRules(0, 1000, 2))])


@pytest.mark.parametrize(("name", "peer"), PEERS)
def test_an_id_outside_the_vocabulary_is_named(name: str, peer: CTranslate2Engine | ReferenceEngine) -> None:
    """CTranslate2 would take it for an unknown word, and answer."""
    with pytest.raises(OptionError, match="request 0 holds token id 1000, outside the vocabulary"):
        peer.generate([Request((5, 1000))])


@pytest.mark.parametrize(("name", "peer"), PEERS)
def test_answers_come_in_batches_and_progress_counts_up_to_all(
    monkeypatch: pytest.MonkeyPatch, name: str, peer: CTranslate2Engine | ReferenceEngine
) -> None:
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr(type(peer), "_batch", lambda _, requests: list(requests))  # a request in place of its answer
    requests = [Request((id_,)) for id_ in range(9)]
    found: list[Any] = peer.generate(requests, lambda done, total: calls.append((done, total)))
    assert found == requests and calls == [(4, 9), (8, 9), (9, 9)]
