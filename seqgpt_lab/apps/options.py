"""The options that commands share, and the extractor that those of a model describe; knows no command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from seqgpt_lab.engine.engine import Engine
    from seqgpt_lab.extraction.extractor import Extractor

Model = Annotated[str, typer.Option("--model", help="`tiny` (the embedded model), a model directory, or a hub id.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, fp16, bf16 or fp32.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or cuda:N.")]
Attention = Annotated[str, typer.Option("--attention", help="auto, sdpa, flash or reference.")]
BatchSize = Annotated[int, typer.Option("--batch-size", min=1, help="Most prompts decoded together.")]
LARGEST_SEED = 2**63 - 1  # PyTorch takes no larger one
USUAL_TOKEN_BUDGET = 16384  # the engine's own, named here without loading it
TokenBudget = Annotated[
    int,
    typer.Option("--token-budget", min=1, help="Most prompt tokens decoded together; further prompts wait, whatever their number."),
]
TensorParallel = Annotated[int, typer.Option("--tensor-parallel", min=1, help="Processes that share one copy of the weights.")]
Replicas = Annotated[int, typer.Option("--replicas", min=1, help="Copies of the model, each taking batches of its own.")]
MaxLength = Annotated[
    int,
    typer.Option("--max-length", min=16, help="Most tokens of a prompt; texts too long for the model are read in overlapping windows."),
]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1, help="Most tokens of an answer.")]
Grounded = Annotated[bool, typer.Option("--grounded", help="Let the model write only values that are parts of the text.")]
LabelNames = Annotated[list[str] | None, typer.Option("--labels", metavar="A,B,…", help="Labels to ask for; may be repeated.")]
LabelSetFile = Annotated[Path | None, typer.Option("--label-set", metavar="FILE.yaml", help="A label set to ask for instead.")]
RunsDir = Annotated[Path, typer.Option("--runs-dir", help="The folder of runs.")]
Json = Annotated[bool, typer.Option("--json", help="Write JSON for programs instead of text for people.")]


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Which model to load, how, and within which limits it reads and answers; see the options above."""

    model: str
    dtype: str
    device: str
    attention: str
    batch_size: int
    max_length: int
    max_new_tokens: int
    tensor_parallel: int = 1
    replicas: int = 1
    grounded: bool = False
    token_budget: int = USUAL_TOKEN_BUDGET

    @contextmanager
    def load(self) -> Iterator[tuple[Engine, Extractor]]:
        """The model, and an extractor on it, until the block ends. Raises CheckpointError and OptionError as `Engine.load` does."""
        from seqgpt_lab.engine.engine import Engine
        from seqgpt_lab.extraction.extractor import Extractor

        with Engine.load(
            self.model,
            dtype=self.dtype,
            device=self.device,
            attention=self.attention,
            batch_size=self.batch_size,
            token_budget=self.token_budget,
            tensor_parallel=self.tensor_parallel,
            replicas=self.replicas,
        ) as engine:
            yield engine, Extractor(engine, max_length=self.max_length, max_new_tokens=self.max_new_tokens, grounded=self.grounded)
