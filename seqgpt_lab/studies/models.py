"""Which model answered, and with which settings: what a run records of it, and what a journal of answers is held to. Runs none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from seqgpt_lab.embedded.origin import widened_from
from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.files import sha256_of

if TYPE_CHECKING:
    from seqgpt_lab.engine.config import ModelConfig
    from seqgpt_lab.engine.engine import Engine
    from seqgpt_lab.extraction.extractor import Extractor


def model_record(engine: Engine) -> dict[str, Any]:
    """Which model that is: source, directory, dtype, device, the SHA-256 of each of its files, its shape (layers, hidden_size, heads,
    vocab_size), and the SHA-256 of the weights that it was widened from, None where it was not."""
    checkpoint = engine.checkpoint
    return {
        "source": checkpoint.source,
        "directory": str(checkpoint.directory),
        "dtype": _dtype(engine),
        "device": str(engine.device),
        "sha256": fingerprints(checkpoint),
        "shape": _shape(engine.config),
        "widened_from": widened_from(checkpoint),
    }


def fingerprints(checkpoint: Checkpoint) -> dict[str, str]:
    """The SHA-256 of each of a model's files, by name."""
    return {path.name: sha256_of(path) for path in checkpoint.files}


def trained_in(record: Mapping[str, Any], shape: ModelConfig) -> bool:
    """Whether a `model_record` is of a model that was trained in this shape: it has it, and was not widened to it.

    False where the record does not say. Other weights of the same shape are not told apart, nor a widening whose config.json was written
    before it named its origin.
    """
    return record.get("shape") == _shape(shape) and record.get("widened_from", {}) is None


def answered_with(extractor: Extractor) -> dict[str, Any]:
    """What decides how an extractor answers when it is asked for the same fields of the same text, by name and JSON-ready.

    `labels_per_prompt` is not among it, for it belongs to what is asked, nor is what moves answers by rounding alone: the device, how
    many prompts are decoded together, drafts. The number format is: bf16 rounds enough to be seen in scores.
    """
    return {
        "model": fingerprints(extractor.engine.checkpoint),
        "dtype": _dtype(extractor.engine),
        "grounded": extractor.grounded,
        "max_length": extractor.max_length,
        "max_new_tokens": extractor.max_new_tokens,
        "window_length": extractor.window_length,
        "overlap": extractor.overlap,
    }


def _shape(config: ModelConfig) -> dict[str, int]:
    return {"layers": config.layers, "hidden_size": config.hidden_size, "heads": config.heads, "vocab_size": config.vocab_size}


def _dtype(engine: object) -> str:
    """Empty for an engine without number formats."""
    return str(getattr(engine, "dtype", "")).removeprefix("torch.")
