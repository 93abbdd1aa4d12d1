"""Turns a pickle checkpoint into FP16 safetensors without running its code; knows files and dtypes, no arithmetic."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from seqgpt_lab.engine.checkpoint import indexed_files
from seqgpt_lab.engine.config import DTYPES, ModelConfig
from seqgpt_lab.engine.memory import is_out_of_memory, within_memory
from seqgpt_lab.engine.storing import store_tensors
from seqgpt_lab.engine.weights import COPIES_DIFFER, TIED_HEAD_DIFFERS, is_old_mask, plain_name, read_headers
from seqgpt_lab.errors import CheckpointError, OptionError
from seqgpt_lab.files import new_directory

_SHARD_BYTES = 4 << 30
_SHARD = re.compile(r"(.*[-_])(\d{1,6})-of-(\d{1,6})(\.\w+)")
_EMBEDDINGS = ("transformer.word_embeddings.weight", "word_embeddings.weight")
_COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "configuration.json")


def convert(source: Path, destination: Path, *, dtype: str = "fp16") -> Path:
    """Write `source`'s weights (pickle .bin, or safetensors) as safetensors of `dtype` into the new directory `destination`.

    Pickles are read with weights_only=True: tensors and nothing else. The directory appears whole or not at all.
    Raises CheckpointError for weights that are unreadable, lack a shard, are there twice and differ, or hold a head of their own where
    config.json ties it; OptionError when the destination exists or the dtype is unknown, OSError when there is no room on the disk,
    CapacityError when there is none in memory.
    """
    if dtype not in DTYPES:
        raise OptionError(f"unknown dtype {dtype!r}; choose {', '.join(DTYPES)}")
    if destination.exists():
        raise OptionError(f"{destination} exists already; name a directory that does not, nothing is overwritten")
    source_model = source / "model" if (source / "model" / "config.json").exists() else source
    config = ModelConfig.read(source_model / "config.json")
    with within_memory(lambda: f"the weights of {source_model} do not fit into memory twice", "convert them on a machine with more"):
        tensors = _converted(_read(source_model), dtype)
    if config.tied_head:
        head = tensors.pop("lm_head.weight", None)
        if head is not None and any(not torch.equal(head, tensors[name]) for name in _EMBEDDINGS if name in tensors):
            raise CheckpointError(TIED_HEAD_DIFFERS.format(source_model))
    with new_directory(destination) as beside:
        _write(tensors, beside)
        written = json.loads((source_model / "config.json").read_text(encoding="utf-8"))
        written.pop("dtype", None)  # the same thing as transformers 5 spells it
        written["torch_dtype"] = str(DTYPES[dtype]).removeprefix("torch.")
        (beside / "config.json").write_text(json.dumps(written, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        for folder in (source_model, source, source / "tokenizer"):
            for name in _COPIED:
                if (folder / name).exists():
                    shutil.copyfile(folder / name, beside / name)
    return destination


def _converted(tensors: dict[str, Tensor], dtype: str) -> dict[str, Tensor]:
    result, places = dict[str, Tensor](), set[int]()
    for name, tensor in tensors.items():
        found = tensor.to(DTYPES[dtype]).contiguous()
        result[name] = found.clone() if found.data_ptr() in places else found  # two of one memory are not written
        places.add(found.data_ptr())
    broken = [name for name, tensor in result.items() if not tensor.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"{len(broken)} tensors, such as {broken[0]}, are not finite in {dtype}; convert with dtype bf16 or fp32, which reach further"
        )
    return result


def _read(model: Path) -> dict[str, Tensor]:
    """Every weight once, by the name that it is stored under; masks of old versions are left out.

    Raises CheckpointError for two tensors that stand for the same weights and differ, and for one that holds no floats.
    """
    kept: dict[str, tuple[str, Path, Tensor]] = {}
    for path, found in _files(model):
        for name, tensor in found.items():
            if is_old_mask(name):
                continue
            if not tensor.is_floating_point():
                stored = str(tensor.dtype).removeprefix("torch.")
                raise CheckpointError(
                    f"{path}: tensor {name} is stored as {stored}; floats are needed, quantised weights are not converted"
                )
            known, place, first = kept.setdefault(plain_name(name), (name, path, tensor))
            if first is not tensor and (first.dtype != tensor.dtype or not torch.equal(first, tensor)):
                raise CheckpointError(COPIES_DIFFER.format(f"{known} of {place}", f"{name} of {path}"))
    return {name: tensor for name, _, tensor in kept.values()}


def _files(model: Path) -> Iterator[tuple[Path, dict[str, Tensor]]]:
    """Each file of weights with its tensors."""
    pickles = _whole(model.glob("pytorch_model*.bin"), model / "pytorch_model.bin.index.json")
    if not pickles and any(model.glob("*.safetensors")):  # other pickles beside them are a trainer's state, not weights
        yield from _read_safetensors(_whole(model.glob("*.safetensors"), model / "model.safetensors.index.json"))
        return
    pickles = pickles or sorted([*model.glob("*.bin"), *model.glob("*.pt")])
    if not pickles:
        raise CheckpointError(f"{model} holds no weights: neither pickle (.bin, .pt) nor .safetensors files")
    for path in pickles:
        try:
            found = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # bytes that are no checkpoint raise nearly anything
            if is_out_of_memory(error):
                raise
            raise CheckpointError(
                f"{path} is not a plain file of tensors ({_reason(error)}); it was not run, and cannot be converted"
            ) from error
        if not isinstance(found, dict) or not all(isinstance(name, str) and isinstance(value, Tensor) for name, value in found.items()):
            raise CheckpointError(f"{path} holds something else than named tensors; a checkpoint saved with state_dict() is needed")
        yield path, found


def _whole(found: Iterable[Path], index: Path) -> Sequence[Path]:
    """The files of a checkpoint of which some were found: those of its index, or its one file, or else all, where none is absent.

    Raises CheckpointError naming the shards that are not there; without an index their names say how many there should be.
    """
    files = sorted(found)
    if files and index.exists():
        return indexed_files(index)
    if (single := index.with_name(index.name.removesuffix(".index.json"))) in files:
        return [single]
    names = {path.name for path in files}
    for shard in filter(None, map(_SHARD.fullmatch, sorted(names))):
        before, number, total, after = shard.groups()
        wanted = [f"{before}{one:0{len(number)}}-of-{total}{after}" for one in range(1, int(total) + 1)]
        if missing := [name for name in wanted if name not in names]:
            raise CheckpointError(f"{index.parent} lacks {len(missing)} of {len(wanted)} shards: {', '.join(missing)}; add them")
    return files


def _reason(error: Exception) -> str:
    """torch's finding in a line, without its advice to read the file unsafely."""
    finding = str(error).rpartition("WeightsUnpickler error:")[2].strip().partition(" Please use")[0]
    return finding.splitlines()[0] if finding else type(error).__name__


def _read_safetensors(files: Sequence[Path]) -> Iterator[tuple[Path, dict[str, Tensor]]]:
    from safetensors.torch import load_file

    read_headers(files)  # names a file that is cut short
    for path in files:
        yield path, load_file(path)


def _write(tensors: dict[str, Tensor], directory: Path) -> None:
    """One file up to 4 GiB, else shards with an index, as transformers writes them."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in tensors.items():
        size += tensor.nbytes
        if size > _SHARD_BYTES and shards[-1]:
            shards.append({})
            size = tensor.nbytes
        shards[-1][name] = tensor
    if len(shards) == 1:
        store_tensors(shards[0], directory / "model.safetensors")
        return
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        name = f"model-{number:05}-of-{len(shards):05}.safetensors"
        store_tensors(shard, directory / name)
        weight_map.update(dict.fromkeys(shard, name))
    index = {"metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
