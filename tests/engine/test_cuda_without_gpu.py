"""The CUDA path without a GPU: fake CUDA tensors have shapes and devices but no data, so a stray CPU tensor or a host sync fails."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from seqgpt_lab.engine.attention import Geometry, SdpaAttention
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.kv_cache import KVCache
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.packing import PackedPass, Packing, Span, pack

CONFIG = ModelConfig(vocab_size=1003, hidden_size=256, layers=2, heads=4)


def _shapes() -> Bloom:
    with torch.device("meta"):
        return Bloom(CONFIG, attention=SdpaAttention())


def _on_fake_cuda(model: Bloom) -> Bloom:
    """Put together as load_model does: shapes from `meta`, then tensors assigned; no initialisation, which has no fake kernel."""
    empty = {name: torch.empty(weight.shape, dtype=torch.float16, device="cuda") for name, weight in model.named_parameters()}
    model.load_state_dict(empty, assign=True)
    model.slopes = torch.empty(CONFIG.heads, dtype=torch.float32, device="cuda")
    return model


def _cache(rows: int, slots: int) -> KVCache:
    return KVCache(CONFIG.layers, rows, slots, CONFIG.heads, CONFIG.head_dim, dtype=torch.float16, device=torch.device("cuda"))


def test_prefill_and_decode_stay_on_the_device() -> None:
    shapes = _shapes()
    with FakeTensorMode(allow_non_fake_inputs=False), torch.no_grad():
        model, cache = _on_fake_cuda(shapes), _cache(3, 40)
        starts = torch.zeros(3, dtype=torch.int64, device="cuda")
        ids = torch.zeros((3, 17), dtype=torch.int64, device="cuda")
        hidden = model(ids, Geometry(starts, 17, 17, fresh=True), cache)
        token, probability = model.shard.argmax([model.logits(hidden.select(1, 16))], CONFIG.vocab_size)
        assert token.device.type == probability.device.type == "cuda"
        lengths = torch.full((3,), 17, device="cuda")
        hidden = model(token.unsqueeze(1), Geometry(lengths, 1, 18), cache)
        logits = model.logits(hidden.select(1, 0))
        assert logits.shape == (3, CONFIG.vocab_size) and logits.dtype == torch.float16 and logits.device.type == "cuda"


def _like(tensor: Tensor) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cuda")


def _moved(span: Span) -> Span:
    geometry = replace(span.geometry, starts=_like(span.geometry.starts))
    return replace(span, geometry=geometry, places=None if span.places is None else _like(span.places))


def test_a_packed_pass_of_prompts_and_guesses_stays_on_the_device() -> None:
    """A newcomer's prompt, a row with guesses and one without, the second asked after two tokens; choices over all ids and over some."""
    shapes, packing = _shapes(), pack([0, 12, 9], [40, 5, 1], 64, torch.device("cpu"))
    assert len(packing.spans) == 2 and packing.spans[1].places is not None
    with FakeTensorMode(allow_non_fake_inputs=False), torch.no_grad():
        model, cache = _on_fake_cuda(shapes), _cache(3, 64)
        packing = Packing(_like(packing.slots), tuple(_moved(span) for span in packing.spans))
        attend = PackedPass(model.attention, cache, packing, model.slopes, torch.float16)
        hidden = model.run(model.embed(torch.zeros((1, 46), dtype=torch.int64, device="cuda")), attend).squeeze(0)
        asked = hidden.index_select(0, torch.empty(4, dtype=torch.int64, device="cuda"))
        token, probability = model.shard.argmax(torch.split(model.logits(asked), 400, dim=-1), CONFIG.vocab_size)
        assert token.device.type == probability.device.type == "cuda" and token.shape == (4,)
        ids = torch.empty(3, dtype=torch.int64, device="cuda")
        token, probability = model.shard.argmax([model.logits(asked, ids)], CONFIG.vocab_size, ids)
        assert token.device.type == probability.device.type == "cuda" and token.shape == (4,)


def test_a_cpu_tensor_in_the_pass_is_caught() -> None:
    shapes = _shapes()
    with FakeTensorMode(allow_non_fake_inputs=False), torch.no_grad():
        model = _on_fake_cuda(shapes)
        starts = torch.zeros(1, dtype=torch.int64, device="cuda")
        with pytest.raises(RuntimeError, match="device"):
            model(torch.zeros((1, 5), dtype=torch.int64), Geometry(starts, 5, 5, fresh=True))


def test_a_host_sync_would_be_caught() -> None:
    with FakeTensorMode(), pytest.raises(DataDependentOutputException):
        torch.zeros(1, device="cuda").item()


@pytest.mark.parametrize("fresh", (True, False))
@pytest.mark.parametrize("new", (1, 5))
def test_the_bias_lies_on_a_card_as_its_attention_wants_it(new: int, fresh: bool) -> None:
    """Otherwise torch copies it once a layer: `aligned_tensor` and `pad_bias` in its attention.cpp."""
    with FakeTensorMode(allow_non_fake_inputs=False):
        starts, slopes = torch.zeros(3, dtype=torch.int64, device="cuda"), torch.empty(12, dtype=torch.float32, device="cuda")
        bias = SdpaAttention().prepare(Geometry(starts, new, 37, fresh), slopes, torch.float16).bias
    assert bias is not None and bias.shape == (1 if fresh else 3, 12, new, 37)
    *outer, last = bias.stride()
    assert last == 1 and not any(stride % 16 for stride in outer)
