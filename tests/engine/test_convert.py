"""Pickles to safetensors: the same model afterwards, no code run, nothing half-written."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import BloomForCausalLM

from seqgpt_lab.engine import convert as module
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.config import DTYPES
from seqgpt_lab.engine.convert import convert
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.weights import read_headers
from seqgpt_lab.errors import CapacityError, CheckpointError, OptionError
from tests.engine.oracles import Oracle, old_masks, random_requests, store
from tests.full_disk import room_for


@pytest.fixture
def tensors(oracle: Oracle) -> dict[str, Tensor]:
    """fp32 weights, all of which fp16 holds exactly."""
    return {name: tensor.half().float() for name, tensor in oracle.weights().items()}


@pytest.fixture
def source(oracle: Oracle, tensors: dict[str, Tensor], tmp_path: Path) -> Path:
    """A directory as trainers write it: one fp32 pickle, the tied head in it too."""
    folder = copy_of(oracle.directory, tmp_path / "source")
    tied = {"lm_head.weight": tensors["transformer.word_embeddings.weight"]}
    torch.save(tensors | tied, folder / "pytorch_model.bin")
    return folder


def copy_of(directory: Path, folder: Path) -> Path:
    """What lies beside the weights."""
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(directory / name, folder / name)
    return folder


def text(folder: Path) -> list[tuple[int, ...]]:
    with Engine.load(folder, dtype="fp32", device="cpu") as engine:
        return [completion.token_ids for completion in engine.generate(random_requests(5, most=4))]


@pytest.fixture
def expected(oracle: Oracle, tensors: dict[str, Tensor], tmp_path: Path) -> list[tuple[int, ...]]:
    """What the model writes before any conversion."""
    plain = copy_of(oracle.directory, tmp_path / "plain")
    store(tensors, plain / "model.safetensors")
    return text(plain)


def assert_nothing_written(tmp_path: Path) -> None:
    assert not [path for path in tmp_path.iterdir() if path.name.lstrip(".").startswith("new")]


def test_a_pickle_becomes_fp16_safetensors_that_write_the_same(
    source: Path, tensors: dict[str, Tensor], expected: list[tuple[int, ...]], tmp_path: Path
) -> None:
    destination = convert(source, tmp_path / "deep" / "new")
    assert sorted(path.name for path in destination.iterdir()) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert text(destination) == expected
    theirs = BloomForCausalLM.from_pretrained(destination, dtype="auto")
    assert theirs.dtype == torch.float16
    found = theirs.state_dict()
    assert all(torch.equal(found[name], tensor.half()) for name, tensor in tensors.items())


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_config_says_what_was_stored(source: Path, tmp_path: Path, dtype: str) -> None:
    destination = convert(source, tmp_path / "new", dtype=dtype)
    before, after = (json.loads((folder / "config.json").read_text(encoding="utf-8")) for folder in (source, destination))
    assert before.pop("dtype") == "float32"
    assert after.pop("torch_dtype") == str(DTYPES[dtype]).removeprefix("torch.")
    assert after == before
    assert BloomForCausalLM.from_pretrained(destination, dtype="auto").dtype == DTYPES[dtype]


@pytest.mark.parametrize("prefix", ("transformer.", ""))
def test_a_head_of_its_own_is_not_dropped_because_the_config_ties_it(
    source: Path, tensors: dict[str, Tensor], tmp_path: Path, prefix: str
) -> None:
    head = {"lm_head.weight": tensors["transformer.word_embeddings.weight"] * 2}
    tensors = {name.replace("transformer.", prefix): tensor for name, tensor in tensors.items()}
    torch.save(tensors | head, source / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"differs from word_embeddings\.weight.*set tie_word_embeddings to false"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (source / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}), encoding="utf-8")
    assert read_headers([convert(source, tmp_path / "new") / "model.safetensors"]).keys() >= head.keys()


def test_what_is_too_large_for_a_file_is_sharded_with_an_index(
    source: Path, expected: list[tuple[int, ...]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SHARD_BYTES", 300_000)
    destination = convert(source, tmp_path / "new")
    shards = find_checkpoint(destination).weights
    assert [path.name for path in shards] == [f"model-{number:05}-of-{len(shards):05}.safetensors" for number in range(1, len(shards) + 1)]
    assert sum(path.stat().st_size > 310_000 for path in shards) == 1, "only the embedding is larger than a file may be"
    assert text(destination) == expected
    found = BloomForCausalLM.from_pretrained(destination, dtype=torch.float32)
    reread = BloomForCausalLM.from_pretrained(convert(source, tmp_path / "new32", dtype="fp32"))
    assert all(torch.equal(tensor, reread.state_dict()[name]) for name, tensor in found.state_dict().items())


def test_sharded_pickles_are_read_together(
    source: Path, tensors: dict[str, Tensor], expected: list[tuple[int, ...]], tmp_path: Path
) -> None:
    (source / "pytorch_model.bin").unlink()
    names = sorted(tensors)
    for number in (0, 1):
        part = {name: tensors[name] for name in names[number::2]}
        torch.save(part, source / f"pytorch_model-0000{number + 1}-of-00002.bin")
    assert text(convert(source, tmp_path / "new")) == expected


@pytest.mark.parametrize("indexed", (True, False))
@pytest.mark.parametrize(("stem", "suffix"), (("pytorch_model", ".bin"), ("model", ".safetensors")))
def test_an_absent_shard_is_named(source: Path, tensors: dict[str, Tensor], tmp_path: Path, stem: str, suffix: str, indexed: bool) -> None:
    (source / "pytorch_model.bin").unlink()
    names = [f"{stem}-0000{number}-of-00002{suffix}" for number in (1, 2)]
    places = {name: names[number % 2] for number, name in enumerate(tensors)}
    for file in names:
        part = {name: tensor for name, tensor in tensors.items() if places[name] == file}
        if suffix == ".bin":
            torch.save(part, source / file)
        else:
            store(part, source / file)
    if indexed:
        (source / f"{stem}{suffix}.index.json").write_text(json.dumps({"weight_map": places}))
    convert(source, tmp_path / "whole")
    (source / names[1]).unlink()
    with pytest.raises(CheckpointError, match=rf"source lacks 1 of .*2 shards.*: {names[1]}"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)


@pytest.mark.parametrize("layout", ("plain", "package"))
def test_safetensors_convert_too_whatever_a_trainer_left_beside_them(
    oracle: Oracle, tensors: dict[str, Tensor], expected: list[tuple[int, ...]], tmp_path: Path, layout: str
) -> None:
    source = copy_of(oracle.directory, tmp_path / "source")
    model = source / "model" if layout == "package" else source
    if layout == "package":
        (source / "tokenizer").mkdir()
        model.mkdir()
        shutil.move(source / "tokenizer.json", source / "tokenizer" / "tokenizer.json")
        shutil.move(source / "config.json", model / "config.json")
    store(tensors, model / "model.safetensors")
    torch.save({"lr": 0.1}, model / "training_args.bin")
    torch.save({"state": [torch.ones(2)]}, model / "optimizer.pt")
    store({"adapter": torch.ones(2)}, model / "adapter_model.safetensors")
    store({"transformer.ln_f.bias": torch.ones(192)}, model / "model-00001-of-00002.safetensors")
    for folder, name in ((source, "configuration.json"), (model, "generation_config.json"), (source, "README.md")):
        (folder / name).write_text("{}", encoding="utf-8")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (source / "tokenizer" / name if layout == "package" else source / name).write_text("{}", encoding="utf-8")
    destination = convert(source, tmp_path / "new")
    assert text(destination) == expected
    assert {path.name for path in destination.iterdir()} == {
        *("config.json", "model.safetensors", "generation_config.json", "configuration.json"),
        *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"),
    }


@pytest.mark.parametrize("stored", ("pytorch_model.bin", "model.safetensors"))
def test_masks_of_old_versions_are_left_out(
    source: Path, tensors: dict[str, Tensor], expected: list[tuple[int, ...]], tmp_path: Path, stored: str
) -> None:
    """They hold -1e9, which is no number in fp16."""
    (source / "pytorch_model.bin").unlink()
    write = torch.save if stored.endswith(".bin") else store
    write(tensors | old_masks(), source / stored)
    destination = convert(source, tmp_path / "new")
    assert read_headers([destination / "model.safetensors"]).keys() == tensors.keys()
    assert text(destination) == expected


@pytest.mark.parametrize("stored", ("pytorch_model.bin", "model.safetensors"))
def test_weights_that_are_there_twice_must_agree(source: Path, tensors: dict[str, Tensor], tmp_path: Path, stored: str) -> None:
    (source / "pytorch_model.bin").unlink()
    write = torch.save if stored.endswith(".bin") else store
    write(tensors | {"ln_f.bias": tensors["transformer.ln_f.bias"].clone()}, source / stored)
    found = read_headers([convert(source, tmp_path / "once") / "model.safetensors"])
    assert {name.removeprefix("transformer.") for name in found} == {name.removeprefix("transformer.") for name in tensors}
    assert len(found) == len(tensors)
    write(tensors | {"ln_f.bias": tensors["transformer.ln_f.bias"] + 1}, source / stored)
    with pytest.raises(CheckpointError, match=r"ln_f\.bias of .*ln_f\.bias of .*stand for the same weights and differ"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)


class Malicious:
    """Unpickled carelessly, this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str, str], object], tuple[str, str]]:
        return open, (str(self.path), "w")


