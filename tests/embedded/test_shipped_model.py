"""The embedded model as shipped: the engine writes what transformers writes on every bundled document, and scores what its card says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.export import SEQ_LENGTH
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.evaluation.counts import Counts
from seqgpt_lab.evaluation.evaluate import evaluate
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.prompt import build_prompt, split_evenly
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.resources import bundled

MODEL = Path(bundled("models", "seqgpt-tiny"))


@pytest.fixture(scope="module", params=["dev", pytest.param("test", marks=pytest.mark.full)])
def requests(request: pytest.FixtureRequest) -> list[Request]:
    """A prompt for every six labels of every bundled document of a split."""
    tokenizer = TextTokenizer.load(MODEL / "tokenizer.json")
    found = []
    for kind in KINDS:
        groups = split_evenly(LabelSet.load(bundled("labels", f"{kind.name}.yaml")).phrases)
        for document in load_documents(bundled("documents", f"{kind.name}.{request.param}.jsonl")):
            found += [Request(build_prompt(tokenizer, document.text, phrases).ids, 96) for phrases in groups]
    return found


@pytest.fixture(scope="module")
def expected(requests: list[Request]) -> list[tuple[int, ...]]:
    """What transformers' own generate writes; prompts of like length together, to spare it padding."""
    order = sorted(range(len(requests)), key=lambda index: len(requests[index].prompt_ids))
    engine = ReferenceEngine.load("tiny", dtype="fp32", device="cpu", batch_size=16)
    written = engine.generate([requests[index] for index in order])
    return [completion.token_ids for _, completion in sorted(zip(order, written, strict=True), key=lambda pair: pair[0])]


@pytest.mark.parametrize(
    ("batch_size", "every"),
    [(32, 1), (7, 3), (1, 6), pytest.param(7, 1, marks=pytest.mark.full), pytest.param(1, 1, marks=pytest.mark.full)],
)
def test_greedy_output_is_transformers(batch_size: int, every: int, requests: list[Request], expected: list[tuple[int, ...]]) -> None:
    """Of the dev split, at batch 7 every third prompt and at batch 1 every sixth; `pytest -m full` takes all bundled documents."""
    with Engine.load("tiny", dtype="fp32", device="cpu", batch_size=batch_size) as engine:
        ours = engine.generate(requests[::every])
    different = [index for index, (mine, theirs) in enumerate(zip(ours, expected[::every], strict=True)) if mine.token_ids != theirs]
    assert different == []


@pytest.mark.parametrize("every", [12, pytest.param(1, marks=pytest.mark.full)])
@pytest.mark.parametrize(("ranks", "replicas"), [(2, 1), (4, 1), (1, 2)])
def test_greedy_output_in_workers_is_transformers(
    ranks: int, replicas: int, every: int, requests: list[Request], expected: list[tuple[int, ...]]
) -> None:
    with Engine.load("tiny", dtype="fp32", device="cpu", tensor_parallel=ranks, replicas=replicas) as engine:
        ours = engine.generate(requests[::every])
    assert [completion.token_ids for completion in ours] == expected[::every]


def test_scores_are_those_on_the_model_card() -> None:
    """The card's table of the test split is what this machine measures; another CPU's rounding may tip a document or two."""
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    printed = {name: (float(f1), float(exact)) for name, f1, exact in re.findall(r"^\| `(\w+)` \| ([\d.]+) \| ([\d.]+) % \|", card, re.M)}
    total, records, count = Counts(), 0, 0
    with Engine.load("tiny", dtype="fp32", device="cpu") as engine:
        extractor = Extractor(engine)
        for kind in KINDS:
            documents = load_documents(bundled("documents", f"{kind.name}.test.jsonl"))
            strict = evaluate(extractor, documents, LabelSet.load(bundled("labels", f"{kind.name}.yaml"))).scores.strict
            f1, exact = printed[kind.name]
            assert strict.micro.f1 == pytest.approx(f1, abs=0.01), kind.name
            assert 100 * strict.exact_records / len(documents) == pytest.approx(exact, abs=3.4), kind.name
            total, records, count = total + strict.micro, records + strict.exact_records, count + len(documents)
    f1, exact = printed["all"]
    assert total.f1 == pytest.approx(f1, abs=0.003)
    assert 100 * records / count == pytest.approx(exact, abs=0.7)


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_grounded_answers_score_about_as_free_ones_do_and_invent_nothing() -> None:
    """The weights of 2026-11-30, last: 0.9631 against 0.9628, 3,187 values right and 124 wrong against 3,185 and 124."""
    free, grounded = Counts(), Counts()
    with Engine.load("tiny", dtype="fp32", device="cpu") as engine:
        for kind in KINDS:
            documents = load_documents(bundled("documents", f"{kind.name}.test.jsonl"))
            labels = LabelSet.load(bundled("labels", f"{kind.name}.yaml"))
            free += evaluate(Extractor(engine), documents, labels).scores.strict.micro
            scores = evaluate(Extractor(engine, grounded=True), documents, labels).scores
            grounded += scores.strict.micro
            assert scores.hallucination_rate == 0, kind.name
    assert grounded.f1 >= free.f1 - 0.002


def test_weights_fit_a_clone() -> None:
    size = sum(path.stat().st_size for path in MODEL.iterdir())
    assert size < 16 << 20
    config = json.loads((MODEL / "config.json").read_text(encoding="utf-8"))
    assert config["torch_dtype"] == "float16"
    assert config["seq_length"] == SEQ_LENGTH, "without it long texts are read in windows far longer than any text in training"
