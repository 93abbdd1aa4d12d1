"""Writes a small BLOOM as a checkpoint of a bigger one's shape that gives the same answers at the bigger one's cost; runs neither model.

Why it is the same function: a hidden vector of d numbers is tiled k times, which changes neither the mean nor the variance a
LayerNorm divides by. Weights that read the tiled vector are divided by k, so that their sum over the copies is the small model's;
weights that write it have their rows tiled. The tied head sums over the copies too, so the last LayerNorm is divided by k.

What is not the same: logits move by rounding and by the extra layers' 1e-5, and probabilities are lower, because every unused
vocabulary row takes part in the softmax with the pad token's logit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from seqgpt_lab.embedded.origin import origin_of
from seqgpt_lab.embedded.streamed import Planned, write_streamed
from seqgpt_lab.engine.attention import SdpaAttention, alibi_slopes
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.config import LIMITS, ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.weights import load_model, stored_name
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import new_directory

_COPIED = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_BLOCK_ROWS = 4096
_INPUT_SCALE = 0.02  # BLOOM's initializer_range
_OUTPUT_SCALE = 1e-5  # a layer of zeros would be a constant, which graph compilers share between layers or leave out
_WRITES_HIDDEN = ("self_attention.dense.weight", "mlp.dense_4h_to_h.weight")


def widen(
    source: str | Path,
    destination: Path,
    *,
    hidden_size: int = 1024,
    layers: int = 24,
    heads: int = 16,
    vocabulary: int = 250880,
    seed: int = 0,
) -> Path:
    """Write `source` (`tiny`, a directory, a hub id) as an FP16 checkpoint of the given shape into the new directory `destination`.

    The defaults are BLOOM-560m's shape. The source has a tied head; hidden_size and heads are the same multiple of its own, so
    that the size of a head is kept; layers and vocabulary are at least its own. seed: decides the weights of what is added.

    Unused vocabulary rows repeat the pad token's row. They tie with pad, so greedy decoding could write one only where pad had
    the greatest logit; ties go to the smallest id, and a trained model never writes pad, so in practice neither is ever written.

    The small model is held in FP32, of the big one only one matrix at a time. The directory appears whole or not at all. Its config.json
    names the weights it was widened from (`origin.py`), so that nobody takes it for a model that was trained in that shape.
    Raises OptionError for a shape that cannot be reached or a destination that exists, CheckpointError for an unusable source.
    """
    if destination.exists():
        raise OptionError(f"{destination} exists already; name a directory that does not, nothing is overwritten")
    checkpoint = find_checkpoint(source)
    small = ModelConfig.read(checkpoint.config)
    large = replace(small, hidden_size=hidden_size, layers=layers, heads=heads, vocab_size=vocabulary)
    _check(small, large, checkpoint.config)
    cpu = torch.device("cpu")
    model = load_model(small, checkpoint.weights, shard=Shard(), dtype=torch.float32, device=cpu, attention=SdpaAttention())
    with new_directory(destination) as beside:
        write_streamed(_plan(Widening(small, large), model, seed), beside / "model.safetensors")
        about = large.to_json() | origin_of(checkpoint)
        (beside / "config.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        _copy_tokenizer(checkpoint, beside)
    return destination


def _check(small: ModelConfig, large: ModelConfig, path: Path) -> None:
    """Name everything that stands between the two shapes."""
    problems = []
    least = min(large.hidden_size, large.layers, large.heads, large.vocab_size)
    if least < 1:
        raise OptionError(f"a size of {least} was asked for; hidden_size, layers, heads and vocabulary must all be at least 1")
    asked = {"vocab_size": large.vocab_size, "hidden_size": large.hidden_size, "n_layer": large.layers, "n_head": large.heads}
    if beyond := [f"{name} {size:,} (at most {LIMITS[name]:,})" for name, size in asked.items() if size > LIMITS[name]]:
        raise OptionError(f"no model can be read again that has {', '.join(beyond)}; choose smaller sizes")
    if large.hidden_size % small.hidden_size:
        problems.append(f"hidden_size {large.hidden_size} is not a multiple of its {small.hidden_size}")
    if large.heads % small.heads:
        problems.append(f"{large.heads} heads are not a multiple of its {small.heads}")
    if large.heads * small.head_dim != large.hidden_size:
        problems.append(f"hidden_size {large.hidden_size} over {large.heads} heads does not keep its {small.head_dim} numbers a head")
    if large.layers < small.layers:
        problems.append(f"{large.layers} layers are fewer than its {small.layers}")
    if large.vocab_size < small.vocab_size:
        problems.append(f"a vocabulary of {large.vocab_size} is smaller than its {small.vocab_size}")
    if not small.tied_head:
        problems.append("its LM head is not tied to the embedding (tie_word_embeddings false, wanted true)")
    if small.residual_after_layer_norm and large.layers > small.layers:
        problems.append(f"its residuals are taken after LayerNorm, so {large.layers - small.layers} extra layers would change its outputs")
    if problems:
        raise OptionError(f"the model of {path} cannot be widened: {'; '.join(problems)}. Choose sizes that fit, or another model")


def _copy_tokenizer(checkpoint: Checkpoint, directory: Path) -> None:
    for name in _COPIED:
        path = checkpoint.tokenizer.with_name(name)
        if path.exists():
            shutil.copyfile(path, directory / name)


@dataclass(frozen=True, slots=True)
class Widening:
    """How tensors of a small model of d = hidden_size numbers become those of a large one of D = k * d numbers.

    Both have heads of the same size; the small model's H heads become H of the large one's G = k * H.
    """

    small: ModelConfig
    large: ModelConfig

    @property
    def copies(self) -> int:
        """k: how often the hidden vector is repeated."""
        return self.large.hidden_size // self.small.hidden_size

    @property
    def places(self) -> list[int]:
        """For each small head the large head with the same ALiBi slope; (j + 1) * G / H - 1 when H and G are powers of two.

        There always is one: a model of at least twice the heads has all slopes of the smaller one among its own.
        """
        slopes = alibi_slopes(self.large.heads).tolist()
        return [slopes.index(slope) for slope in alibi_slopes(self.small.heads).tolist()]

    def widened(self, name: str, tensor: Tensor, generator: torch.Generator) -> Tensor:
        """A small model's tensor (any but the embedding) as the large model's of the same name; `generator` fills what nothing reads."""
        level = name.rsplit(".", 2)[-2]
        if level == "query_key_value":
            return self._query_key_value(tensor, generator)
        if level == "dense_h_to_4h":
            return self._first_rows(tensor)
        if name.endswith(_WRITES_HIDDEN):
            return self._from_heads(tensor) if level == "dense" else self._from_inner(tensor)
        tiled = tensor.repeat(self.copies)  # biases that write the hidden vector, and LayerNorms
        return tiled / self.copies if level == "ln_f" else tiled

    def _reading(self, weight: Tensor) -> Tensor:
        """Columns [..., d] -> [..., D]: the sum over the copies is what it was."""
        return weight.repeat(*[1] * (weight.dim() - 1), self.copies) / self.copies

    def _query_key_value(self, tensor: Tensor, generator: torch.Generator) -> Tensor:
        """[H * 3 * size(, d)] -> [G * 3 * size(, D)]; the heads that no output projection reads are random."""
        rows = 3 * self.small.head_dim
        by_head = tensor.view(self.small.heads, rows, *tensor.shape[1:])
        if tensor.dim() == 1:
            wide = torch.zeros(self.large.heads, rows)
        else:
            by_head = self._reading(by_head)
            wide = torch.randn(self.large.heads, rows, self.large.hidden_size, generator=generator) * _INPUT_SCALE
        wide[self.places] = by_head
        return wide.flatten(0, 1)

    def _first_rows(self, tensor: Tensor) -> Tensor:
        """[4d(, d)] -> [4D(, D)]; the rows after the first 4d are zero."""
        tensor = self._reading(tensor) if tensor.dim() > 1 else tensor
        wide = torch.zeros(4 * self.large.hidden_size, *tensor.shape[1:])
        wide[: len(tensor)] = tensor
        return wide

    def _from_heads(self, weight: Tensor) -> Tensor:
        """[d, H * size] -> [D, G * size]; only the columns of the placed heads are not zero."""
        wide = torch.zeros(self.large.hidden_size, self.large.heads, self.large.head_dim)
        wide[:, self.places] = weight.view(len(weight), self.small.heads, -1).repeat(self.copies, 1, 1)
        return wide.flatten(1)

    def _from_inner(self, weight: Tensor) -> Tensor:
        """[d, 4d] -> [D, 4D]; only the first 4d columns are not zero."""
        wide = torch.zeros(self.large.hidden_size, 4 * self.large.hidden_size)
        wide[:, : weight.shape[1]] = weight.repeat(self.copies, 1)
        return wide

    def embedding(self, weight: Tensor) -> Iterator[Tensor]:
        """[v, d] -> [V, D] in blocks of rows; the rows from v on are the pad token's."""
        for start in range(0, self.large.vocab_size, _BLOCK_ROWS):
            ids = torch.arange(start, min(start + _BLOCK_ROWS, self.large.vocab_size))
            ids = ids.where(ids < len(weight), self.small.pad_token_id)
            yield weight[ids].repeat(1, self.copies)


