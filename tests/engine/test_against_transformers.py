"""The engine's answers against transformers' own BLOOM: logits, cached passes, and greedy text token for token."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from transformers import BloomForCausalLM

from seqgpt_lab.engine.attention import Geometry
from seqgpt_lab.engine.config import DTYPES
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom, fresh_geometry
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Completion, Request
from tests.engine.conftest import OracleMaker
from tests.engine.oracles import Oracle, load, make_oracle, random_requests

HEADS = (4, 12, 16)
IDS = torch.tensor([random.prompt_ids for random in random_requests(400, longest=37) if len(random.prompt_ids) == 37][:3])


def logits_of(model: Bloom, token_ids: Tensor) -> Tensor:
    with torch.inference_mode():
        return model.logits(model(token_ids, fresh_geometry(token_ids)))


def relative_error(found: Tensor, truth: Tensor) -> float:
    return float((found.float() - truth).norm() / truth.norm())


@pytest.mark.parametrize("after_norm", (False, True))
@pytest.mark.parametrize("heads", HEADS)
def test_logits_equal_in_fp32(oracle_of: OracleMaker, heads: int, after_norm: bool) -> None:
    oracle = oracle_of(heads, after_norm)
    truth = torch.stack([oracle.logits(row) for row in IDS.tolist()])
    assert truth.std() > 1, "logits that hardly differ would agree whatever the engine did"
    torch.testing.assert_close(logits_of(load(oracle.directory), IDS), truth, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("dtype", "largest"), (("bf16", 0.08), ("fp16", 0.01)))
@pytest.mark.parametrize("heads", HEADS)
def test_half_precision_errs_no_more_than_transformers_does(oracle_of: OracleMaker, heads: int, dtype: str, largest: float) -> None:
    oracle = oracle_of(heads, False)
    truth = torch.stack([oracle.logits(row) for row in IDS.tolist()])
    half = copy.deepcopy(oracle.model).to(DTYPES[dtype])
    with torch.inference_mode():
        theirs = relative_error(half(IDS).logits, truth)
    found = logits_of(load(oracle.directory, dtype=dtype), IDS)
    assert found.dtype == DTYPES[dtype]
    assert relative_error(found, truth) < min(largest, 1.25 * theirs)


def test_an_untied_head_scores_with_its_own_weights(tmp_path: Path) -> None:
    oracle = make_oracle(tmp_path, heads=4, tied=False, layers=1)
    truth = oracle.logits(IDS[0].tolist())
    torch.testing.assert_close(logits_of(load(tmp_path), IDS[:1])[0], truth, atol=1e-4, rtol=0)


def test_every_layer_norm_has_the_epsilon_of_the_config(oracle: Oracle, tmp_path: Path) -> None:
    directory = with_config(oracle.directory, tmp_path / "model", layer_norm_epsilon=0.5)
    theirs = BloomForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    truth = Oracle(theirs, directory).logits(IDS[0].tolist())
    assert (truth - oracle.logits(IDS[0].tolist())).abs().max() > 1, "an epsilon that hardly matters would prove nothing"
    model = load(directory)
    torch.testing.assert_close(logits_of(model, IDS[:1])[0], truth, atol=1e-4, rtol=0)
    assert {module.eps for module in model.modules() if isinstance(module, nn.LayerNorm)} == {0.5}, "the last one's hardly shows"


def test_passes_over_a_cache_give_the_logits_of_one_pass(oracle: Oracle) -> None:
    """Three rows of different lengths, fed in uneven chunks: a padded prompt, several tokens at once, then one."""
    model, lengths = load(oracle.directory), [9, 20, 1]
    cache = KVCache(2, 3, 37, 12, 16, dtype=torch.float32, device=torch.device("cpu"))
    truth = torch.stack([oracle.logits(row) for row in IDS.tolist()])
    starts = torch.tensor([0, 0, 0])
    for count in (20, 7, 1, 1):
        ids = torch.stack([row[start : start + count] for row, start in zip(IDS, starts.tolist(), strict=True)])
        with torch.inference_mode():
            found = model.logits(model(ids, Geometry(starts, count, int(starts.max()) + count), cache))
        for row, start in enumerate(starts.tolist()):
            torch.testing.assert_close(found[row], truth[row, start : start + count], atol=1e-4, rtol=0)
        starts = torch.tensor(lengths) if count == 20 else starts + count


@pytest.mark.parametrize("batch_size", (1, 7, 32))
@pytest.mark.parametrize("heads", HEADS)
def test_greedy_text_is_transformers_token_for_token(oracle_of: OracleMaker, heads: int, batch_size: int) -> None:
    directory = oracle_of(heads, False).directory
    requests = random_requests(33)
    with Engine.load(directory, dtype="fp32", device="cpu", batch_size=batch_size) as engine:
        found = engine.generate(requests)
    wanted = ReferenceEngine.load(directory, dtype="fp32", device="cpu", batch_size=batch_size).generate(requests)
    assert texts(found) == texts(wanted)
    assert len({token for completion in found for token in completion.token_ids}) > 20, "too little variety to prove anything"
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.token_probabilities == pytest.approx(theirs.token_probabilities, abs=1e-4)


@pytest.mark.parametrize("batch_size", (1, 7))
def test_the_end_token_ends_a_row_where_transformers_ends_it(oracle: Oracle, tmp_path: Path, batch_size: int) -> None:
    requests = random_requests(20)
    written = Engine.load(oracle.directory, dtype="fp32", device="cpu").generate(requests)
    second = next(completion.token_ids[1] for completion in written if len(completion.token_ids) > 3)
    directory = with_config(oracle.directory, tmp_path / "model", eos_token_id=second)
    found = Engine.load(directory, dtype="fp32", device="cpu", batch_size=batch_size).generate(requests)
    wanted = ReferenceEngine.load(directory, dtype="fp32", device="cpu", batch_size=batch_size).generate(requests)
    assert texts(found) == texts(wanted)
    assert {completion.finish_reason for completion in found} == {"stop", "length"}
    for ours, theirs in zip(found, wanted, strict=True):
        assert second not in ours.token_ids
        assert ours.end_probability == pytest.approx(theirs.end_probability, abs=1e-4)


def test_a_checkpoint_that_asks_for_beams_and_penalties_is_still_answered_greedily(oracle: Oracle, tmp_path: Path) -> None:
    directory = with_config(oracle.directory, tmp_path / "model")
    asked = {"num_beams": 4, "repetition_penalty": 2.0, "no_repeat_ngram_size": 1, "do_sample": True}
    (directory / "generation_config.json").write_text(json.dumps(asked), encoding="utf-8")
    requests = [Request((5, 6, 5, 6, 7), 12), Request((900, 8, 9), 12)]
    plain = ReferenceEngine.load(oracle.directory, dtype="fp32", device="cpu").generate(requests)
    assert texts(ReferenceEngine.load(directory, dtype="fp32", device="cpu").generate(requests)) == texts(plain)
    assert texts(Engine.load(directory, dtype="fp32", device="cpu").generate(requests)) == texts(plain)


def texts(completions: list[Completion]) -> list[tuple[tuple[int, ...], str]]:
    return [(completion.token_ids, completion.finish_reason) for completion in completions]


def with_config(source: Path, target: Path, **changes: float) -> Path:
    """A copy of a model directory with other values in its config.json."""
    shutil.copytree(source, target)
    (target / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((target / "config.json").read_text(encoding="utf-8"))
    (target / "config.json").write_text(json.dumps(config | changes), encoding="utf-8")
    return target
