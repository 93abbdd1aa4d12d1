"""Attention with ALiBi over cached keys and values, three ways behind one interface; knows no weights and no vocabulary.

Slot = position: row b's new tokens sit at slots starts[b] .. starts[b] + T - 1 of its keys and values, and see every slot up
to their own. Slots past a row's length hold leftovers that no query of that row may see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from inspect import signature
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.errors import OptionError

_FLASH_DTYPES = (torch.float16, torch.bfloat16)
_FLASH_CAPABILITY = (8, 0)
_ALIGNED = 16  # slots; torch's fused kernel for cards wants a mask's rows to begin at multiples of 8, or 16, by its version


def alibi_slopes(heads: int) -> Tensor:
    """ALiBi slopes [heads] float32 for ALL heads of a model; a rank slices these, it never computes its own.

    Press, Smith & Lewis 2022 (ALiBi): for n = 2^k heads the slopes are 2^(-8 i / n), i = 1..n. Other head counts take the
    slopes of the largest power of two below, then every other slope of twice that.
    """
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * i / power) for i in range(1, power + 1)]
    slopes += [2 ** (-4 * i / power) for i in range(1, 2 * (heads - power) + 1, 2)]
    return torch.tensor(slopes, dtype=torch.float32)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a pass's new tokens sit: the same for every layer, so worked out once a pass.

    starts: [B] int64, each row's length before the pass. new_tokens: T. slots: S, how many key slots are looked at.
    fresh: every row starts at slot 0, so one bias serves all rows.
    """

    starts: Tensor
    new_tokens: int
    slots: int
    fresh: bool = False

    @property
    def positions(self) -> Tensor:
        """[B, T] int64: the slot of each new token ([1, T] when fresh)."""
        steps = torch.arange(self.new_tokens, device=self.starts.device)
        return steps.unsqueeze(0) if self.fresh else self.starts.unsqueeze(1) + steps


@dataclass(frozen=True, slots=True)
class Prepared:
    """What one pass's layers share. slopes: [H] float32. bias: [B or 1, H, T, S], or lengths: [B] int32 after the pass."""

    slopes: Tensor
    bias: Tensor | None = None
    lengths: Tensor | None = None


class Attention(Protocol):
    """One way to attend. `prepare` runs once a pass, `attend` once a layer with what it returned."""

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared: ...

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, prepared: Prepared) -> Tensor:
        """query [B, T, H, D], keys and values [B, S, H, D] -> [B, T, H, D]."""
        ...


