"""A random BLOOM whose tokenizer merges as BLOOM's does, 60,000 times: what the extractor asks is answered as transformers answers it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.tokenizer import save_tokenizer
from seqgpt_lab.engine.decode import Decoder
from seqgpt_lab.engine.drafting import PromptLookup
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.engine.reuse import ReuseCache
from seqgpt_lab.extraction.extractor import Extractor
from tests.checkpoints import write_random_checkpoint
from tests.engine.oracles import load
from tests.engine.rank_threads import RankThreads
from tests.engine.steering import RandomGuesses
from tests.extraction.conftest import trained_tokenizer

LONGEST = 24
LABELS = ("姓名,公司,手机号", "金额,日期")
Answers = list[tuple[int, ...]]


def documents(count: int, seed: int) -> Iterator[Document]:
    chance = Random(seed)
    return (compose(chance.choice(KINDS), "train", chance, number) for number in range(count))


@pytest.fixture(scope="module", params=[pytest.param(4_000, id="4k"), pytest.param(60_000, id="60k", marks=pytest.mark.full)])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory whose tokenizer has so many tokens of its own, over most of which a value may begin or end."""
    directory = tmp_path_factory.mktemp("model")
    tokenizer = trained_tokenizer([document.text for document in documents(request.param // 8, seed=1)], size=request.param)
    assert tokenizer.get_vocab_size() >= request.param, "the text is too little for so many merges"
    write_random_checkpoint(directory, vocabulary=tokenizer.get_vocab_size(), hidden=128, heads=4)
    save_tokenizer(tokenizer, directory)
    return directory


@pytest.fixture(scope="module")
def requests(model: Path) -> list[Request]:
    """Two label sets of ten texts, with the drafts that the extractor makes."""
    with Engine.load(model, dtype="fp32", device="cpu") as engine:
        extractor = Extractor(engine, max_new_tokens=LONGEST)
        return [request for each in documents(10, seed=2) for labels in LABELS for request in extractor.prepare(each, labels).requests]


@pytest.fixture(scope="module")
def wanted(model: Path, requests: list[Request]) -> Answers:
    completions = ReferenceEngine.load(model, dtype="fp32", device="cpu", batch_size=16).generate(requests)
    return [completion.token_ids for completion in completions]


def drafted(requests: list[Request], wanted: Answers, drafts: str) -> list[Request]:
    """guesses: of the known answers, with mistakes, so that many are kept and many are not, which a random model gives no others."""
    if drafts == "text":
        return requests
    if drafts == "lookup":
        return [replace(request, drafts=PromptLookup(request.prompt_ids)) for request in requests]
    guesses = [RandomGuesses(number, answer, 4_000) for number, answer in enumerate(wanted)]
    return [replace(request, drafts=guess if drafts == "guesses" else None) for request, guess in zip(requests, guesses, strict=True)]


@pytest.mark.parametrize("ranks", (1, 2))
@pytest.mark.parametrize("batch_size", (1, 16))
def test_answers_are_transformers_token_for_token(
    model: Path, requests: list[Request], wanted: Answers, batch_size: int, ranks: int
) -> None:
    assert len({token for answer in wanted for token in answer}) > 40, "too little variety to prove anything"
    parts = [load(model, shard=Shard(rank, ranks)) for rank in range(ranks)]
    passes = {}
    for drafts in ("none", "text", "lookup", "guesses"):
        asked = drafted(requests, wanted, drafts)
        for found in RankThreads(ranks).run(lambda rank, asked=asked: answers_of(parts[rank], asked, batch_size)):  # type: ignore[misc]
            assert [found[number].token_ids for number in range(len(asked))] == wanted, drafts
            passes[drafts] = sum(completion.timing.passes for completion in found.values())
    assert passes["none"] == sum(map(len, wanted)) + sum(len(answer) < LONGEST for answer in wanted)
    assert passes["guesses"] < 0.7 * passes["none"], "guesses that are never right would prove nothing"


def answers_of(model: Bloom, requests: list[Request], rows: int) -> dict[int, Completion]:
    """By the request's number: as Engine decodes them, on one rank."""
    found: dict[int, Completion] = {}
    Decoder(model, rows=rows, reuse=ReuseCache("prefix", 1 << 26)).run(
        requests, lambda indices, done: found.update(zip(indices, done, strict=True))
    )
    return found
