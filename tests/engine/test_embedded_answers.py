"""The embedded model on bundled documents: guesses, batches, workers and kept texts change no token of what transformers writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.drafting import PromptLookup
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.extraction.prompt import build_prompt
from seqgpt_lab.extraction.tokenizer import TextTokenizer

LABELS = (("姓名", "年龄", "公司"), ("手机号", "邮箱"))


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """Two label sets of each text, with guesses."""
    tokenizer = TextTokenizer.load(Path(find_checkpoint("tiny").tokenizer))
    documents = list(load_documents("data/documents/resume.test.jsonl"))[:5]
    prompts = [build_prompt(tokenizer, document.text, labels) for document in documents for labels in LABELS]
    return [Request(prompt.ids, 48, drafts=PromptLookup(prompt.ids), shared_prefix=prompt.shared) for prompt in prompts]


@pytest.fixture(scope="module")
def wanted(requests: list[Request]) -> list[tuple[int, ...]]:
    return ids(ReferenceEngine.load("tiny", dtype="fp32", device="cpu", batch_size=10).generate(requests))


def ids(completions: Sequence[Completion]) -> list[tuple[int, ...]]:
    return [completion.token_ids for completion in completions]


@pytest.mark.parametrize("cache", ("none", "embedding", "prefix"))
@pytest.mark.parametrize("batch_size", (1, 16))
def test_guessed_answers_are_transformers_token_for_token(
    requests: list[Request], wanted: list[tuple[int, ...]], batch_size: int, cache: str
) -> None:
    with Engine.load("tiny", dtype="fp32", device="cpu", batch_size=batch_size, cache=cache) as engine:
        found = engine.generate(requests)
        assert ids(found) == wanted
    passes = sum(completion.timing.passes for completion in found)
    assert passes < 0.8 * sum(map(len, wanted)), "guesses that are never right would prove nothing"


@pytest.mark.full
@pytest.mark.parametrize("counts", ((2, 1), (1, 2)))
def test_workers_write_the_same(requests: list[Request], wanted: list[tuple[int, ...]], counts: tuple[int, int]) -> None:
    with Engine.load("tiny", dtype="fp32", device="cpu", batch_size=16, tensor_parallel=counts[0], replicas=counts[1]) as engine:
        assert ids(engine.generate(requests)) == wanted
        assert engine.cache_info.hits > 0
