"""The flash-attn adapter against a slow stand-in for its kernel, which has the package's signature and keeps its documented rules."""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from seqgpt_lab.engine.attention import FlashAttention, ReferenceAttention, SdpaAttention, choose_attention
from seqgpt_lab.engine.decode import decode
from seqgpt_lab.errors import OptionError
from tests.engine.oracles import Oracle, load, random_requests
from tests.engine.test_attention import Case, cases


def flash_attn_with_kvcache(
    q: Tensor,
    k_cache: Tensor,
    v_cache: Tensor,
    k: Tensor | None = None,
    v: Tensor | None = None,
    rotary_cos: Tensor | None = None,
    rotary_sin: Tensor | None = None,
    cache_seqlens: Tensor | None = None,
    cache_batch_idx: Tensor | None = None,
    block_table: Tensor | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    window_size: tuple[int, int] = (-1, -1),
    rotary_interleaved: bool = True,
    alibi_slopes: Tensor | None = None,
    num_splits: int = 0,
) -> Tensor:
    """Version 2.5.8's arguments. Row b sees its first cache_seqlens[b] slots, the last query aligned with the last of them.

    Query i is at position i + seqlen - queries; its score of slot j is q.k * scale - slope * |position - j|, masked past the
    position when causal; a query that sees nothing gives zeros.
    """
    assert k is None and v is None and rotary_cos is None and rotary_sin is None and cache_batch_idx is None and block_table is None
    assert window_size == (-1, -1) and rotary_interleaved and num_splits == 0
    _check(q, k_cache, v_cache, cache_seqlens, alibi_slopes)
    assert cache_seqlens is not None and alibi_slopes is not None
    scale = softmax_scale if softmax_scale is not None else q.shape[-1] ** -0.5
    result = torch.zeros_like(q)
    for row, length in enumerate(cache_seqlens.tolist()):
        for index in range(q.shape[1]):
            position = index + length - q.shape[1]
            seen = min(position + 1, length) if causal else length
            if seen <= 0:
                continue
            distance = (position - torch.arange(seen)).abs()
            scores = torch.einsum("hd,shd->hs", q[row, index].float(), k_cache[row, :seen].float()) * scale
            weights = (scores - alibi_slopes[:, None] * distance).softmax(-1)
            result[row, index] = torch.einsum("hs,shd->hd", weights, v_cache[row, :seen].float()).to(q.dtype)
    return result


def _check(q: Tensor, k_cache: Tensor, v_cache: Tensor, cache_seqlens: Tensor | None, alibi_slopes: Tensor | None) -> None:
    """What the compiled part refuses."""
    assert k_cache.stride(-1) == 1 and v_cache.stride(-1) == 1, "the caches must have a contiguous last dimension"
    assert q.dtype == k_cache.dtype == v_cache.dtype
    assert k_cache.shape == v_cache.shape and k_cache.shape[0] == q.shape[0] and k_cache.shape[3] == q.shape[3]
    assert cache_seqlens is not None and cache_seqlens.dtype == torch.int32 and cache_seqlens.shape == (q.shape[0],)
    assert cache_seqlens.is_contiguous() and int(cache_seqlens.max()) <= k_cache.shape[1]
    assert alibi_slopes is not None and alibi_slopes.dtype == torch.float32 and alibi_slopes.stride(-1) == 1
    assert alibi_slopes.shape in {(q.shape[2],), (q.shape[0], q.shape[2])}


CUDA = torch.device("cuda")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a card of today where `import flash_attn` finds the stand-in."""
    monkeypatch.setitem(sys.modules, "flash_attn", stand_in())
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (8, 9))


def stand_in() -> ModuleType:
    module = ModuleType("flash_attn")
    module.__spec__ = ModuleSpec("flash_attn", None)
    vars(module)["flash_attn_with_kvcache"] = flash_attn_with_kvcache
    return module


@given(case=cases())
@settings(max_examples=30, deadline=None)
def test_the_adapter_attends_as_the_reference_does(case: Case) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "flash_attn", stand_in())
        found = case.attend(FlashAttention())
    torch.testing.assert_close(found, case.attend(ReferenceAttention()), atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("installed")
def test_a_batch_decoded_through_the_adapter_gives_the_same_text(oracle: Oracle) -> None:
    requests = random_requests(6, longest=12, most=5)
    found = decode(load(oracle.directory, attention=FlashAttention()), requests)
    wanted = decode(load(oracle.directory), requests)
    assert [completion.token_ids for completion in found] == [completion.token_ids for completion in wanted]


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("dtype", (torch.float16, torch.bfloat16))
@pytest.mark.parametrize("name", ("auto", "flash"))
def test_cuda_gets_flash_attention_where_it_is_installed(name: str, dtype: torch.dtype) -> None:
    assert isinstance(choose_attention(name, CUDA, dtype), FlashAttention)


@pytest.mark.usefixtures("installed")
def test_a_cpu_never_gets_it_by_itself() -> None:
    assert isinstance(choose_attention("auto", torch.device("cpu"), torch.bfloat16), SdpaAttention)


def assert_only_sdpa(dtype: torch.dtype, why: str) -> None:
    """By itself the choice is SDPA; who asks for flash-attn is told why not."""
    assert isinstance(choose_attention("auto", CUDA, dtype), SdpaAttention)
    with pytest.raises(OptionError, match=why):
        choose_attention("flash", CUDA, dtype)


@pytest.mark.usefixtures("installed")
def test_float32_which_the_kernel_does_not_take_is_left_to_sdpa() -> None:
    assert_only_sdpa(torch.float32, r"'flash' takes fp16 and bf16, the model is in float32; use dtype='fp16' or attention='sdpa'")


@pytest.mark.usefixtures("installed")
def test_a_card_older_than_the_kernel_is_left_to_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (7, 5))
    assert_only_sdpa(torch.float16, r"needs a card of compute capability 8\.0 \(Ampere\) or newer, cuda has 7\.5; use attention='sdpa'")


@pytest.mark.usefixtures("installed")
def test_a_package_without_alibi_is_left_to_sdpa(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["flash_attn"], "flash_attn_with_kvcache", lambda q, k_cache, v_cache: q)
    assert_only_sdpa(torch.float16, r"needs flash-attn>=2\.5\.8, the one installed knows no ALiBi")


@pytest.mark.parametrize("error", ("ImportError('undefined symbol: _ZN3c10')", "OSError('libcudart.so.11.0: no such file')"))
def test_a_package_built_for_another_torch_is_left_to_sdpa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: str) -> None:
    (tmp_path / "flash_attn.py").write_text(f"raise {error}", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "flash_attn", raising=False)
    assert_only_sdpa(torch.float16, r"the one installed does not import \((undefined symbol|libcudart).*\); build it again")