def _plan(widening: Widening, model: Bloom, seed: int) -> list[Planned]:
    """The large model's tensors under transformers' names. Random numbers are drawn in this order, as the tensors are made."""
    weights = {stored_name(name): parameter.detach() for name, parameter in model.named_parameters()}
    generator = torch.Generator().manual_seed(seed)

    def make(name: str, shape: tuple[int, ...]) -> Iterator[Tensor]:
        if name == "word_embeddings.weight":
            yield from widening.embedding(weights[name])
        elif name in weights:
            yield widening.widened(name, weights[name], generator)
        else:
            yield _of_extra_layer(name, shape, generator)

    with torch.device("meta"):
        whole = Bloom(widening.large)
    shapes = {stored_name(name): tuple(parameter.shape) for name, parameter in whole.named_parameters()}
    return [Planned(f"transformer.{name}", shape, partial(make, name, shape)) for name, shape in shapes.items()]


def _of_extra_layer(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """A layer that costs what any layer costs and adds next to nothing to the hidden vector."""
    if len(shape) == 1:
        return torch.ones(shape) if name.endswith("layernorm.weight") else torch.zeros(shape)
    return torch.randn(shape, generator=generator) * (_OUTPUT_SCALE if name.endswith(_WRITES_HIDDEN) else _INPUT_SCALE)
