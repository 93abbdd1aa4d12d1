"""The engine: a model loaded once, batches of token ids completed greedily, in input order. Knows no text, labels or prompts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

import torch

from seqgpt_lab.engine.attention import choose_attention
from seqgpt_lab.engine.batching import plan_batches
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.config import ModelConfig, resolve_device, resolve_dtype
from seqgpt_lab.engine.decode import Completion, Request, decode
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.weights import load_model
from seqgpt_lab.errors import OptionError, SeqGPTLabError

Progress = Callable[[int, int], None]
"""Called with (requests done, requests in all) after each batch."""


class Engine:
    """A loaded model. Use `Engine.load`; a context manager, so that the weights go when the block ends."""

    def __init__(self, model: Bloom, checkpoint: Checkpoint, *, batch_size: int, token_budget: int) -> None:
        self._model: Bloom | None = model
        self.checkpoint, self.config = checkpoint, model.config
        self.batch_size, self.token_budget = batch_size, token_budget

    @classmethod
    def load(
        cls,
        source: str | Path,
        *,
        dtype: str = "auto",
        device: str = "auto",
        attention: str = "auto",
        batch_size: int = 32,
        token_budget: int = 16384,
    ) -> Engine:
        """Load `tiny`, a model directory, the article's package or a hub id.

        dtype: auto, fp16, bf16, fp32. device: auto, cpu, cuda, cuda:N. attention: auto, sdpa, flash, reference.
        batch_size: most prompts decoded together. token_budget: most prompt tokens of a batch, padding included.
        Raises CheckpointError for a model that cannot be used, OptionError for an option that does not exist or cannot work here.
        """
        where = resolve_device(device)
        kind = resolve_dtype(dtype, where)
        if batch_size < 1 or token_budget < 1:
            raise OptionError(f"batch_size {batch_size} and token_budget {token_budget} must both be at least 1")
        if where.type == "cuda":
            # Half-precision sums inside a product change text between runs of different shapes; the default is on.
            torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False
        chosen = choose_attention(attention, where)
        checkpoint = find_checkpoint(source)
        config = ModelConfig.read(checkpoint.config)
        model = load_model(config, checkpoint.weights, shard=Shard(), dtype=kind, device=where, attention=chosen)
        return cls(model, checkpoint, batch_size=batch_size, token_budget=token_budget)

    @property
    def model(self) -> Bloom:
        """The running model. Raises SeqGPTLabError after `close`."""
        if self._model is None:
            raise SeqGPTLabError("this engine is closed; load it again with Engine.load")
        return self._model

    @property
    def dtype(self) -> torch.dtype:
        return self.model.word_embeddings.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.model.slopes.device

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        """Complete every request greedily; results in input order, the same for any batch_size up to rounding.

        Raises OptionError for an empty prompt, a limit below 1, or an id outside the vocabulary.
        """
        model = self.model
        for index, request in enumerate(requests):
            _check(index, request, self.config.vocab_size)
        found: dict[int, Completion] = {}
        for batch in plan_batches(requests, batch_size=self.batch_size, token_budget=self.token_budget):
            found.update(zip(batch, decode(model, [requests[index] for index in batch]), strict=True))
            if progress:
                progress(len(found), len(requests))
        return [found[index] for index in range(len(requests))]

    def close(self) -> None:
        """Let go of the weights; harmless when called again."""
        self._model = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def _check(index: int, request: Request, vocabulary: int) -> None:
    if not request.prompt_ids:
        raise OptionError(f"request {index} has an empty prompt; a prompt needs at least one token")
    if request.max_new_tokens < 1:
        raise OptionError(f"request {index} asks for {request.max_new_tokens} new tokens; at least 1 is needed")
    low, high = min(request.prompt_ids), max(request.prompt_ids)
    if low < 0 or high >= vocabulary:
        wrong = low if low < 0 else high
        raise OptionError(f"request {index} holds token id {wrong}, outside the vocabulary [0, {vocabulary})")
