"""transformers' own generate behind the engine's interface: the oracle in tests and the peer in benchmarks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.config import ModelConfig, resolve_device, resolve_dtype
from seqgpt_lab.engine.peer import Peer
from seqgpt_lab.engine.requests import Completion, Request, Timing


class ReferenceEngine(Peer):
    """The same `generate(requests)` as Engine, computed by transformers (extra `peers`) in batches as they come, padded on the left."""

    name = "transformers"

    def __init__(self, model: Any, checkpoint: Checkpoint, config: ModelConfig, batch_size: int, probabilities: bool) -> None:
        super().__init__(checkpoint, config, batch_size)
        self.model, self.probabilities = model, probabilities

    @classmethod
    def load(
        cls, source: str | Path, *, dtype: str = "auto", device: str = "auto", batch_size: int = 32, probabilities: bool = True
    ) -> ReferenceEngine:
        """Load as Engine.load does; raises the same errors for models and options that cannot be used.

        probabilities: tell each token's; without, transformers need not keep every step's logits, and is as fast as it can be.
        """
        from transformers import BloomForCausalLM, GenerationConfig

        where = resolve_device(device)
        kind = resolve_dtype(dtype, where)
        checkpoint = find_checkpoint(source)
        config = ModelConfig.read(checkpoint.config)
        model: Any = BloomForCausalLM.from_pretrained(checkpoint.config.parent, dtype=kind, use_safetensors=True)
        model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]  # a checkpoint's own may ask for beams or a repetition penalty
        return cls(model.to(where).eval(), checkpoint, config, batch_size, probabilities)

    @torch.inference_mode()
    def _batch(self, requests: Sequence[Request]) -> list[Completion]:
        started = time.perf_counter()
        longest = max(len(request.prompt_ids) for request in requests)
        pad, end = self.config.pad_token_id, self.config.eos_token_id
        ids = torch.tensor([[pad] * (longest - len(request.prompt_ids)) + list(request.prompt_ids) for request in requests])
        mask = torch.tensor([[0] * (longest - len(request.prompt_ids)) + [1] * len(request.prompt_ids) for request in requests])
        output = self.model.generate(
            input_ids=ids.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            do_sample=False,
            num_beams=1,
            max_new_tokens=max(request.max_new_tokens for request in requests),
            pad_token_id=pad,
            eos_token_id=end,
            output_logits=self.probabilities,
            return_dict_in_generate=True,
        )
        written = output.sequences[:, longest:].tolist()
        chosen = [logits.float().softmax(-1).amax(-1).tolist() for logits in output.logits or ()]  # step by row
        timing = Timing(0.0, time.perf_counter() - started)
        return [
            _completion(written[row], [step[row] for step in chosen], request.max_new_tokens, end, timing)
            for row, request in enumerate(requests)
        ]


def _completion(written: list[int], probabilities: list[float], limit: int, end: int, timing: Timing) -> Completion:
    """Cut a row at its end token or its own limit, whichever is first."""
    written = written[:limit]
    if end in written:
        at = written.index(end)
        return Completion(tuple(written[:at]), tuple(probabilities[:at]), "stop", probabilities[at] if probabilities else None, timing)
    return Completion(tuple(written), tuple(probabilities[: len(written)]), "length", None, timing)
