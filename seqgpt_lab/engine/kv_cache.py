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
        batch = key.shape[0]
        # select and narrow, not brackets: indexing asks for a real device, and this pass is also traced on fake ones.
        keys = self.keys.select(0, layer).narrow(0, 0, batch)
        values = self.values.select(0, layer).narrow(0, 0, batch)
        places = (torch.arange(batch, device=key.device).unsqueeze(1), geometry.positions)
        keys.index_put_(places, key)
        values.index_put_(places, value)
        return keys.narrow(1, 0, geometry.slots), values.narrow(1, 0, geometry.slots)

    def move_row(self, source: int, target: int, length: int) -> None:
        """Copy `length` slots of row `source` over row `target`: how the last row takes the place of one that finished."""
        self.keys[:, target, :length] = self.keys[:, source, :length]
        self.values[:, target, :length] = self.values[:, source, :length]
