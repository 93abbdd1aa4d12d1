"""Keys and values of the tokens each row has seen; slot = position, so a prefix copies as it is. Knows no attention arithmetic."""

from __future__ import annotations

import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry


class KVCache:
    """keys, values: [layers, rows, slots, heads, head_dim]. How long each row is, the decode loop keeps."""

    def __init__(self, layers: int, rows: int, slots: int, heads: int, head_dim: int, *, dtype: torch.dtype, device: torch.device) -> None:
        shape = (layers, rows, slots, heads, head_dim)
        # Zeros, not garbage: a masked slot still enters 0 * value, and 0 * NaN would be NaN.
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros(shape, dtype=dtype, device=device)

    @property
    def rows(self) -> int:
        return int(self.keys.shape[1])

    def update(self, layer: int, key: Tensor, value: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
        """Write new tokens [B, T, H, D] into the first B rows at their slots; returns all that is visible, [B, S, H, D]."""
        batch, count = key.shape[:2]
        keys, values = self.keys[layer, :batch], self.values[layer, :batch]
        if geometry.fresh:
            keys[:, :count], values[:, :count] = key, value
        else:
            rows = torch.arange(batch, device=key.device)[:, None]
            keys[rows, geometry.positions], values[rows, geometry.positions] = key, value
        return keys[:, : geometry.slots], values[:, : geometry.slots]

    def move_row(self, source: int, target: int, length: int) -> None:
        """Copy `length` slots of row `source` over row `target`: how the last row takes the place of one that finished."""
        self.keys[:, target, :length] = self.keys[:, source, :length]
        self.values[:, target, :length] = self.values[:, source, :length]
