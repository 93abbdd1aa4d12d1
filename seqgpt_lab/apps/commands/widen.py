"""`seqgpt-lab widen`: a small model at the size and cost of SeqGPT-560M; knows no weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seqgpt_lab.apps.console import emit_path
from seqgpt_lab.apps.options import LARGEST_SEED


def widen(
    source: Annotated[str, typer.Argument(metavar="SRC", help="`tiny` (the embedded model), a model directory, or a hub id.")],
    destination: Annotated[Path, typer.Argument(metavar="DST", help="The directory to make; it must not exist yet.")],
    hidden_size: Annotated[int, typer.Option("--hidden-size", min=1, help="Numbers in a hidden vector; a multiple of SRC's.")] = 1024,
    layers: Annotated[int, typer.Option("--layers", min=1, help="Layers; at least SRC's.")] = 24,
    heads: Annotated[int, typer.Option("--heads", min=1, help="Attention heads; the same multiple of SRC's as the hidden size.")] = 16,
    vocabulary: Annotated[int, typer.Option("--vocabulary", min=1, help="Rows of the embedding; at least SRC's.")] = 250880,
    seed: Annotated[int, typer.Option("--seed", min=0, max=LARGEST_SEED, help="Decides the weights of what is added.")] = 0,
) -> None:
    """Make a model of SeqGPT-560M's size that answers as a small one does.

    Prints the new directory's path. For measuring speed at real size on real answers; takes 1.1 GB of disk.
    """
    from seqgpt_lab.embedded.widen import widen as widen_model

    made = widen_model(source, destination, hidden_size=hidden_size, layers=layers, heads=heads, vocabulary=vocabulary, seed=seed)
    emit_path(made)
