"""Writes FP16 safetensors whose tensors are made one at a time, in blocks of rows. Knows no model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from seqgpt_lab.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class Planned:
    """A tensor of a file to come. make: its rows from first to last in one or more blocks, called once."""

    name: str
    shape: tuple[int, ...]
    make: Callable[[], Iterator[Tensor]]


def write_streamed(plan: list[Planned], path: Path) -> None:
    """Write FP16 safetensors whose tensors are made one at a time: the header says in advance where each will lie.

    Layout (the format's README): 8 bytes little-endian header length, the header as JSON padded with blanks to 8 bytes, the tensors.
    Raises CheckpointError for a tensor with numbers that FP16 cannot hold.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for planned in plan:
        start, end = end, end + torch.Size(planned.shape).numel() * torch.float16.itemsize
        header[planned.name] = {"dtype": "F16", "shape": list(planned.shape), "data_offsets": [start, end]}
    written = json.dumps(header).encode("utf-8")
    written += b" " * (-len(written) % 8)
    with path.open("xb") as file:
        file.write(len(written).to_bytes(8, "little") + written)
        for planned in plan:
            _write_tensor(planned, file)


def _write_tensor(planned: Planned, file: BinaryIO) -> None:
    rows = 0
    for block in planned.make():
        half = block.to(torch.float16).contiguous()
        if not half.isfinite().all():
            raise CheckpointError(f"{planned.name} holds {block.abs().max():g}; FP16 ends at 65504, so this model cannot be stored in it")
        assert half.shape[1:] == planned.shape[1:], f"{planned.name}: {half.shape} planned as {planned.shape}"
        file.write(half.view(torch.uint8).numpy().data)
        rows += len(half)
    assert rows == planned.shape[0], f"{planned.name}: {rows} rows written, {planned.shape[0]} planned"
