from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import huggingface_hub
import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from transformers import BloomForCausalLM

from seqgpt_lab.engine import checkpoint as module
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.convert import convert
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import CheckpointError
from tests.engine.oracles import Oracle, random_requests


def model_directory(folder: Path, *names: str) -> Path:
    """Empty files of these names; looking for a checkpoint reads none of them but the index."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}", encoding="utf-8")
    return folder


def write_index(folder: Path, content: str) -> None:
    (folder / "model.safetensors.index.json").write_text(content, encoding="utf-8")


def test_a_hugging_face_directory_is_found_whole(oracle: Oracle) -> None:
    found = find_checkpoint(oracle.directory)
    assert found.config == oracle.directory / "config.json"
    assert found.weights == (oracle.directory / "model.safetensors",)
    assert found.tokenizer == oracle.directory / "tokenizer.json"


def test_shards_are_those_the_index_names(tmp_path: Path) -> None:
    model_directory(tmp_path, "config.json", "tokenizer.json", "b.safetensors", "a.safetensors", "unrelated.safetensors")
    write_index(tmp_path, json.dumps({"weight_map": {"x": "b.safetensors", "y": "a.safetensors", "z": "b.safetensors"}}))
    assert find_checkpoint(str(tmp_path)).weights == (tmp_path / "a.safetensors", tmp_path / "b.safetensors")


@pytest.fixture
def saved_twice(oracle: Oracle, tmp_path: Path) -> Callable[[bool, bool], Path]:
    """A directory into which transformers saved a model in shards and in one file, either first, and changed or not in between."""

    def save(shards_first: bool, changed: bool) -> Path:
        shutil.copyfile(oracle.directory / "tokenizer.json", tmp_path / "tokenizer.json")
        model = copy.deepcopy(oracle.model)
        for shards in (shards_first, not shards_first):
            model.save_pretrained(tmp_path, max_shard_size="1MB" if shards else "1GB")
            if changed:
                model.transformer.ln_f.bias.data += 1
        return tmp_path

    return save


@pytest.mark.parametrize(("shards_first", "changed"), ((True, True), (False, False)))
def test_a_model_saved_anew_in_one_file_or_in_shards_is_read_as_transformers_reads_it(
    saved_twice: Callable[[bool, bool], Path], shards_first: bool, changed: bool
) -> None:
    """It leaves the index of shards that are gone, or the one file beside the shards."""
    directory = saved_twice(shards_first, changed)
    assert (directory / "model.safetensors").exists() and (directory / "model.safetensors.index.json").exists()
    wanted = BloomForCausalLM.from_pretrained(directory, dtype=torch.float32).transformer.ln_f.bias
    for source in (directory, convert(directory, directory / "new", dtype="fp32")):
        assert torch.equal(Engine.load(source, dtype="fp32", device="cpu").model.ln_f.bias, wanted)


def test_a_model_saved_in_shards_beside_another_in_one_file_is_not_guessed(saved_twice: Callable[[bool, bool], Path]) -> None:
    """transformers reads the older one, as if the newer were not there."""
    directory = saved_twice(False, True)
    same = r"ln_f\.bias of .* and .*ln_f\.bias of .*model\.safetensors stand for the same weights and differ; remove the one"
    with pytest.raises(CheckpointError, match=same):
        Engine.load(directory, dtype="fp32", device="cpu")
    with pytest.raises(CheckpointError, match=same):
        convert(directory, directory / "new")


def test_a_shard_that_is_not_there_is_named(tmp_path: Path) -> None:
    model_directory(tmp_path, "config.json", "tokenizer.json", "a.safetensors")
    write_index(tmp_path, json.dumps({"weight_map": {"x": "b.safetensors", "y": "a.safetensors"}}))
    with pytest.raises(CheckpointError, match=r"lacks 1 of the 2 shards its index names: b\.safetensors"):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize("content", ("{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"x": 3}}', '{"weight_map": {"x": ["y"]}}'))
def test_a_broken_index_is_refused(tmp_path: Path, content: str) -> None:
    model_directory(tmp_path, "config.json", "tokenizer.json", "model.safetensors")
    write_index(tmp_path, content)
    with pytest.raises(CheckpointError, match="is not an index of shards"):
        find_checkpoint(tmp_path)


def test_the_articles_package_loads_and_writes_as_the_plain_directory_does(oracle: Oracle, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "tokenizer").mkdir()
    for name, folder in (("config.json", "model"), ("model.safetensors", "model"), ("tokenizer.json", "tokenizer")):
        shutil.copyfile(oracle.directory / name, tmp_path / folder / name)
    package = Engine.load(tmp_path, dtype="fp32", device="cpu")
    assert package.checkpoint.tokenizer == tmp_path / "tokenizer" / "tokenizer.json"
    requests = random_requests(2, most=3)
    plain = Engine.load(oracle.directory, dtype="fp32", device="cpu").generate(requests)
    assert [completion.token_ids for completion in package.generate(requests)] == [completion.token_ids for completion in plain]


def test_tiny_is_the_model_that_ships_with_the_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model_directory(tmp_path, "models/seqgpt-tiny/config.json", "models/seqgpt-tiny/tokenizer.json", "models/seqgpt-tiny/model.safetensors")
    monkeypatch.setattr(module, "bundled", tmp_path.joinpath)
    found = find_checkpoint("tiny")
    assert (found.source, found.directory) == ("tiny", tmp_path / "models" / "seqgpt-tiny")


@pytest.mark.parametrize(
    ("names", "message"),
    (
        (("model.safetensors", "tokenizer.json"), r"has no config\.json"),
        (("config.json", "model.safetensors"), r"tokenizer\.json is missing"),
        (("config.json", "tokenizer.json"), r"holds no weights: model\.safetensors, or"),
        (("model/config.json", "model/model.safetensors"), r"tokenizer.tokenizer\.json is missing"),
    ),
)
def test_an_incomplete_directory_says_what_it_lacks(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        find_checkpoint(model_directory(tmp_path, *names))


@pytest.mark.parametrize("name", ("pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt"))
def test_a_directory_of_pickles_gives_the_command_that_converts_it(tmp_path: Path, name: str) -> None:
    model_directory(tmp_path, "config.json", "tokenizer.json", name)
    with pytest.raises(CheckpointError, match=rf"only pickle weights \({name}\).*seqgpt-lab convert {tmp_path} NEW_DIRECTORY"):
        find_checkpoint(tmp_path)


def test_a_file_is_not_a_model_directory(oracle: Oracle) -> None:
    with pytest.raises(CheckpointError, match=r"model\.safetensors is a file; give the directory"):
        find_checkpoint(oracle.directory / "model.safetensors")


@pytest.mark.parametrize("source", ("/no/such/place", "./no/where", "nowhere", "a/b/c", "", "owner/", "~/no-such-model-here"))
def test_a_place_that_is_not_there_is_never_looked_up_on_the_hub(monkeypatch: pytest.MonkeyPatch, source: str) -> None:
    monkeypatch.chdir(Path(__file__).parent)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    if source == "":
        with pytest.raises(CheckpointError, match=r"config\.json"):  # the empty path is the working directory
            find_checkpoint(source)
        return
    with pytest.raises(CheckpointError, match="not a directory, not a hub id"):
        find_checkpoint(source)


def test_a_tilde_is_the_users_home(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell puts it in; a notebook does not."""
    monkeypatch.setenv("HOME", str(oracle.directory.parent))
    assert find_checkpoint(f"~/{oracle.directory.name}").directory == oracle.directory


