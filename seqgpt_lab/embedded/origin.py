"""What a widened model was made of, as its config.json says; reads and writes no weights."""

from __future__ import annotations

import json

from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.files import sha256_of

WIDENED_FROM = "widened_from"
"""The key in config.json, which transformers and the engine leave alone and `convert` keeps."""


def widened_from(checkpoint: Checkpoint) -> dict[str, str] | None:
    """The SHA-256 of each weights file of the model that this one is a widening of, by name; None for a model that is none."""
    found: dict[str, str] | None = json.loads(checkpoint.config.read_text(encoding="utf-8")).get(WIDENED_FROM)
    return found


def origin_of(source: Checkpoint) -> dict[str, dict[str, str]]:
    """What a widening of `source` says of its origin in config.json: of a model that is widened again the first one."""
    return {WIDENED_FROM: widened_from(source) or {path.name: sha256_of(path) for path in source.weights}}
