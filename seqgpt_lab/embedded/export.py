"""Writes a trained model as the FP16 checkpoint directory that the engine and transformers load; trains nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tokenizers import Tokenizer

from seqgpt_lab.embedded.tokenizer import save_tokenizer
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.storing import store_tensors
from seqgpt_lab.engine.weights import stored_name
from seqgpt_lab.files import renewed_directory, write_json

SEQ_LENGTH = 160
"""What config.json says of the prompts' length: that of most in training, and by measurement that of the windows which find most."""


def export(model: Bloom, tokenizer: Tokenizer, directory: Path) -> Path:
    """Write config.json, model.safetensors (FP16, transformers' names) and the tokenizer into `directory`, replacing a model there.

    The directory is replaced by whole files when all are written; those of other names in it (a model card) are kept.
    Raises OSError as the file system does.
    """
    with renewed_directory(directory, last="config.json") as beside:
        weights = {
            f"transformer.{stored_name(name)}": parameter.detach().to("cpu", torch.float16).contiguous()
            for name, parameter in model.named_parameters()
        }
        store_tensors(weights, beside / "model.safetensors")
        write_json(beside / "config.json", replace(model.config, seq_length=SEQ_LENGTH).to_json())
        save_tokenizer(tokenizer, beside)
    return directory
