"""Attention over packed rows: every question sees its text and itself; knows positions and blocks, not what they hold."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from seqgpt_lab.embedded.fused.functions import attention
from seqgpt_lab.embedded.packing import PAD_BLOCK, Batch
from seqgpt_lab.engine.attention import Geometry, Prepared, SdpaAttention


class PackedAttention(SdpaAttention):
    """Attention by a batch's positions and blocks; set `batch` before the forward pass.

    compiled: by `fused`, which must be loaded and is for a CPU; else SDPA with a bias.
    last: query and keys [B, T, H, D] of the layer that ran last.
    """

    def __init__(self, compiled: bool = False) -> None:
        self.compiled = compiled
        self.batch: Batch | None = None
        self.last: tuple[Tensor, Tensor] | None = None

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared:
        if self.batch is None:
            return super().prepare(geometry, slopes, dtype)
        if self.compiled:
            return Prepared(slopes)
        # Under autocast the queries come in its dtype, whatever the hidden states have.
        kind = slopes.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else dtype
        return Prepared(slopes, bias=packed_bias(self.batch, slopes).to(dtype))

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, prepared: Prepared) -> Tensor:
        if self.batch is None:
            return super().attend(query, keys, values, prepared)
        self.last = (query, keys)
        if prepared.bias is None:
            return attention(query, keys, values, prepared.slopes, self.batch.blocks)
        if query.device.type == "cpu":
            if query.dtype == torch.bfloat16:
                return attend_in_full(query, keys, values, prepared.bias)
            return super().attend(query, keys, values, prepared)
        # cuDNN's kernel, which newer cards would take, prepares itself anew for every shape of batch.
        with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]):
            return super().attend(query, keys, values, prepared)


def attend_in_full(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Attention [B, T, H, D] with all of its weights in memory: in bfloat16, forward and backward take half the time of torch's fused
    kernel on a CPU without AMX (in float32 a quarter more)."""
    batch, count, heads, width = query.shape
    flat = [part.transpose(1, 2).reshape(batch * heads, count, width) for part in (query, keys, values)]  # [B * H, T, D]
    scores = torch.bmm(flat[0] * width**-0.5, flat[1].mT).view(batch, heads, count, count) + bias
    weights = torch.softmax(scores, dim=-1).view(batch * heads, count, count)
    return torch.bmm(weights, flat[2]).view(batch, heads, count, width).transpose(1, 2)


def packed_bias(batch: Batch, slopes: Tensor) -> Tensor:
    """ALiBi bias [B, H, T, T] over packed positions; -inf for the future and for other questions. A pad sees itself only."""
    distance = batch.positions[:, None, :] - batch.positions[:, :, None]  # [B, T, T]: key minus query
    past = torch.tril(torch.ones_like(distance[0], dtype=torch.bool))
    hidden = ~(past & _same_or_text(batch.blocks[:, :, None], batch.blocks[:, None, :]))
    return (slopes[None, :, None, None] * distance[:, None]).masked_fill(hidden[:, None], -torch.inf)


def packed_bias_of(batch: Batch, rows: Tensor, tokens: Tensor, slope: Tensor) -> Tensor:
    """The same of one head, whose slope is [], for the tokens [N] of the rows [N] alone: [N, T]."""
    distance = batch.positions[rows] - batch.positions[rows, tokens, None]
    past = torch.arange(batch.ids.shape[1], device=rows.device) <= tokens[:, None]
    hidden = ~(past & _same_or_text(batch.blocks[rows, tokens, None], batch.blocks[rows]))
    return (slope * distance).masked_fill(hidden, -torch.inf)


def _same_or_text(query: Tensor, key: Tensor) -> Tensor:
    """Whether a token of one block may see one of another."""
    return (query == key) | ((key == 0) & (query != PAD_BLOCK))
