"""Small random BLOOMs made, run and stored by transformers, for the engine to be held against; knows nothing of the engine's arithmetic."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import BloomConfig, BloomForCausalLM

from seqgpt_lab.engine.attention import Attention, SdpaAttention
from seqgpt_lab.engine.config import DTYPES, ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.weights import load_model

HIDDEN = {4: 256, 12: 192, 16: 256}  # by head count: head_dim 64, 16 and 16
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Oracle:
    """transformers' model in float32, and the directory it was saved in."""

    model: BloomForCausalLM
    directory: Path

    @property
    def config(self) -> ModelConfig:
        return ModelConfig.read(self.directory / "config.json")

    def logits(self, token_ids: Sequence[int]) -> Tensor:
        """Logits [T, vocabulary] of one unpadded row."""
        with torch.inference_mode():
            return self.model(torch.tensor([list(token_ids)])).logits[0]

    def weights(self) -> dict[str, Tensor]:
        """The tensors a checkpoint of this model stores, under the names it stores them."""
        named = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        if self.model.config.tie_word_embeddings:
            named.pop("lm_head.weight")
        return named


def make_oracle(
    directory: Path, *, heads: int, after_norm: bool = False, tied: bool = True, vocabulary: int = 1000, layers: int = 2
) -> Oracle:
    """A BLOOM whose outputs vary from token to token, in which no bias is zero and no LayerNorm scale is one."""
    torch.manual_seed(heads)
    config = BloomConfig(
        vocab_size=vocabulary,
        hidden_size=HIDDEN[heads],
        n_layer=layers,
        n_head=heads,
        initializer_range=0.2,
        apply_residual_connection_post_layernorm=after_norm,
        tie_word_embeddings=tied,
        pad_token_id=3,
    )
    model = BloomForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 1:
                parameter += 0.2 * torch.randn_like(parameter)
            if name.endswith(("self_attention.dense.weight", "dense_4h_to_h.weight")):
                parameter *= 10  # strong branches, or a tied head would mostly repeat the last token
    model.save_pretrained(directory)
    (directory / "tokenizer.json").write_text("{}", encoding="utf-8")  # has to be there; the engine never reads it
    return Oracle(model, directory)


def load(
    directory: Path,
    *,
    dtype: str = "fp32",
    shard: Shard | None = None,
    attention: Attention | None = None,
    config: ModelConfig | None = None,
) -> Bloom:
    """The engine's own model from every safetensors file of a directory."""
    config = config or ModelConfig.read(directory / "config.json")
    files = sorted(directory.glob("*.safetensors"))
    return load_model(config, files, shard=shard or Shard(), dtype=DTYPES[dtype], device=CPU, attention=attention or SdpaAttention())


def store(tensors: Mapping[str, Tensor], path: Path) -> Path:
    """Write a safetensors file."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    return path


def old_masks() -> dict[str, Tensor]:
    """Under the names, or some of them, by which old versions of transformers stored masks in BLOOM and in its neighbours."""
    mask, least = torch.ones(1, 1, 8, 8, dtype=torch.bool), torch.tensor(-1e9)
    found = {f"transformer.h.0.{level}.bias": mask.clone() for level in ("attn", "attention", "self_attention")}
    found |= {f"h.1.{level}.masked_bias": least.clone() for level in ("attn", "attention", "self_attention")}
    return found | {"transformer.h.0.self_attention.scale_mask_softmax.causal_mask": mask.clone(), "transformer.alibi": least.clone()}


def random_requests(count: int, *, vocabulary: int = 1000, longest: int = 40, most: int = 12, seed: int = 0) -> list[Request]:
    """Prompts of 1 to `longest` ids above the special ones, with limits of 1 to `most`, neither sorted."""
    chance = random.Random(seed)
    return [
        Request(tuple(chance.randrange(4, vocabulary) for _ in range(chance.randint(1, longest))), chance.randint(1, most))
        for _ in range(count)
    ]
