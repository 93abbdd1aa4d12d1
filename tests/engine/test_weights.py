"""Reading checkpoints: every layout loads exactly, everything that does not fit is named."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from seqgpt_lab.engine import weights as module
from seqgpt_lab.engine.config import DTYPES
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.weights import read_headers, stored_name
from seqgpt_lab.errors import CheckpointError
from tests.engine.oracles import Oracle, load, make_oracle, old_masks, store

Tensors = dict[str, Tensor]


def loaded(model: Bloom) -> Tensors:
    """The model's parameters under the names transformers stores them by."""
    return {
        stored_name(name) if name.startswith("lm_head") else f"transformer.{stored_name(name)}": parameter.data
        for name, parameter in model.named_parameters()
    }


def assert_same(found: Tensors, wanted: Tensors) -> None:
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor), name


def single(tensors: Tensors, folder: Path) -> None:
    store(tensors, folder / "model.safetensors")


def sharded(tensors: Tensors, folder: Path) -> None:
    names = sorted(tensors)
    for number in range(3):
        store({name: tensors[name] for name in names[number::3]}, folder / f"model-{number}.safetensors")


def without_prefix(tensors: Tensors, folder: Path) -> None:
    single({name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}, folder)


def with_tied_head_stored(tensors: Tensors, folder: Path) -> None:
    single(tensors | {"lm_head.weight": tensors["transformer.word_embeddings.weight"].clone()}, folder)


def with_old_masks(tensors: Tensors, folder: Path) -> None:
    single(tensors | old_masks(), folder)


def with_the_same_twice(tensors: Tensors, folder: Path) -> None:
    again = {name.removeprefix("transformer."): tensors[name].clone() for name in sorted(tensors)[::3]}
    store(tensors | again, folder / "model-1.safetensors")
    store({name: tensors[name] for name in sorted(tensors)[::2]}, folder / "model-2.safetensors")


LAYOUTS = (single, sharded, without_prefix, with_tied_head_stored, with_old_masks, with_the_same_twice)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_a_checkpoint_loads_the_same(oracle: Oracle, tmp_path: Path, layout: Callable[[Tensors, Path], None]) -> None:
    layout(oracle.weights(), tmp_path)
    assert_same(loaded(load(tmp_path, config=oracle.config)), oracle.weights())


@pytest.mark.parametrize("other", ("ln_f.bias", "transformer.ln_f.bias"))
@pytest.mark.parametrize("change", (lambda bias: bias + (torch.arange(192) == 191), lambda bias: bias.half(), lambda bias: bias[:9]))
def test_weights_that_are_there_twice_and_differ_are_named(
    oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str, change: Callable[[Tensor], Tensor]
) -> None:
    """transformers keeps whichever it reads last."""
    monkeypatch.setattr(module, "_CHUNK_BYTES", 100)  # small, so that they are compared in many pieces
    sharded(oracle.weights(), tmp_path)
    store({other: change(oracle.weights()["transformer.ln_f.bias"])}, tmp_path / "model-9.safetensors")
    with pytest.raises(
        CheckpointError, match=r"transformer\.ln_f\.bias of .*model-\d\.saf.*stand for the same weights and differ"
    ) as raised:
        load(tmp_path, config=oracle.config)
    assert f"{other} of {tmp_path / 'model-9.safetensors'}" in str(raised.value)


def test_what_transformers_saved_in_shards_loads_the_same(oracle: Oracle, tmp_path: Path) -> None:
    oracle.model.save_pretrained(tmp_path, max_shard_size="1MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    assert_same(loaded(load(tmp_path)), oracle.weights())


def other_row(head: Tensor) -> Tensor:
    return head + (torch.arange(len(head)) == 998).unsqueeze(1)


def fewer_rows(head: Tensor) -> Tensor:
    return head[:9].clone()


@pytest.mark.parametrize("change", (other_row, fewer_rows))
def test_a_head_of_its_own_beside_a_config_that_ties_it_is_named(
    oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Tensor], Tensor]
) -> None:
    """transformers scores with such a head, and would answer differently."""
    monkeypatch.setattr(module, "_CHUNK_BYTES", 4 * 192 * 7)
    tensors = oracle.weights()
    with_tied_head_stored(tensors, tmp_path)
    load(tmp_path, config=oracle.config, shard=Shard(1, 2))  # as it should be
    single(tensors | {"lm_head.weight": change(tensors["transformer.word_embeddings.weight"])}, tmp_path)
    with pytest.raises(CheckpointError, match=r"lm_head\.weight.*(set tie_word_embeddings to false|is \[9, 192\])"):
        load(tmp_path, config=oracle.config, shard=Shard(1, 2))


def test_an_untied_head_is_loaded_and_missed(tmp_path: Path) -> None:
    untied = make_oracle(tmp_path, heads=4, tied=False, layers=1)
    assert_same(loaded(load(tmp_path)), untied.weights())
    store({name: tensor for name, tensor in untied.weights().items() if name != "lm_head.weight"}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"missing lm_head\.weight \[1000, 256\]"):
        load(tmp_path)


@pytest.mark.parametrize("wanted", DTYPES)
@pytest.mark.parametrize("stored", DTYPES)
def test_dtypes_convert_exactly(oracle: Oracle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stored: str, wanted: str) -> None:
    monkeypatch.setattr(module, "_CHUNK_BYTES", 10_000)  # small, so that tensors are read in many uneven pieces
    tensors = {name: tensor.to(DTYPES[stored]) for name, tensor in oracle.weights().items()}
    single(tensors, tmp_path)
    found = loaded(load(tmp_path, dtype=wanted, config=oracle.config))
    assert_same(found, {name: tensor.to(DTYPES[wanted]) for name, tensor in tensors.items()})


