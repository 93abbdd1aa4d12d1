"""The whole recipe in one call: tokenizer from the corpus, training that resumes, an exported model directory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from seqgpt_lab.embedded.annotated import AnnotatedSets
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kinds import KINDS, TRAINED_KINDS
from seqgpt_lab.embedded.export import export
from seqgpt_lab.embedded.fused.build import NotCompiledError, load
from seqgpt_lab.embedded.hardness import drawn_by_hardness
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.resuming import CHECKPOINT
from seqgpt_lab.embedded.taught import lac_tagger, with_taught
from seqgpt_lab.embedded.tokenizer import build_tokenizer
from seqgpt_lab.embedded.train import CPU, Report, Trainer, train
from seqgpt_lab.engine.attention import SdpaAttention
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.memory import within_memory
from seqgpt_lab.engine.model import Bloom, Layer
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.weights import load_model
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import sha256_of

_TOKENIZER_DOCUMENTS = 4000


def corpus_tokenizer() -> Tokenizer:
    """The embedded model's tokenizer: common characters, and those of a seeded sample of training documents."""
    random = Random(0)
    texts = [compose(KINDS[index % len(KINDS)], "train", random, index).text for index in range(_TOKENIZER_DOCUMENTS)]
    tokenizer = build_tokenizer(texts)
    tokenizer.encode_special_tokens = True
    return tokenizer


def train_embedded(
    out: Path,
    recipe: Recipe,
    report: Report,
    start: Path | None = None,
    annotated: Path | None = None,
    *,
    teach: bool = False,
    device: torch.device = CPU,
    workers: int = 0,
) -> Path:
    """Train in `out` (checkpoint.pt, resumed if there) and export `out`/model; returns the model's directory.

    start: a model directory to begin from instead of random weights; its tokenizer is kept, copying drills are not repeated, one of fewer
    layers than the recipe's is grown, and training templates that it reads wrong are drawn oftener (`hardness.py`).
    annotated: a directory of annotated real texts to mix in (`AnnotatedSets`); without it all documents are synthetic.
    teach: also learn people, places and organisations from LAC's marks in some of the annotated texts (`taught.py`).
    workers: processes that make batches ahead of the device's use; 0 makes them in this one. The batches are the same.
    Raises OptionError when `out` holds a checkpoint of another recipe, start or mixture, `start` is `out`/model or of another shape, or
    there is nothing to teach with.
    """
    if teach and annotated is None:
        raise OptionError("--teach marks annotated texts anew; name their folder with --annotated")
    if start is not None and start.resolve() == (out / "model").resolve():
        raise OptionError(f"the model {start} to begin from is the one that training would replace; name another OUT than {out}")
    real = None if annotated is None else AnnotatedSets.load(annotated)
    if real is not None:
        report(f"annotated texts to train on: {real.summary()}")
    if teach and real is not None:
        report("marking texts with LAC (a minute or two)")
        real = with_taught(real, lac_tagger())
    compiled = device.type == "cpu" and _compiled(report)
    if start is None:
        trainer = Trainer(recipe, corpus_tokenizer(), TRAINED_KINDS, real, device=device, workers=workers, compiled=compiled)
    else:
        found = find_checkpoint(start)
        tokenizer = Tokenizer.from_file(str(found.tokenizer))
        tokenizer.encode_special_tokens = True
        began = " ".join(map(sha256_of, found.weights))
        trainer = Trainer(
            recipe.from_trained(), tokenizer, TRAINED_KINDS, real, device=device, workers=workers, compiled=compiled, start=began
        )
        _begin_from(trainer, found)
        if not (out / CHECKPOINT).exists():  # else it says how templates are drawn
            report("asking about every training template: what is read wrong will be drawn oftener (some minutes)")
            with within_memory(lambda: "asking does not fit into memory", "end what else is there and give the same command again"):
                trainer.draw(drawn_by_hardness(trainer, report))
            out.mkdir(parents=True, exist_ok=True)
            trainer.save(out / CHECKPOINT)  # so that a kill does not cost these minutes
    report(f"{trainer.recipe.steps:,} steps of at most {trainer.recipe.tokens:,} tokens")
    begun = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    train(trainer, out, report)
    average(trainer.model, begun, trainer.recipe.kept_share)
    return export(trainer.model, trainer.tokenizer, out / "model")


def _compiled(report: Report) -> bool:
    """Whether attention, activation and loss are compiled for this processor now; without, training is the same and slower."""
    report("compiling what training spends its time on, for this processor (some 10 s)")
    try:
        load()
    except NotCompiledError as why:
        report(f"nothing is compiled: {why}. Training goes on without, more slowly")
        return False
    return True


def _begin_from(trainer: Trainer, found: Checkpoint) -> None:
    """Take over the weights of `found`; a model with fewer layers is grown. Raises OptionError when it differs in anything else."""
    config, wanted = ModelConfig.read(found.config), trainer.model.config
    if replace(config, layers=wanted.layers, seq_length=wanted.seq_length) != wanted or config.layers > wanted.layers:
        raise OptionError(
            f"{found.directory} has the shape {config}, the recipe asks for {wanted}; only the number of layers may differ, and only "
            "be smaller: change one of them"
        )
    model = load_model(config, found.weights, shard=Shard(), dtype=torch.float32, device=CPU, attention=SdpaAttention())
    grow(trainer.model, model)


@torch.no_grad()
def average(model: Bloom, begun: Mapping[str, Tensor], share: float) -> None:
    """Move the weights so far back to those of the same names that they had when training began: not at all at 0, all the way at 1."""
    for name, weight in model.state_dict().items():
        weight.lerp_(begun[name], share)


@torch.no_grad()
def grow(target: Bloom, source: Bloom) -> None:
    """Give `target` the weights of `source`, spread over its layers; its further layers add nothing yet, so both write the same logits.

    Function-preserving growth (Chen, Goodfellow & Shlens 2016, Net2Net): a residual layer whose two output projections are zero is the
    identity, and its gradient is not zero. The last layer stays last, since that is the one that training guides.
    """
    layers, wanted = len(source.h), len(target.h)
    places = {(index + 1) * wanted // layers - 1: index for index in range(layers)}
    for at, layer in enumerate(target.h):
        assert isinstance(layer, Layer), "a Bloom is made of these"
        if at in places:
            layer.load_state_dict(source.h[places[at]].state_dict())
            continue
        for projection in (layer.dense, layer.dense_4h_to_h):
            projection.weight.zero_()
            projection.bias.zero_()
    rest = {name: weight for name, weight in source.state_dict().items() if not name.startswith("h.")}
    target.load_state_dict(rest, strict=False)
