"""Reads safetensors straight into a model's parameters, this rank's slices only; knows names and shapes, no arithmetic.

Each tensor is read from the file into the memory it will stay in: no mapped copy beside it, no pass through another dtype.
Only when the wanted dtype differs from the stored one is a buffer of a megabyte in between.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from seqgpt_lab.engine.attention import Attention, alibi_slopes
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.errors import CheckpointError

_STORED = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32}
_CHUNK_BYTES = 1 << 20  # larger buffers, once freed, leave holes in the heap of up to a tenth of the weights
_TOLD = 40  # of the tensors that do not fit: a wrong number of layers makes thousands
_OLD_MASK = re.compile(r"(.*\.)?((self_attention|attention|attn)\.(masked_)?bias|scale_mask_softmax\.causal_mask|alibi)")
COPIES_DIFFER = "{} and {} stand for the same weights and differ; remove the one that is not this model's, or download the model again"
TIED_HEAD_DIFFERS = (
    "{} holds an lm_head.weight that differs from word_embeddings.weight, although config.json ties them; set tie_word_embeddings to "
    "false there to score with that head, or remove it from the weights"
)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a safetensors file: data starts at byte `offset` of `path`, row-major."""

    path: Path
    offset: int
    shape: tuple[int, ...]
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows and columns of a stored 2-D tensor (or the elements of a 1-D one, in `rows`) that a rank holds; None is all."""

    rows: range | None = None
    columns: range | None = None


def load_model(
    config: ModelConfig, files: Sequence[Path], *, shard: Shard, dtype: torch.dtype, device: torch.device, attention: Attention
) -> Bloom:
    """The model on `device` in `dtype`, ready to run. Raises CheckpointError naming every missing, extra or misshapen tensor."""
    stored = _without_prefix(read_headers(files))
    with torch.device("meta"):
        model = Bloom(config, shard, attention)
    wanted = {stored_name(name): name for name, _ in model.named_parameters()}
    full = _full_shapes(config)
    _check_names(stored, full, config)
    parameters: dict[str, Tensor] = {}
    for source, name in wanted.items():
        part = _slice(source, config, shard)
        tensor = read_tensor(stored[source], part, dtype)
        if source == "word_embeddings.weight" and config.tied_head and "lm_head.weight" in stored:
            _check_tied_head(stored["lm_head.weight"], tensor, part.rows or range(config.vocab_size))
        parameters[name] = tensor.to(device)
    model.load_state_dict(parameters, assign=True)
    heads = shard.heads(config.heads)
    model.slopes = alibi_slopes(config.heads)[heads.start : heads.stop].to(device)
    return model.requires_grad_(False).eval()


def read_headers(files: Sequence[Path]) -> dict[str, StoredTensor]:
    """Every tensor of some safetensors files by name, but for masks that old versions stored, which are no weights.

    Raises CheckpointError for files that are cut short or corrupt, for a dtype other than fp16, bf16 and fp32, and for a tensor that is
    in two files with other numbers.
    """
    found: dict[str, StoredTensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt"):  # checks the header, and that the offsets fill the file exactly
                pass
        except (SafetensorError, OSError) as error:
            size = path.stat().st_size if path.exists() else 0
            raise CheckpointError(f"{path} ({size:,} bytes) is not a whole safetensors file: {error}; download it again") from error
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length))
        for name, entry in header.items():
            if name == "__metadata__" or is_old_mask(name):
                continue
            if entry["dtype"] not in _STORED:
                raise CheckpointError(
                    f"{path}: tensor {name} is stored as {entry['dtype']}; this engine reads {', '.join(_STORED)}; store it so"
                )
            stored = StoredTensor(path, 8 + length + entry["data_offsets"][0], tuple(entry["shape"]), _STORED[entry["dtype"]])
            _check_copies(name, found.get(name, stored), name, stored)
            found[name] = stored
    return found


def is_old_mask(name: str) -> bool:
    """Whether old versions of transformers stored a mask or ALiBi's numbers under this name: no weights, and made anew today."""
    return _OLD_MASK.fullmatch(name) is not None


def _check_copies(name: str, one: StoredTensor, other_name: str, other: StoredTensor) -> None:
    """Raises CheckpointError for two tensors that stand for the same weights with other numbers: which is meant, nobody can tell."""
    if one != other and not _same_bytes(one, other):
        raise CheckpointError(COPIES_DIFFER.format(f"{name} of {one.path}", f"{other_name} of {other.path}"))


def _same_bytes(one: StoredTensor, other: StoredTensor) -> bool:
    if (one.shape, one.dtype) != (other.shape, other.dtype):
        return False
    size = math.prod(one.shape) * one.dtype.itemsize
    with one.path.open("rb") as first, other.path.open("rb") as second:
        first.seek(one.offset)
        second.seek(other.offset)
        for start in range(0, size, _CHUNK_BYTES):
            count = min(_CHUNK_BYTES, size - start)
            if first.read(count) != second.read(count):
                return False
    return True


def read_tensor(stored: StoredTensor, part: Slice, dtype: torch.dtype) -> Tensor:
    """Read a slice of a stored tensor into new memory of `dtype`; reads no byte outside the slice."""
    rows = part.rows if part.rows is not None else range(stored.shape[0])
    width = stored.shape[1] if len(stored.shape) > 1 else 1
    columns = part.columns if part.columns is not None else range(width)
    result = torch.empty((len(rows), len(columns)), dtype=dtype)
    with stored.path.open("rb", buffering=0) as file:
        _fill(result, file.fileno(), stored, rows, columns, width)
    return result if len(stored.shape) > 1 else result[:, 0]


