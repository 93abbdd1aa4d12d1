"""Keys and values of the tokens each row has seen; slot = position, so a prefix copies as it is. Knows no attention arithmetic."""

from __future__ import annotations

import math
import sys

import numpy as np
import torch
from torch import Tensor

from seqgpt_lab.engine.attention import Geometry


class KVCache:
    """keys, values: [layers, rows, slots, heads, head_dim]. How long each row is, the decode loop keeps."""

    def __init__(self, layers: int, rows: int, slots: int, heads: int, head_dim: int, *, dtype: torch.dtype, device: torch.device) -> None:
        shape = (layers, rows, slots, heads, head_dim)
        # Zeros, not garbage: a masked slot still enters 0 * value, and 0 * NaN would be NaN.
        self.keys, self.values = _zeros(shape, dtype, device), _zeros(shape, dtype, device)

    @property
    def rows(self) -> int:
        return int(self.keys.shape[1])

    @property
    def slots(self) -> int:
        return int(self.keys.shape[2])

    @property
    def token_bytes(self) -> int:
        """Keys and values of one token in all layers."""
        return 2 * self.keys[:, 0, 0].numel() * self.keys.itemsize

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

    def write(self, layer: int, key: Tensor, value: Tensor, places: Tensor) -> None:
        """Write new tokens [N, H, D] at places [N] int64: row * slots + slot."""
        self.keys.select(0, layer).flatten(0, 1).index_copy_(0, places, key)
        self.values.select(0, layer).flatten(0, 1).index_copy_(0, places, value)

    def view(self, layer: int, first: int, rows: int, slots: int, begin: int = 0) -> tuple[Tensor, Tensor]:
        """Keys and values [rows, slots, H, D] of neighbouring rows from slot `begin` on, no copy."""
        keys, values = self.keys.select(0, layer), self.values.select(0, layer)
        return keys.narrow(0, first, rows).narrow(1, begin, slots), values.narrow(0, first, rows).narrow(1, begin, slots)

    def move_row(self, source: int, target: int, length: int, begin: int = 0) -> None:
        """Copy slots begin .. length - 1 of row `source` over row `target`: how the last row takes the place of one that finished."""
        self.keys[:, target, begin:length] = self.keys[:, source, begin:length]
        self.values[:, target, begin:length] = self.values[:, source, begin:length]

    def copy_prefix(self, row: int, length: int) -> tuple[Tensor, Tensor]:
        """A copy of the first `length` slots of a row: keys and values [layers, length, heads, head_dim]."""
        return self.keys[:, row, :length].clone(), self.values[:, row, :length].clone()

    def put_prefix(self, row: int, keys: Tensor, values: Tensor) -> None:
        """Fill the first slots of a row with what `copy_prefix` gave."""
        self.keys[:, row, : keys.shape[1]] = keys
        self.values[:, row, : values.shape[1]] = values


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """As torch.zeros; on a CPU the system zeroes the pages of large caches when they are first touched: slots never used cost nothing.

    Raises MemoryError for a size that no machine can count, where torch and numpy raise errors of other kinds.
    """
    size = math.prod(shape) * dtype.itemsize
    if size > sys.maxsize:
        raise MemoryError(f"a KV cache of shape {shape} has {size} bytes, more than any memory")
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    return torch.from_numpy(np.zeros(size, dtype=np.uint8)).view(dtype).view(shape)
