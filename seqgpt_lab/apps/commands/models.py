"""`seqgpt-lab convert` and `seqgpt-lab train-embedded`: commands that make model directories; knows no weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from seqgpt_lab.apps.console import emit_path, note
from seqgpt_lab.apps.exit_codes import INTERRUPTED
from seqgpt_lab.apps.options import LARGEST_SEED, Device


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A model directory with pickle (.bin, .pt) or safetensors weights.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The directory to make; it must not exist yet.")],
    dtype: Annotated[str, typer.Option("--dtype", help="fp16, bf16 or fp32.")] = "fp16",
) -> None:
    """Turn a model's weights into safetensors.

    Prints the new directory's path. Pickle files are read as tensors only: no code in them is run.
    """
    from seqgpt_lab.engine.convert import convert as convert_model

    made = convert_model(source, destination, dtype=dtype)
    if not (made / "tokenizer.json").exists():
        note(f"note: {source} has no tokenizer.json; copy the one that belongs to the model into {made} before using it")
    emit_path(made)


def train_embedded(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The directory for checkpoint.pt and the trained model.")],
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Updates in all; the recipe's number when left out.")] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Decides the weights; the recipe's when left out.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option("--start", metavar="MODEL", help="A model directory to begin from, instead of random weights.")
    ] = None,
    annotated: Annotated[
        Path | None,
        typer.Option("--annotated", metavar="DIR", help="Annotated real texts to mix in, a folder a set; none when left out."),
    ] = None,
    teach: Annotated[
        bool, typer.Option("--teach", help="Also learn the names that LAC marks in some of the annotated texts (extra `peers`).")
    ] = False,
    threads: Annotated[int | None, typer.Option("--threads", min=1, max=4096, help="CPU threads; PyTorch's choice when left out.")] = None,
    device: Device = "auto",
    large_batches: Annotated[
        bool | None,
        typer.Option("--large-batches/--small-batches", help="A GPU's recipe or a CPU's; by the device and its memory when left out."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=0, help="Processes that write documents ahead; left out, up to twelve for a GPU, none for a CPU."),
    ] = None,
) -> None:
    """Train the embedded model on synthetic text, and on annotated real text where there is some.

    Takes hours, and prints the path of the trained model's directory, OUT/model, at the end. Interrupt it when
    you like (Ctrl-C, SIGTERM or SIGHUP): the same command goes on from OUT/checkpoint.pt.
    """
    import torch

    from seqgpt_lab.embedded.recipe import Recipe
    from seqgpt_lab.embedded.resuming import CHECKPOINT
    from seqgpt_lab.embedded.train_embedded import train_embedded as train
    from seqgpt_lab.engine.config import resolve_device
    from seqgpt_lab.machine import processors

    place = resolve_device(device)
    if large_batches is None:
        large_batches = place.type != "cpu" and torch.cuda.get_device_properties(place).total_memory >= Recipe.large_batches_bytes
    recipe = Recipe().with_large_batches() if large_batches else Recipe()
    if workers is None:
        workers = 0 if place.type == "cpu" else max(1, min(12, processors() - 2))
    recipe = replace(recipe, steps=recipe.steps if steps is None else steps, seed=recipe.seed if seed is None else seed)
    if threads is not None:
        torch.set_num_threads(threads)
    note(f"training on {place}, {workers} processes writing ahead")
    try:
        made = train(out, recipe, note, start, annotated, teach=teach, device=place, workers=workers)
    except KeyboardInterrupt:
        checkpoint = out / CHECKPOINT
        note(f"interrupted; the same command goes on from {checkpoint}" if checkpoint.exists() else "interrupted before the first step")
        raise typer.Exit(INTERRUPTED) from None
    emit_path(made)