def alibi_bias(geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive bias [B or 1, H, T, S]: slope * (slot - position) for slots up to the position, -inf beyond.

    Distances are relative to the query: softmax does not mind, and near slots keep full precision in half dtypes.
    """
    slots = torch.arange(geometry.slots, device=slopes.device)
    distance = (slots - geometry.positions.unsqueeze(-1)).unsqueeze(1)  # [B, 1, T, S]
    seen = distance.float().masked_fill(distance > 0, -math.inf)  # masked before the heads multiply the work
    return (slopes.view(-1, 1, 1) * seen).to(dtype)  # [B, H, T, S]


def aligned_alibi_bias(geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Tensor:
    """As alibi_bias, the same numbers, each row of which begins a multiple of 16 numbers after the one before it."""
    slots = -(-geometry.slots // _ALIGNED) * _ALIGNED
    longer = Geometry(geometry.starts, geometry.new_tokens, slots, geometry.fresh)
    return alibi_bias(longer, slopes, dtype).narrow(-1, 0, geometry.slots)


class SdpaAttention:
    """torch's fused attention with the ALiBi bias as its mask: the default, on any device.

    On a CPU in bfloat16 a lone query a row is asked twice: torch's kernel for one query takes five times as long as that for two.
    On a card the bias lies in memory with room behind each of its rows; torch copies one that does not, once a layer.
    """

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared:
        if slopes.device.type == "cuda":
            return Prepared(slopes, bias=aligned_alibi_bias(geometry, slopes, dtype))
        bias = alibi_bias(geometry, slopes, dtype)
        twice = geometry.new_tokens == 1 and dtype == torch.bfloat16 and slopes.device.type == "cpu"
        return Prepared(slopes, bias=bias.repeat(1, 1, 2, 1) if twice else bias)

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, prepared: Prepared) -> Tensor:
        assert prepared.bias is not None, "prepare() of this class always makes a bias"
        count, asked = query.shape[1], prepared.bias.shape[2]
        query, keys, values = query.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)  # [B, H, T or S, D]
        if asked > count:
            query = query.repeat(1, 1, asked, 1)
        mixed = functional.scaled_dot_product_attention(query, keys, values, attn_mask=prepared.bias).transpose(1, 2)  # [B, T, H, D]
        return mixed.narrow(1, 0, count) if asked > count else mixed


class ReferenceAttention:
    """The definition, spelled out in float32: slow, and what the other two are tested against."""

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared:
        return Prepared(slopes, bias=alibi_bias(geometry, slopes, torch.float32))

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, prepared: Prepared) -> Tensor:
        assert prepared.bias is not None, "prepare() of this class always makes a bias"
        scores = torch.einsum("bthd,bshd->bhts", query.float(), keys.float()) / math.sqrt(query.shape[-1])
        weights = torch.softmax(scores + prepared.bias, dim=-1)
        return torch.einsum("bhts,bshd->bthd", weights, values.float()).to(query.dtype)


class FlashAttention:
    """flash-attn's KV-cache kernel: CUDA only; ALiBi slopes in float32, lengths as `cache_seqlens`, no bias in memory.

    With k=None the kernel reads the cache as it is (this engine has written the new tokens already) and aligns the last of
    the T queries with the last of each row's slots, which is what right-padded rows need.
    """

    def __init__(self) -> None:
        from flash_attn import flash_attn_with_kvcache

        self._kernel = flash_attn_with_kvcache

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared:
        return Prepared(slopes, lengths=(geometry.starts + geometry.new_tokens).to(torch.int32))

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, prepared: Prepared) -> Tensor:
        mixed: Tensor = self._kernel(
            query,
            keys,
            values,
            cache_seqlens=prepared.lengths,
            softmax_scale=query.shape[-1] ** -0.5,
            causal=True,
            alibi_slopes=prepared.slopes,
        )
        return mixed


def choose_attention(name: str, device: torch.device, dtype: torch.dtype) -> Attention:
    """'auto' is flash-attn where it can run, else SDPA. Raises OptionError for what cannot work."""
    if name not in ("auto", "sdpa", "flash", "reference"):
        raise OptionError(f"unknown attention {name!r}; choose auto, sdpa, flash or reference")
    if name == "reference":
        return ReferenceAttention()
    if name == "sdpa":
        return SdpaAttention()
    why_not = _why_no_flash(device, dtype)
    if why_not and name == "flash":
        raise OptionError(f"attention 'flash' {why_not}")
    return SdpaAttention() if why_not else FlashAttention()


def _why_no_flash(device: torch.device, dtype: torch.dtype) -> str:
    """Why flash-attn cannot run here and what would help; empty where it can."""
    if device.type != "cuda":
        return f"needs a CUDA device, this is {device.type!r}; use attention='sdpa'"
    if dtype not in _FLASH_DTYPES:
        return f"takes fp16 and bf16, the model is in {str(dtype).removeprefix('torch.')}; use dtype='fp16' or attention='sdpa'"
    try:
        from flash_attn import flash_attn_with_kvcache
    except ModuleNotFoundError as error:
        if error.name == "flash_attn":
            return "needs flash-attn>=2.5.8, which is missing; pip install 'seqgpt-lab[flash]' or use attention='sdpa'"
        return _does_not_import(error)
    except (ImportError, OSError, RuntimeError) as error:  # built for another torch, as a rule
        return _does_not_import(error)
    if "alibi_slopes" not in signature(flash_attn_with_kvcache).parameters:
        return "needs flash-attn>=2.5.8, the one installed knows no ALiBi with a cache; pip install -U flash-attn or use attention='sdpa'"
    if (capability := torch.cuda.get_device_capability(device)) < _FLASH_CAPABILITY:
        has, wanted = (".".join(map(str, one)) for one in (capability, _FLASH_CAPABILITY))
        return f"needs a card of compute capability {wanted} (Ampere) or newer, {device} has {has}; use attention='sdpa'"
    return ""


def _does_not_import(error: Exception) -> str:
    return (
        f"needs a flash-attn built for torch {torch.__version__}, the one installed does not import "
        f"({' '.join(str(error).split())[:200]}); build it again or use attention='sdpa'"
    )