def refuse(hub_id: str, allow_patterns: list[str]) -> str:
    raise OSError("no route to host\nand a long tail of advice")


def refuse_without_a_word(hub_id: str, allow_patterns: list[str]) -> str:
    raise TimeoutError


@pytest.mark.parametrize(("fails", "reason"), ((refuse, "no route to host"), (refuse_without_a_word, "TimeoutError")))
def test_an_unknown_hub_id_offline_says_what_to_do(monkeypatch: pytest.MonkeyPatch, fails: Callable[..., str], reason: str) -> None:
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(CheckpointError, match=rf"'DAMO-NLP/SeqGPT-560M' is not a directory here .*\({reason}\); download it"):
        find_checkpoint("DAMO-NLP/SeqGPT-560M")


def test_a_hub_id_is_its_snapshot_fetched_without_pickles(oracle: Oracle, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def snapshot(hub_id: str, allow_patterns: list[str]) -> str:
        assert hub_id == "DAMO-NLP/SeqGPT-560M"
        asked.append(allow_patterns)
        return str(oracle.directory)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert find_checkpoint("DAMO-NLP/SeqGPT-560M").directory == oracle.directory
    remote = ["config.json", "model.safetensors", "tokenizer.json", "pytorch_model.bin", "model/config.json", "model/pytorch_model.bin"]
    remote += ["model/model-00001-of-00002.safetensors", "tokenizer/tokenizer.json", "optimizer.pt", "run.py"]
    wanted = [name for name in remote if name.endswith((".json", ".safetensors"))]
    assert list(filter_repo_objects(remote, allow_patterns=asked[0])) == wanted
