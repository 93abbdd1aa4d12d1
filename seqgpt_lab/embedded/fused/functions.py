"""The compiled attention, activation and loss as torch's autograd uses them; `build.load` must have run. Knows packed rows, no model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, query: Tensor, key: Tensor, value: Tensor, slopes: Tensor, blocks: Tensor) -> Tensor:
        mixed, log_sums = torch.ops.seqgpt_lab_training.attention(query, key, value, slopes, blocks)
        context.save_for_backward(query, key, value, slopes, blocks, mixed, log_sums)
        return mixed  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable  # type: ignore[misc, untyped-decorator, unused-ignore]
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (*torch.ops.seqgpt_lab_training.attention_back(*context.saved_tensors, gradient.contiguous()), None, None)


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        values = values.contiguous()
        context.save_for_backward(values)
        return torch.ops.seqgpt_lab_training.gelu(values)  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable  # type: ignore[misc, untyped-decorator, unused-ignore]
    def backward(context: Any, gradient: Tensor) -> Tensor:
        (values,) = context.saved_tensors
        return torch.ops.seqgpt_lab_training.gelu_back(values, gradient.contiguous())  # type: ignore[no-any-return]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, logits: Tensor, targets: Tensor) -> Tensor:
        losses, gradient = torch.ops.seqgpt_lab_training.cross_entropy(logits, targets)
        context.save_for_backward(gradient)
        return losses.mean()  # type: ignore[no-any-return]

    @staticmethod
    @once_differentiable  # type: ignore[misc, untyped-decorator, unused-ignore]
    def backward(context: Any, above: Tensor) -> tuple[Tensor, None]:
        (gradient,) = context.saved_tensors
        return gradient if above == 1 else gradient * above.to(gradient.dtype), None


def attention(query: Tensor, key: Tensor, value: Tensor, slopes: Tensor, blocks: Tensor) -> Tensor:
    """ALiBi attention over packed rows: query, key, value [B, T, H, 64], slopes [H] float32, blocks [B, T] int64 -> [B, T, H, 64].

    A token sees its block up to itself, and, of a question's block (1..), all of the text's (0). Pads (block -1) come last and get zeros.
    """
    return _Attention.apply(query, key, value, slopes, blocks)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


def gelu(values: Tensor) -> Tensor:
    """GELU by way of tanh, of float32 or bfloat16."""
    return _Gelu.apply(values)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]


def cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[target]: logits [N, V] float32 or bfloat16, targets [N] int64."""
    return _CrossEntropy.apply(logits, targets)  # type: ignore[no-any-return, no-untyped-call, unused-ignore]
