"""How torch computes on CUDA in this process, set once before a model is loaded there; knows no model."""

from __future__ import annotations

import torch


def prepare_cuda(device: torch.device) -> None:
    """Settings of the whole process under which this engine's models run on a card; nothing for another device. Starts no CUDA."""
    if device.type != "cuda":
        return
    # Half-precision sums inside a product change text between runs of different shapes; the default is on, for both dtypes.
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    # torch prefers cuDNN's attention on cards like H200. It plans anew for every shape, and here nearly every pass has one of its own.
    torch.backends.cuda.enable_cudnn_sdp(False)
