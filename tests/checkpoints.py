"""Writes small random BLOOM checkpoints that the engine, the extractor and transformers all read; knows no trained weights."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from seqgpt_lab.embedded.tokenizer import build_tokenizer, save_tokenizer
from seqgpt_lab.engine.config import DTYPES, ModelConfig
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.weights import stored_name

# Sharp attention and strong branches keep greedy output from merely repeating the last token, which a tied head favours.
SCALES = {"query_key_value.weight": 2.0, "self_attention.dense.weight": 10.0, "dense_4h_to_h.weight": 10.0}


def write_random_checkpoint(
    directory: Path,
    *,
    heads: int = 4,
    hidden: int = 256,
    layers: int = 2,
    vocabulary: int | None = None,
    seed: int = 0,
    dtype: str = "fp32",
) -> Path:
    """Fill `directory` with config.json, model.safetensors and the tokenizer of the embedded model; returns it.

    vocabulary: rows of the embedding, None for as many as the tokenizer has; fewer suit tests that never decode text. dtype:
    fp16, bf16 or fp32. The same arguments give the same bytes. Weights are large enough for greedy output to vary from
    token to token, and no bias is zero and no scale one, so that a model that forgets any of them answers differently.
    """
    tokenizer = build_tokenizer(())
    save_tokenizer(tokenizer, directory)
    config = ModelConfig(vocabulary or tokenizer.get_vocab_size(), hidden, layers, heads)
    kind = DTYPES[dtype]
    (directory / "config.json").write_text(json.dumps(config.to_json(str(kind).removeprefix("torch."))), encoding="utf-8")
    weights = {f"transformer.{name}": tensor.to(kind) for name, tensor in random_weights(config, seed).items()}
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})
    return directory


def random_weights(config: ModelConfig, seed: int) -> dict[str, Tensor]:
    """Random fp32 tensors under the names BLOOM checkpoints use, without the `transformer.` before them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {name: tuple(parameter.shape) for name, parameter in Bloom(config).named_parameters()}
    return {stored_name(name): _random(name, shape, generator) for name, shape in shapes.items()}


def _random(name: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    noise: Tensor = torch.randn(shape, generator=generator)
    if len(shape) == 1:
        is_scale = name.endswith("weight")
        return 0.1 * noise + (1.0 if is_scale else 0.0)
    scale = next((scale for end, scale in SCALES.items() if name.endswith(end)), 1.0)
    return noise * (scale / math.sqrt(shape[1]))
