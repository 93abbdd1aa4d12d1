"""The whole recipe in one call: tokenizer from the corpus, training that resumes, an exported model directory."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tokenizers import Tokenizer

from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.export import export
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.tokenizer import build_tokenizer
from seqgpt_lab.embedded.train import Report, Trainer, train

_TOKENIZER_DOCUMENTS = 4000


def corpus_tokenizer() -> Tokenizer:
    """The embedded model's tokenizer: common characters, and those of a seeded sample of training documents."""
    random = Random(0)
    texts = [compose(KINDS[index % len(KINDS)], "train", random, index).text for index in range(_TOKENIZER_DOCUMENTS)]
    tokenizer = build_tokenizer(texts)
    tokenizer.encode_special_tokens = True
    return tokenizer


def train_embedded(out: Path, recipe: Recipe, report: Report) -> Path:
    """Train in `out` (checkpoint.pt, resumed if there) and export `out`/model; returns the model's directory.

    Raises OptionError when `out` holds a checkpoint of another recipe.
    """
    trainer = Trainer(recipe, corpus_tokenizer(), KINDS)
    train(trainer, out, report)
    return export(trainer.model, trainer.tokenizer, out / "model")
