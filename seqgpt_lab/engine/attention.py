"""Attention with ALiBi over cached keys and values, three ways behind one interface; knows no weights and no vocabulary.

Slot = position: row b's new tokens sit at slots starts[b] .. starts[b] + T - 1 of its keys and values, and see every slot up
to their own. Slots past a row's length hold leftovers that no query of that row may see.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from seqgpt_lab.errors import OptionError


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


class SdpaAttention:
    """torch's fused attention with the ALiBi bias as its mask: the default, on any device.

    On a CPU in bfloat16 a lone query a row is asked twice: torch's kernel for one query takes five times as long as that for two.
    """

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared:
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


def choose_attention(name: str, device: torch.device) -> Attention:
    """'auto' is flash-attn where it is installed and the device is CUDA, else SDPA. Raises OptionError for what cannot work."""
    if name == "auto":
        name = "flash" if device.type == "cuda" and find_spec("flash_attn") else "sdpa"
    if name == "sdpa":
        return SdpaAttention()
    if name == "reference":
        return ReferenceAttention()
    if name != "flash":
        raise OptionError(f"unknown attention {name!r}; choose auto, sdpa, flash or reference")
    if device.type != "cuda":
        raise OptionError(f"attention 'flash' needs a CUDA device, this is {device.type!r}; use attention='sdpa'")
    if not find_spec("flash_attn"):
        raise OptionError(
            "attention 'flash' needs flash-attn>=2.5.8, which is missing; pip install 'seqgpt-lab[flash]' or use attention='sdpa'"
        )
    return FlashAttention()
