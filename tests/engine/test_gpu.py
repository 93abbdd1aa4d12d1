"""For the first machine with a GPU (`make test-gpu`): the same tokens as the CPU in fp32, half dtypes close, flash-attn like SDPA."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.engine.attention import FlashAttention, Geometry, ReferenceAttention, alibi_slopes
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.resources import bundled

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
KINDS = sorted(path.stem for path in Path(bundled("labels")).glob("*.yaml"))


def _values(dtype: str, device: str, kind: str) -> list[dict[str, str | list[str] | None]]:
    documents = load_documents(bundled("documents", f"{kind}.dev.jsonl"))
    with Engine.load("tiny", dtype=dtype, device=device) as engine:
        results = Extractor(engine).extract(documents, LabelSet.load(bundled("labels", f"{kind}.yaml")))
    return [result.to_dict() for result in results]


@pytest.mark.parametrize("kind", KINDS)
def test_fp32_values_equal_the_cpus(kind: str) -> None:
    assert _values("fp32", "cuda", kind) == _values("fp32", "cpu", kind)


@pytest.mark.parametrize("dtype", ["fp16", "bf16"])
def test_half_precision_values_agree_with_the_cpus(dtype: str) -> None:
    half, whole = _values(dtype, "cuda", "resume"), _values("fp32", "cpu", "resume")
    same = sum(one == other for one, other in zip(half, whole, strict=True))
    assert same >= 0.95 * len(whole)


def test_memory_of_the_weights_is_what_they_weigh() -> None:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    with Engine.load("tiny", dtype="fp16", device="cuda") as engine:
        weight = sum(parameter.nbytes for parameter in engine.model.parameters())
        assert torch.cuda.max_memory_allocated() - before <= 1.15 * weight + (1 << 20)


@pytest.mark.skipif(not find_spec("flash_attn"), reason="needs flash-attn>=2.5.8")
@pytest.mark.parametrize("new_tokens", [1, 9])
def test_flash_attention_is_the_definition(new_tokens: int) -> None:
    torch.manual_seed(0)
    lengths = torch.tensor([3, 40, 17], device="cuda")
    geometry = Geometry(lengths, new_tokens, 40 + new_tokens)
    query = torch.randn(3, new_tokens, 12, 64, dtype=torch.float16, device="cuda")
    keys, values = torch.randn(2, 3, 40 + new_tokens, 12, 64, dtype=torch.float16, device="cuda")
    slopes = alibi_slopes(12).cuda()
    results = [
        attention.attend(query, keys, values, attention.prepare(geometry, slopes, torch.float16))
        for attention in (FlashAttention(), ReferenceAttention())
    ]
    assert torch.allclose(results[0].float(), results[1].float(), atol=2e-3)
