"""Linears as torch's, whose weights can be laid out beforehand as this processor multiplies them. Knows no model.

Laid out row by row, as checkpoints are, a weight is rearranged at every call, which takes longer than reading it: at few positions a
packed one takes less than half the time. The results are the same to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

_FEWEST_STATES, _FEWEST_ROWS = 8, 64  # `product_with_rows` computes; fewer take no less time


class Linear(nn.Linear):
    """torch's linear, and what a layer asks for besides. After `pack` the weight is opaque: nothing else can read it.

    activation: GELU by way of tanh, where the weight is not packed; training sets one that takes less time, of the same function.
    """

    activation: Callable[[Tensor], Tensor] = staticmethod(partial(functional.gelu, approximate="tanh"))

    def forward(self, hidden: Tensor) -> Tensor:
        """hidden [..., in_features] -> [..., out_features]."""
        return product(hidden, self.weight, self.bias)

    def without_bias(self, hidden: Tensor) -> Tensor:
        """The same less the bias."""
        return product(hidden, self.weight)

    def gelu(self, hidden: Tensor) -> Tensor:
        """And then GELU by way of tanh; where packed, before anything is rounded."""
        if self.weight.is_mkldnn:
            return torch.ops.mkldnn._linear_pointwise(hidden, self.weight, self.bias, "gelu", [], "tanh")  # type: ignore[no-any-return]
        return self.activation(self.forward(hidden))

    def pack(self) -> None:
        """Lay the weight out for this processor, if it is one for which that is of use: bfloat16 on a CPU that multiplies it."""
        if packable(self.weight):
            self.weight = nn.Parameter(packed_weight(self.weight), requires_grad=False)


def product(hidden: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """hidden [..., in] times a weight [out, in], packed or not, and a bias [out] added -> [..., out]."""
    if weight.is_mkldnn:
        return torch.ops.mkldnn._linear_pointwise(hidden, weight, bias, "none", [], "")  # type: ignore[no-any-return]
    return functional.linear(hidden, weight, bias)


def product_with_rows(hidden: Tensor, weight: Tensor, rows: Tensor, few_sizes: bool) -> Tensor:
    """hidden [..., in] times some rows [K] of a plain weight [out, in] -> [..., K].

    few_sizes: compute up to the next of few sizes, where oneDNN multiplies: of every pair of sizes it meets it keeps half a megabyte, of
    up to 1,024 pairs, and each takes it milliseconds to prepare.
    """
    if not few_sizes or not len(rows):
        return product(hidden, weight.index_select(0, rows))
    states = hidden.reshape(-1, hidden.shape[-1])
    states_asked, rows_asked = len(states), len(rows)
    rows = functional.pad(rows, (0, _next_size(rows_asked, _FEWEST_ROWS) - rows_asked))
    states = functional.pad(states, (0, 0, 0, _next_size(states_asked, _FEWEST_STATES) - states_asked))
    found = product(states, weight.index_select(0, rows))
    return found[:states_asked, :rows_asked].reshape(*hidden.shape[:-1], rows_asked)


def _next_size(count: int, least: int) -> int:
    """The next power of two, or one and a half of one, from `count` and `least` on; `least` itself is a power of two."""
    wanted = max(count, least)
    power = 1 << (wanted - 1).bit_length()
    return power * 3 // 4 if wanted <= power * 3 // 4 else power


def whole_rows(count: int) -> int:
    """How many rows to give packed products rather than `count`: the next of few sizes, less than an eighth above beyond 128.

    oneDNN prepares a product anew for each number of rows it meets, one to fifteen milliseconds each, and keeps some two hundred sizes of a
    model's products; what rows come to differs from pass to pass. One to eight rows take nearly the same time.
    """
    step = 8
    for limit, wider in ((32, 16), (256, 32), (512, 64), (1024, 128)):
        step = wider if count > limit else step
    return -(-count // step) * step


def packable(weight: Tensor) -> bool:
    """Whether `packed_weight` helps with it."""
    if weight.device.type != "cpu" or weight.dtype != torch.bfloat16 or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def packed_weight(weight: Tensor) -> Tensor:
    """A copy [out, in] in oneDNN's layout; an opaque tensor with shape, dtype and nbytes."""
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach())  # type: ignore[no-any-return]
