from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest
import torch
from transformers import BloomConfig

from seqgpt_lab.engine.config import ModelConfig, resolve_device, resolve_dtype
from seqgpt_lab.errors import CheckpointError, EngineWarning, OptionError

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SMALL = {"model_type": "bloom", "vocab_size": 1000, "hidden_size": 192, "n_layer": 2, "n_head": 12}


def written(folder: Path, **changes: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(SMALL | changes), encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    config = ModelConfig(1003, 192, 3, 12, 1e-6, True, 5, 6, 7, False)
    (tmp_path / "config.json").write_text(json.dumps(config.to_json()), encoding="utf-8")
    assert ModelConfig.read(tmp_path / "config.json") == config
    assert config.head_dim == 16


def test_null_ids_and_epsilon_are_blooms_own(tmp_path: Path) -> None:
    found = ModelConfig.read(written(tmp_path, bos_token_id=None, eos_token_id=None, pad_token_id=None, layer_norm_epsilon=None))
    assert (found.bos_token_id, found.eos_token_id, found.pad_token_id, found.layer_norm_epsilon) == (1, 2, 3, 1e-5)


def test_what_is_not_said_is_as_in_transformers(tmp_path: Path) -> None:
    found, theirs = ModelConfig.read(written(tmp_path)), BloomConfig(**SMALL)
    assert (found.tied_head, found.residual_after_layer_norm) == (
        theirs.tie_word_embeddings,
        theirs.apply_residual_connection_post_layernorm,
    )
    assert (found.bos_token_id, found.eos_token_id) == (theirs.bos_token_id, theirs.eos_token_id)
    assert found.layer_norm_epsilon == theirs.layer_norm_epsilon and found.seq_length is None


def test_the_older_names_of_sizes_are_read(tmp_path: Path) -> None:
    old = {"model_type": "bloom", "vocab_size": 1000, "n_embed": 192, "num_hidden_layers": 2, "num_attention_heads": 12}
    (tmp_path / "config.json").write_text(json.dumps(old), encoding="utf-8")
    assert ModelConfig.read(tmp_path / "config.json") == ModelConfig.read(written(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    (
        ({"n_head": 0}, "n_head is 0; a whole number from 1 to 8,192"),
        ({"n_layer": 10**6}, "n_layer is 1000000; a whole number from 1 to 1,024"),
        ({"hidden_size": 10**9}, "hidden_size is 1000000000; a whole number from 1 to 131,072"),
        ({"vocab_size": 10**9}, "vocab_size is 1000000000; a whole number from 1 to 16,777,216"),
        ({"vocab_size": -1000}, "vocab_size is -1000"),
        ({"seq_length": 10**30}, "seq_length is 10*; a whole number from 1 to"),
        ({"eos_token_id": True}, "eos_token_id is True"),
        ({"tie_word_embeddings": "false"}, "tie_word_embeddings is 'false'; true or false"),
        ({"apply_residual_connection_post_layernorm": 1}, "apply_residual_connection_post_layernorm is 1; true or false"),
        ({"n_layer": None}, "n_layer is None"),
        ({"vocab_size": "1000"}, "vocab_size is '1000'"),
        ({"hidden_size": 19.2}, "hidden_size is 19.2"),
        ({"n_head": True}, "n_head is True"),
        ({"n_head": 7}, "hidden_size 192 is not a multiple of n_head 7"),
        ({"eos_token_id": 1000}, "eos_token_id is 1000; an id below vocab_size 1000"),
        ({"pad_token_id": -1}, "pad_token_id is -1"),
        ({"bos_token_id": [1, 2]}, r"bos_token_id is \[1, 2\]"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon is 'small'"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon is 0; a number between 0 and 1"),
        ({"model_type": "llama"}, "a model of type 'llama'; this engine runs 'bloom'"),
    ),
)
def test_bad_values_are_named_with_what_is_needed(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.read(written(tmp_path, **changes))


@pytest.mark.parametrize("missing", sorted(SMALL))
def test_a_missing_size_is_named(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({name: value for name, value in SMALL.items() if name != missing}), encoding="utf-8")
    with pytest.raises(CheckpointError, match="type None" if missing == "model_type" else f"{missing} is None"):
        ModelConfig.read(path)


@pytest.mark.parametrize(
    ("content", "message"), ((b"{", "is not JSON"), (b"\xff\xfe", "is not JSON"), (b"[1]", "of type 'list'"), (None, "cannot be read"))
)
def test_a_file_that_is_no_config_is_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        ModelConfig.read(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("name", "wanted"), (("fp16", torch.float16), ("half", torch.float16), ("bfloat16", torch.bfloat16), ("fp32", torch.float32))
)
def test_dtypes_go_by_short_and_long_names(name: str, wanted: torch.dtype) -> None:
    assert resolve_dtype(name, CPU) == wanted


@pytest.mark.parametrize(("hardware", "wanted"), ((True, torch.bfloat16), (False, torch.float32)))
def test_auto_dtype_is_bf16_only_where_a_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch, hardware: bool, wanted: torch.dtype) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: hardware)
    assert resolve_dtype("auto", CPU) == wanted
    assert resolve_dtype("auto", CUDA) == torch.float16


def test_an_unknown_dtype_names_the_known_ones() -> None:
    with pytest.raises(OptionError, match="unknown dtype 'int8'; choose auto, fp16, bf16, fp32"):
        resolve_dtype("int8", CPU)


@pytest.mark.parametrize("name", ("gpu", "meta", "mps", ""))
def test_an_unknown_device_names_the_known_ones(name: str) -> None:
    with pytest.raises(OptionError, match=f"device '{name}'.*choose auto, cpu, cuda or cuda:N"):
        resolve_device(name)


def shows(monkeypatch: pytest.MonkeyPatch, count: int, trouble: str = "") -> None:
    """A machine of which the driver says that it has so many cards, and torch, where there is trouble, that CUDA does not start."""

    def init() -> None:
        raise RuntimeError(trouble)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0 and not trouble)
    monkeypatch.setattr(torch.cuda, "init", init)


def test_a_cuda_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(OptionError, match="device 'cuda:2' asked for, but this machine shows 2 CUDA devices"):
        resolve_device("cuda:2")


@pytest.mark.parametrize(("count", "wanted"), ((2, "cuda"), (0, "cpu")))
def test_auto_device_is_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch, count: int, wanted: str) -> None:
    shows(monkeypatch, count)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert resolve_device("auto").type == wanted


TOO_OLD = "The NVIDIA driver on your system is too old\n(found version 12020)"


@pytest.mark.parametrize("name", ("cuda", "cuda:1"))
def test_cards_on_which_cuda_does_not_start_are_refused_with_what_torch_says(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    shows(monkeypatch, 2, TOO_OLD)
    said = rf"device '{name}' asked for.*shows 2 CUDA devices.*driver on your system is too old \(found version 12020\).*a newer driver"
    with pytest.raises(OptionError, match=said):
        resolve_device(name)
    assert resolve_device("cpu") == CPU


def test_auto_device_says_why_it_is_the_cpu_in_spite_of_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    shows(monkeypatch, 2, TOO_OLD)
    with pytest.warns(EngineWarning, match="runs on the CPU: this machine shows 2 CUDA devices.*too old.*a newer driver") as told:
        assert resolve_device("auto") == CPU
    assert len(told) == 1