def _fill(result: Tensor, descriptor: int, stored: StoredTensor, rows: range, columns: range, width: int) -> None:
    """Whole rows are read in runs of megabytes, partial rows one by one; straight into `result` when the dtypes agree."""
    if not len(rows) or not len(columns):
        return
    item, whole = stored.dtype.itemsize, len(columns) == width
    step = max(1, _CHUNK_BYTES // (width * item)) if whole else 1
    same = result.dtype == stored.dtype
    scratch = torch.empty((0 if same else min(step, len(rows)), len(columns)), dtype=stored.dtype)
    for start in range(0, len(rows), step):
        count = min(step, len(rows) - start)
        target = result[start : start + count] if same else scratch[:count]
        at = stored.offset + ((rows.start + start) * width + columns.start) * item
        _read_into(target, descriptor, at, stored.path)
        if not same:
            result[start : start + count] = target  # the copy converts


def _read_into(target: Tensor, descriptor: int, at: int, path: Path) -> None:
    view, done = target.reshape(-1).view(torch.uint8).numpy().data, 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], at + done)
        if count == 0:
            raise CheckpointError(
                f"{path} ended at byte {at + done} while its header promises more; it changed while being read; load it again"
            )
        done += count


def _without_prefix(stored: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Names as in BloomModel: some checkpoints write `transformer.h.0…`, some `h.0…`. Raises CheckpointError for two that differ."""
    names = {plain_name(name): name for name in stored}
    for name, tensor in stored.items():
        kept = names[plain_name(name)]
        _check_copies(name, tensor, kept, stored[kept])
    return {plain: stored[name] for plain, name in names.items()}


def plain_name(name: str) -> str:
    """As stored, without the level that a language model has over its BloomModel."""
    return name.removeprefix("transformer.")


def stored_name(name: str) -> str:
    """Our parameter names are BLOOM's without the `self_attention.` and `mlp.` levels."""
    for part, level in (("query_key_value", "self_attention"), ("dense_h_to_4h", "mlp"), ("dense_4h_to_h", "mlp")):
        name = name.replace(f".{part}.", f".{level}.{part}.")
    return name.replace(".dense.", ".self_attention.dense.")


def _full_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the whole model's tensors, as stored."""
    with torch.device("meta"):
        whole = Bloom(config)
    return {stored_name(name): tuple(parameter.shape) for name, parameter in whole.named_parameters()}


def _check_names(stored: dict[str, StoredTensor], full: dict[str, tuple[int, ...]], config: ModelConfig) -> None:
    if config.tied_head and "lm_head.weight" in stored:  # a tied head may be stored twice
        full = full | {"lm_head.weight": full["word_embeddings.weight"]}
    problems = [f"missing {name} {list(full[name])}" for name in sorted(full.keys() - stored.keys())]
    problems += [f"extra {name} {list(stored[name].shape)}" for name in sorted(stored.keys() - full.keys())]
    problems += [
        f"{name} is {list(stored[name].shape)}, config.json asks for {list(full[name])}"
        for name in sorted(stored.keys() & full.keys())
        if stored[name].shape != full[name]
    ]
    if problems:
        told = "\n  ".join(problems[:_TOLD] + ([f"and {len(problems) - _TOLD} more"] if len(problems) > _TOLD else []))
        at = f" in {next(iter(stored.values())).path.parent}" if stored else ""
        raise CheckpointError(f"the weights{at} do not fit config.json, {len(problems)} tensors differ; take both of one model:\n  {told}")


def _check_tied_head(head: StoredTensor, embeddings: Tensor, rows: range) -> None:
    """Raises CheckpointError for a head of its own beside a config.json that ties it: answers would differ by who reads the checkpoint.

    embeddings: `rows` of them, as they were read. Of the head a few rows are read at a time.
    """
    step = max(1, _CHUNK_BYTES // (embeddings.shape[1] * head.dtype.itemsize))
    for start in range(0, len(rows), step):
        mine = embeddings[start : start + step]
        if not torch.equal(read_tensor(head, Slice(rows=rows[start : start + step]), embeddings.dtype), mine):
            raise CheckpointError(TIED_HEAD_DIFFERS.format(head.path))


def _slice(name: str, config: ModelConfig, shard: Shard) -> Slice:
    """Which part of a stored tensor this rank holds: QKV by head, MLP by column, vocabulary by row, the rest whole.

    Fused QKV is laid out (heads, 3, head_dim), so a run of heads is a run of rows, in weight and bias alike.
    """
    if shard.world_size == 1:
        return Slice()
    heads, inner, dim = shard.heads(config.heads), shard.block(4 * config.hidden_size), config.head_dim
    if "query_key_value" in name:
        return Slice(rows=range(heads.start * 3 * dim, heads.stop * 3 * dim))
    if name.endswith("self_attention.dense.weight"):
        return Slice(columns=range(heads.start * dim, heads.stop * dim))
    if "dense_h_to_4h" in name:
        return Slice(rows=inner)
    if name.endswith("dense_4h_to_h.weight"):
        return Slice(columns=inner)
    if name in ("word_embeddings.weight", "lm_head.weight"):
        return Slice(rows=shard.block(config.vocab_size))
    return Slice()
