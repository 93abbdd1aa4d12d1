"""Attention of neighbouring rows over one text they share, read once for all of them, beside each one's own slots. Knows no weights.

Softmax over two sets of slots is softmax over each, weighed by what its exponentials sum to (the rule by which flash attention joins
its blocks: Dao et al. 2022). So nothing is approximated, and slots that rows have in common need not be there once a row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Attention, SdpaAttention

Text = tuple[Tensor, ...]
"""Keys and values [layers, L, heads, head_dim] of a text, as `reuse.py` keeps them. Rows share a text if they hold the same object."""

WORTH_SHARING = 256
"""Tokens of a text from which it is shared: rows of other texts cannot attend in one rectangle with its rows, which costs more."""


def can_share(attention: Attention, device: torch.device) -> bool:
    """Whether texts can be shared with it there: it takes a kernel that tells the sums, and torch has that of its own for CPUs."""
    return device.type == "cpu" and isinstance(attention, SdpaAttention)


def length_of(text: Text | None) -> int:
    """How many slots a text stands for."""
    return text[0].shape[1] if text else 0


class Beside:
    """What the layers of one pass share of a text that N queries look at.

    beyond: [N] int64, how far past the end of the text each query stands, 0 the first slot after it. slopes: [H] float32.
    """

    def __init__(self, text: Text, beyond: Tensor, slopes: Tensor, dtype: torch.dtype) -> None:
        self.text = text
        distance = torch.arange(1 - length_of(text), 1, device=slopes.device)
        self.bias = (slopes.view(1, -1, 1, 1) * distance).to(dtype)  # [1, H, 1, L]: ALiBi as the text's last slot sees it
        self.further = (beyond + 1).unsqueeze(1) * slopes  # [N, H] float32: what it takes off for the way to that slot

    def join(self, query: Tensor, layer: int, own: Tensor, own_sum: Tensor) -> Tensor:
        """query [N, H, D], and what `attend_and_sum` found for it in the rows' own slots, [N, H, D] and [N, H] -> [N, H, D]."""
        keys, values = (each.narrow(0, layer, 1) for each in self.text)  # [1, L, H, D] each
        shared, shared_sum = (each.squeeze(0) for each in attend_and_sum(query.unsqueeze(0), keys, values, self.bias))
        weight = torch.sigmoid(shared_sum - self.further - own_sum).unsqueeze(-1)
        return torch.lerp(own.float(), shared.float(), weight).to(query.dtype)


def attend_and_sum(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """query [B, T, H, D], keys and values [B, S, H, D], bias that broadcasts to [B, H, T, S].

    Returns the mixed values [B, T, H, D] and the logarithm of what the exponentials sum to [B, T, H] float32.
    """
    assert bias is not None, "SdpaAttention, the one for CPUs, prepares a bias"
    count = query.shape[1]
    query, keys, values = query.transpose(1, 2), keys.transpose(1, 2), values.transpose(1, 2)
    if count == 1:  # twice, as in SdpaAttention
        query, bias = query.repeat(1, 1, 2, 1), bias[:, :, :1].expand(-1, -1, 2, -1)
    mixed, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, keys, values, 0.0, False, attn_mask=bias)
    return mixed.transpose(1, 2).narrow(1, 0, count), log_sum.transpose(1, 2).narrow(1, 0, count)
