"""Widening as a user meets it: a model of another size that answers as the small one did, in the engine and in transformers."""

from __future__ import annotations

import json
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqgpt_lab.embedded.streamed import Planned, write_streamed
from seqgpt_lab.embedded.widen import Widening, widen
from seqgpt_lab.engine.attention import alibi_slopes
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import Bloom, fresh_geometry
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import CheckpointError, OptionError
from tests.checkpoints import write_random_checkpoint

VOCABULARY, WIDE_VOCABULARY = 400, 600
PAD = 3


class Shape(TypedDict, total=False):
    hidden_size: int
    layers: int
    heads: int
    vocabulary: int


WIDE: Shape = {"hidden_size": 512, "heads": 8, "layers": 4, "vocabulary": WIDE_VOCABULARY}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose attention is so sharp and strong that its answers hardly repeat a token."""
    directory = tmp_path_factory.mktemp("small")
    write_random_checkpoint(directory, hidden=128, heads=2, layers=2, vocabulary=VOCABULARY, dtype="fp16")
    sharp = ("query_key_value.weight", "self_attention.dense.weight")
    found = {name: tensor * 4 if name.endswith(sharp) else tensor for name, tensor in weights(directory).items()}
    save_file(found, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


@pytest.fixture(scope="module")
def wide(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return widen(small, tmp_path_factory.mktemp("wide") / "new" / "model", **WIDE)


def requests() -> list[Request]:
    generator = torch.Generator().manual_seed(5)
    prompts = [torch.randint(4, VOCABULARY, (length,), generator=generator).tolist() for length in (1, 7, 30, 64)]
    return [Request(tuple(prompt), 24) for prompt in prompts]


@torch.inference_mode()
def logits(directory: Path, ids: Tensor | None = None) -> Tensor:
    """[40, vocabulary] float32 after each token of one prompt [1, 40], a random one when left out."""
    ids = torch.randint(4, VOCABULARY, (1, 40), generator=torch.Generator().manual_seed(9)) if ids is None else ids
    with Engine.load(directory, dtype="fp32", device="cpu") as engine:
        return engine.model.logits(engine.model(ids, fresh_geometry(ids))[0])


def weights(directory: Path) -> dict[str, Tensor]:
    return load_file(directory / "model.safetensors")


def test_logits_are_the_small_models(small: Path, wide: Path) -> None:
    before, after = logits(small), logits(wide)
    assert before.std() > 0.5  # or a tolerance of 2e-3 would say little
    assert (before - after[:, :VOCABULARY]).abs().max() < 2e-3


def test_unused_vocabulary_ties_with_pad(wide: Path) -> None:
    after = logits(wide)
    assert after.shape[1] == WIDE_VOCABULARY
    assert (after[:, VOCABULARY:] - after[:, PAD : PAD + 1]).abs().max() < 1e-4


def test_greedy_answers_are_the_small_models_and_transformers(small: Path, wide: Path) -> None:
    with Engine.load(small, dtype="fp32", device="cpu") as engine:
        before = engine.generate(requests())
    with Engine.load(wide, dtype="fp32", device="cpu") as engine:
        after = engine.generate(requests())
    theirs = ReferenceEngine.load(wide, dtype="fp32", device="cpu").generate(requests())
    written = [completion.token_ids for completion in before]
    assert all(len(set(ids)) > 16 for ids in written)  # answers that vary
    assert not any(PAD in ids for ids in written)  # the one token that unused rows tie with
    assert [completion.token_ids for completion in after] == written
    assert [completion.token_ids for completion in theirs] == written
    assert [completion.finish_reason for completion in after] == [completion.finish_reason for completion in before]


def test_transformers_finds_every_weight(wide: Path) -> None:
    from transformers import BloomForCausalLM

    loaded: Any = BloomForCausalLM.from_pretrained(wide, output_loading_info=True)
    model, found = loaded
    assert not any(found[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.num_parameters() == sum(tensor.numel() for tensor in weights(wide).values())


def test_files_are_those_of_the_wide_shape(small: Path, wide: Path) -> None:
    assert sorted(path.name for path in wide.iterdir()) == [
        "config.json",
        "model.safetensors",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    assert (wide / "tokenizer.json").read_bytes() == (small / "tokenizer.json").read_bytes()
    assert ModelConfig.read(wide / "config.json") == ModelConfig(WIDE_VOCABULARY, 512, 4, 8)
    assert json.loads((wide / "config.json").read_text())["torch_dtype"] == "float16"
    assert {tensor.dtype for tensor in weights(wide).values()} == {torch.float16}
    assert [path.name for path in wide.parent.iterdir()] == ["model"]  # nothing left beside


def test_added_weights_follow_the_seed(small: Path, wide: Path, tmp_path: Path) -> None:
    again = widen(small, tmp_path / "again", **WIDE)
    other = widen(small, tmp_path / "other", **WIDE, seed=1)
    assert (again / "model.safetensors").read_bytes() == (wide / "model.safetensors").read_bytes()
    assert (other / "model.safetensors").read_bytes() != (wide / "model.safetensors").read_bytes()


def test_added_layers_are_neither_constant_nor_alike(wide: Path) -> None:
    found = weights(wide)
    for name in ("self_attention.dense.weight", "mlp.dense_4h_to_h.weight"):
        third, fourth = (found[f"transformer.h.{layer}.{name}"].float() for layer in (2, 3))
        assert 0.9e-5 < third.std() < 1.1e-5
        assert not torch.equal(third, fourth)
    for name in ("self_attention.query_key_value.weight", "mlp.dense_h_to_4h.weight"):
        assert found[f"transformer.h.2.{name}"].float().std() > 0.01


def test_heads_stand_where_their_slope_is(small: Path, wide: Path) -> None:
    assert torch.equal(alibi_slopes(8)[[3, 7]], alibi_slopes(2))
    before = weights(small)["transformer.h.0.self_attention.dense.weight"]
    after = weights(wide)["transformer.h.0.self_attention.dense.weight"].view(4, 128, 8, 64)
    assert all(torch.equal(copy, before.view(128, 2, 64)) for copy in after[:, :, [3, 7]])
    assert not after[:, :, [0, 1, 2, 4, 5, 6]].any()


@pytest.mark.parametrize(("few", "copies"), [(1, 16), (2, 8), (3, 2), (4, 4), (5, 3), (6, 2), (12, 3), (16, 1)])
def test_every_head_count_finds_its_slopes(few: int, copies: int) -> None:
    many = few * copies
    places = Widening(ModelConfig(10, few * 64, 1, few), ModelConfig(10, many * 64, 1, many)).places
    assert torch.equal(alibi_slopes(many)[places], alibi_slopes(few))
    assert len(set(places)) == few
    if few in {1, 2, 4, 16}:
        assert places == [(head + 1) * many // few - 1 for head in range(few)]


def test_three_heads_and_a_multiple_that_rounds(tmp_path: Path) -> None:
    """Slopes that are no single run of powers, and a division by 3 that FP16 cannot hold exactly."""
    source = write_random_checkpoint(tmp_path / "small", hidden=192, heads=3, layers=1, vocabulary=50, dtype="fp16")
    made = widen(source, tmp_path / "wide", hidden_size=576, heads=9, layers=1, vocabulary=50)
    ids = torch.arange(4, 44)[None]
    assert (logits(source, ids) - logits(made, ids)).abs().max() < 2e-2


def test_same_shape_is_the_same_model(small: Path, tmp_path: Path) -> None:
    made = widen(small, tmp_path / "same", hidden_size=128, heads=2, layers=2, vocabulary=VOCABULARY)
    before, after = weights(small), weights(made)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hidden_size": 500}, "hidden_size 500 is not a multiple of its 128"),
        ({"heads": 7}, "7 heads are not a multiple of its 2"),
        ({"heads": 4}, "hidden_size 512 over 4 heads does not keep its 64 numbers a head"),
        ({"layers": 1}, "1 layers are fewer than its 2"),
        ({"vocabulary": 399}, "a vocabulary of 399 is smaller than its 400"),
        ({"layers": 0}, "a size of 0 was asked for"),
        ({"heads": -8}, "a size of -8 was asked for"),
        ({"layers": 10**6, "hidden_size": 10**9}, r"hidden_size 1,000,000,000 \(at most 131,072\), n_layer 1,000,000 \(at most 1,024\)"),
    ],
)
def test_impossible_shapes_are_named(small: Path, tmp_path: Path, change: Shape, said: str) -> None:
    shape: Shape = {**WIDE, **change}
    with pytest.raises(OptionError, match=said):
        widen(small, tmp_path / "wide", **shape)
    assert not list(tmp_path.iterdir())


def test_all_problems_are_named_at_once(small: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=r"1 layers are fewer than its 2; a vocabulary of 5 is smaller than its 400"):
        widen(small, tmp_path / "wide", hidden_size=512, heads=8, layers=1, vocabulary=5)


def copy_with(small: Path, directory: Path, **changed: object) -> Path:
    """The small model with other settings in its config.json."""
    directory.mkdir()
    for path in small.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    config = json.loads((small / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | changed))
    return directory


def test_untied_head_is_refused(small: Path, tmp_path: Path) -> None:
    source = copy_with(small, tmp_path / "untied", tie_word_embeddings=False)
    with pytest.raises(OptionError, match="its LM head is not tied"):
        widen(source, tmp_path / "wide", **WIDE)


def test_residuals_after_layer_norm_allow_no_extra_layers(small: Path, tmp_path: Path) -> None:
    source = copy_with(small, tmp_path / "post", apply_residual_connection_post_layernorm=True)
    with pytest.raises(OptionError, match="2 extra layers would change its outputs"):
        widen(source, tmp_path / "wide", **WIDE)
    shape: Shape = {**WIDE, "layers": 2}
    made = widen(source, tmp_path / "wide", **shape)
    assert (logits(source) - logits(made)[:, :VOCABULARY]).abs().max() < 2e-3


def test_existing_destination_is_left_alone(small: Path, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    with pytest.raises(OptionError, match="kept exists already"):
        widen(small, tmp_path / "kept", **WIDE)
    assert not list((tmp_path / "kept").iterdir())


def test_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        widen(tmp_path / "nowhere", tmp_path / "wide")


def test_failure_leaves_nothing_behind(small: Path, tmp_path: Path) -> None:
    source = copy_with(small, tmp_path / "huge")
    found = {name: tensor.float() for name, tensor in weights(small).items()}
    found["transformer.h.1.mlp.dense_4h_to_h.bias"][0] = 70000.0
    save_file(found, source / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"h\.1\.mlp\.dense_4h_to_h\.bias holds 70000; FP16 ends at 65504"):
        widen(source, tmp_path / "wide", **WIDE)
    assert [path.name for path in tmp_path.iterdir()] == ["huge"]


def test_streamed_file_holds_two_blocks_at_most(tmp_path: Path) -> None:
    made: list[weakref.ref[Tensor]] = []

    def blocks(number: int) -> Iterator[Tensor]:
        for row in range(3):
            assert all(block() is None for block in made[:-1]), "a block that was written is still held"
            block = torch.full((2, 5), float(10 * number + row))
            made.append(weakref.ref(block))
            yield block
            del block

    write_streamed([Planned(str(number), (6, 5), partial(blocks, number)) for number in range(2)], tmp_path / "file")
    found = load_file(tmp_path / "file")
    assert found["1"].dtype == torch.float16
    assert found["1"][:, 0].tolist() == [10, 10, 11, 11, 12, 12]


def test_default_shape_is_bloom_560m() -> None:
    with torch.device("meta"):
        whole = Bloom(ModelConfig(250880, 1024, 24, 16))
    assert sum(parameter.numel() for parameter in whole.parameters()) == 559214592
    assert widen.__kwdefaults__ == {"hidden_size": 1024, "layers": 24, "heads": 16, "vocabulary": 250880, "seed": 0}
