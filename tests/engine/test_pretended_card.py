"""Whole runs of the engine on a pretended card: the CPU's answers, no tensor left elsewhere, and no more waits than a pass's choices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import EngineWarning
from seqgpt_lab.studies.precisions import first_logits
from seqgpt_lab.studies.roofline import measure_phases
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import random_requests
from tests.engine.steering import RandomGuesses, RandomRules
from tests.pretended_card import CARD, PretendedCard

VOCABULARY = 300


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("model"), hidden=64, heads=2, layers=2, vocabulary=VOCABULARY)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedCard]:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with PretendedCard() as entered:
        yield entered


def requests() -> list[Request]:
    """Some steered, some guessed at, some that share a text, some of which nothing is known."""
    found = []
    for at, request in enumerate(random_requests(12, vocabulary=VOCABULARY)):
        text = tuple(range(10, 22))
        request = replace(request, prompt_ids=(*text, *request.prompt_ids), shared_prefix=len(text)) if at % 3 else request
        rules = RandomRules(at, VOCABULARY, 2) if at % 2 else None
        found.append(replace(request, constraint=rules, drafts=RandomGuesses(at, request.prompt_ids, VOCABULARY)))
    return found


def answers(checkpoint: Path, device: str, cache: str) -> list[Completion]:
    with Engine.load(checkpoint, dtype="fp32", device=device, batch_size=4, cache=cache) as engine:
        return engine.generate(requests())


@pytest.mark.parametrize("cache", ("none", "embedding", "prefix"))
def test_a_card_writes_the_cpus_answers(checkpoint: Path, monkeypatch: pytest.MonkeyPatch, cache: str) -> None:
    wanted = answers(checkpoint, "cpu", cache)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with PretendedCard() as card:
        found = answers(checkpoint, "cuda", cache)
    assert [(one.token_ids, one.finish_reason) for one in found] == [(one.token_ids, one.finish_reason) for one in wanted]
    for mine, theirs in zip(found, wanted, strict=True):
        assert mine.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-4)
    # Ids and probabilities, of rows that are steered and of those that are not; rows share passes.
    assert card.waits.keys() == {"tolist"} and card.waits["tolist"] <= 4 * sum(one.timing.passes for one in found)


def test_a_batch_that_does_not_fit_a_card_is_split(checkpoint: Path, card: PretendedCard, monkeypatch: pytest.MonkeyPatch) -> None:
    made = KVCache.__init__

    def small(cache: KVCache, layers: int, rows: int, *rest: int, **options: torch.dtype | torch.device) -> None:
        if rows > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        made(cache, layers, rows, *rest, **options)  # type: ignore[arg-type]

    wanted = answers(checkpoint, "cuda", "prefix")
    monkeypatch.setattr(KVCache, "__init__", small)
    with pytest.warns(EngineWarning, match=r"a batch of 4 prompts ran out of memory on cuda:0 and was decoded as 2 \+ 2"):
        found = answers(checkpoint, "cuda", "prefix")
    assert [one.token_ids for one in found] == [one.token_ids for one in wanted]


def test_studies_of_numbers_and_phases_run_on_a_card(checkpoint: Path, card: PretendedCard, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr("seqgpt_lab.studies.roofline._READ_BYTES", 1 << 20)
    monkeypatch.setattr("seqgpt_lab.studies.roofline._PRODUCTS", {"cuda": ((64, 64, 64),)})
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    with Engine.load(checkpoint, dtype="fp32", device="cuda") as engine:
        assert engine.device == CARD and first_logits(engine, random_requests(2, vocabulary=VOCABULARY)).shape == (2, VOCABULARY)
        roofline, frame = measure_phases(engine, batches=(1, 2), prompt=20, drafted=(1, 4), repeats=1)
    assert roofline.flops > 0 and len(frame) == 8
    assert set(waited) == {CARD} and len(waited) == 2 * (8 + 2 * 3)  # before and after each that counts: phases, and both rooflines


def test_what_cuda_refuses_is_refused(card: PretendedCard) -> None:
    there, here = torch.arange(6.0, device="cuda"), torch.arange(6)
    assert there.device == CARD and there.is_cuda and here.device.type == "cpu" and there.view(2, 3)[0].device == CARD
    for mixed in (lambda: there + here, lambda: torch.cat([there, here]), lambda: here[there.long()], lambda: there.index_select(0, here)):
        with pytest.raises(RuntimeError, match="same device"):
            mixed()
    with pytest.raises(TypeError, match="numpy"):
        there.numpy()
    assert not card.waits
    assert (there + torch.tensor(1.0)).tolist() == [1, 2, 3, 4, 5, 6]  # a number may be a CPU's
    assert there[here].device == CARD  # and so may indices
    assert there.to("cpu").device.type == "cpu" and here.to(CARD).device == CARD and here.device.type == "cpu"
    assert there[there > 2].sum().item() == 12
    assert card.waits == {"tolist": 1, "__getitem__": 2, "to the CPU": 1, "item": 1}