def torch_saved(value: object, path: Path) -> None:
    torch.save(value, path)


def plainly_pickled(value: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(value, protocol=2))


@pytest.mark.parametrize("save", (torch_saved, plainly_pickled))
def test_code_in_a_pickle_is_not_run(source: Path, tmp_path: Path, save: Callable[[object, Path], None]) -> None:
    trap = tmp_path / "trap"
    save({"transformer.ln_f.weight": Malicious(trap)}, source / "pytorch_model.bin")
    with pytest.raises(
        CheckpointError, match=r"pytorch_model\.bin is not a plain file of tensors \(Unsupported global: .*it was not run"
    ) as raised:
        convert(source, tmp_path / "new")
    assert not trap.exists()
    assert "weights_only" not in str(raised.value), "torch's advice on how to run it anyway is not ours"
    assert_nothing_written(tmp_path)
    pickle.loads(pickle.dumps(Malicious(trap))).close()
    assert trap.exists(), "the trap would not have shown anything"


@pytest.mark.parametrize("content", (b"", b"hello world\n", b"\0" * 1000, b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04"))
def test_a_file_that_is_no_pickle_is_named(source: Path, tmp_path: Path, content: bytes) -> None:
    (source / "pytorch_model.bin").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is not a plain file of tensors \(.+\)"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)


def test_a_pickle_cut_short_is_named(source: Path, tmp_path: Path) -> None:
    whole = (source / "pytorch_model.bin").read_bytes()
    (source / "pytorch_model.bin").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is not a plain file of tensors"):
        convert(source, tmp_path / "new")


@pytest.mark.parametrize("value", ([torch.ones(2)], {"model": {"x": torch.ones(2)}}, {"epoch": 3}, {0: torch.ones(2)}))
def test_a_pickle_of_something_else_than_weights_is_refused(source: Path, tmp_path: Path, value: object) -> None:
    torch.save(value, source / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="holds something else than named tensors"):
        convert(source, tmp_path / "new")


def test_whole_numbers_are_not_taken_for_weights(source: Path, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """What stands for quantised weights says nothing without its scales."""
    torch.save(tensors | {"transformer.ln_f.weight": torch.full((192,), 7, dtype=torch.int8)}, source / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin: tensor transformer\.ln_f\.weight is stored as int8; floats are needed"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)


def test_a_head_of_its_own_may_share_its_memory_with_the_embeddings(source: Path, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """As a pickle keeps what was one tensor when it was saved; a safetensors file does not."""
    half = {name: tensor.half() for name, tensor in tensors.items()}
    torch.save(half | {"lm_head.weight": half["transformer.word_embeddings.weight"]}, source / "pytorch_model.bin")
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    (source / "config.json").write_text(json.dumps(config | {"tie_word_embeddings": False}), encoding="utf-8")
    found = load_file(convert(source, tmp_path / "new") / "model.safetensors")
    assert torch.equal(found["lm_head.weight"], half["transformer.word_embeddings.weight"])


def test_weights_too_large_for_memory_are_not_called_a_broken_file(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes."
        )

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(CapacityError, match=r"source do not fit into memory twice: .*; convert them on a machine with more"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)


def test_numbers_that_the_dtype_cannot_hold_are_not_made_infinite(source: Path, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(tensors | {"transformer.ln_f.weight": torch.full((192,), 1e6)}, source / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"1 tensors, such as transformer\.ln_f\.weight, are not finite in fp16"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)
    assert convert(source, tmp_path / "new", dtype="bf16").is_dir()


def test_a_destination_that_exists_is_left_alone(source: Path, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(OptionError, match="there exists already; name a directory that does not"):
        convert(source, tmp_path / "there")
    assert not list((tmp_path / "there").iterdir())


def test_a_conversion_that_fails_on_the_way_leaves_nothing(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*arguments: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "store_tensors", full_disk)
    with pytest.raises(OSError, match="No space left"):
        convert(source, tmp_path / "new")
    assert_nothing_written(tmp_path)


def test_all_files_have_the_permissions_that_the_umask_leaves(source: Path, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        destination = convert(source, tmp_path / "new")
    finally:
        os.umask(before)
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in destination.iterdir()} == dict.fromkeys(
        ("config.json", "model.safetensors", "tokenizer.json"), "0o640"
    )


def test_no_room_for_the_weights_is_an_error_of_the_file_system(source: Path, tmp_path: Path) -> None:
    with room_for(100_000), pytest.raises(OSError, match="File too large") as raised:
        convert(source, tmp_path / "new")
    assert raised.value.filename == str(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_an_unknown_dtype_and_a_directory_without_weights_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="unknown dtype 'int8'; choose fp16, bf16, fp32"):
        convert(source, tmp_path / "new", dtype="int8")
    (source / "pytorch_model.bin").unlink()
    with pytest.raises(CheckpointError, match="holds no weights: neither pickle"):
        convert(source, tmp_path / "new")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        convert(tmp_path / "nowhere", tmp_path / "new")
    assert_nothing_written(tmp_path)