def test_a_file_system_that_gives_a_few_bytes_at_a_time_is_read_to_the_end(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.preadv
    monkeypatch.setattr(os, "preadv", lambda file, buffers, at: whole(file, [memoryview(buffers[0])[:50_001]], at))
    assert_same(loaded(load(oracle.directory)), oracle.weights())


def test_parameters_ask_for_no_gradient(oracle: Oracle) -> None:
    model = load(oracle.directory)
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())


def test_every_missing_extra_and_misshapen_tensor_is_named(oracle: Oracle, tmp_path: Path) -> None:
    tensors = oracle.weights()
    del tensors["transformer.ln_f.bias"], tensors["transformer.h.1.mlp.dense_4h_to_h.weight"]
    tensors |= {"transformer.h.2.mlp.dense_h_to_4h.bias": torch.zeros(768), "adapter": torch.zeros(3, 5)}
    tensors["transformer.h.0.self_attention.dense.weight"] = torch.zeros(192, 191)
    tensors["transformer.word_embeddings.weight"] = torch.zeros(999, 192)
    single(tensors, tmp_path)
    with pytest.raises(CheckpointError) as raised:
        load(tmp_path, config=oracle.config)
    assert str(raised.value).splitlines() == [
        f"the weights in {tmp_path} do not fit config.json, 6 tensors differ; take both of one model:",
        "  missing h.1.mlp.dense_4h_to_h.weight [192, 768]",
        "  missing ln_f.bias [192]",
        "  extra adapter [3, 5]",
        "  extra h.2.mlp.dense_h_to_4h.bias [768]",
        "  h.0.self_attention.dense.weight is [192, 191], config.json asks for [192, 192]",
        "  word_embeddings.weight is [999, 192], config.json asks for [1000, 192]",
    ]


def test_a_config_of_another_size_is_found_out(oracle: Oracle) -> None:
    with pytest.raises(CheckpointError, match=r"extra h\.1\.input_layernorm\.bias"):
        load(oracle.directory, config=replace(oracle.config, layers=1))
    with pytest.raises(CheckpointError, match=r"config\.json asks for"):
        load(oracle.directory, config=replace(oracle.config, hidden_size=384))


def test_of_thousands_of_tensors_that_do_not_fit_the_first_are_named(oracle: Oracle) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json, 2376 tensors differ") as raised:
        load(oracle.directory, config=replace(oracle.config, layers=200))
    lines = str(raised.value).splitlines()
    assert len(lines) == 42 and lines[1].startswith("  missing h.10.") and lines[-1] == "  and 2336 more"


def cut(content: bytes) -> bytes:
    return content[:-1]


def cut_within_the_header(content: bytes) -> bytes:
    return content[:100]


def longer(content: bytes) -> bytes:
    return content + b"\0"


def with_a_header_of_noise(content: bytes) -> bytes:
    return content[:8] + b"\xff" * (len(content) - 8)


def with_an_absurd_header_length(content: bytes) -> bytes:
    return b"\xff" * 8 + content[8:]


def a_web_page(content: bytes) -> bytes:
    return b"<!DOCTYPE html><title>Sign in</title>"


def nothing(content: bytes) -> bytes:
    return b""


DAMAGES = (cut, cut_within_the_header, longer, with_a_header_of_noise, with_an_absurd_header_length, a_web_page, nothing)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named_with_its_size(oracle: Oracle, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(damage((oracle.directory / "model.safetensors").read_bytes()))
    with pytest.raises(CheckpointError, match=rf"model\.safetensors \({path.stat().st_size:,} bytes\) is not a whole safetensors file"):
        load(tmp_path, config=oracle.config)


def test_a_file_that_went_away_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"gone\.safetensors"):
        read_headers([tmp_path / "gone.safetensors"])


def test_a_file_that_shrinks_while_it_is_read_is_an_error(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_end(file: int, buffers: Sequence[memoryview], at: int) -> int:
        return 0

    monkeypatch.setattr(os, "preadv", at_end)
    with pytest.raises(CheckpointError, match=r"ended at byte [\d]+ while its header promises more"):
        load(oracle.directory)


@pytest.mark.parametrize(
    ("dtype", "name"), ((torch.int64, "I64"), (torch.float64, "F64"), (torch.int8, "I8"), (torch.float8_e4m3fn, "F8_E4M3"))
)
def test_a_stored_dtype_that_cannot_be_run_is_named(oracle: Oracle, tmp_path: Path, dtype: torch.dtype, name: str) -> None:
    single(oracle.weights() | {"transformer.ln_f.bias": torch.ones(192).to(dtype)}, tmp_path)
    with pytest.raises(CheckpointError, match=rf"transformer\.ln_f\.bias is stored as {name}; this engine reads F16, BF16, F32"):
        load(tmp_path, config=oracle.config)


def test_headers_tell_where_each_tensor_lies(tmp_path: Path) -> None:
    tensors = {"a": torch.arange(6.0).view(2, 3), "b": torch.arange(4.0).to(torch.bfloat16)}
    path = store(tensors, tmp_path / "x.safetensors")
    content, header = path.read_bytes(), read_headers([path])
    assert json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"] == {"format": "pt"}
    for name, tensor in tensors.items():
        stored = header[name]
        assert (stored.shape, stored.dtype) == (tuple(tensor.shape), tensor.dtype)
        data = bytearray(content[stored.offset : stored.offset + tensor.nbytes])
        assert torch.equal(torch.frombuffer(data, dtype=tensor.dtype).view(tensor.shape), tensor)
