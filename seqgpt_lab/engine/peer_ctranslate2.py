"""CTranslate2 behind the engine's interface: a peer in benchmarks. Converts the checkpoint itself, into a temporary directory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.peer import Peer
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.errors import OptionError

QUANTIZATIONS = ("int8", "fp32")
_COMPUTE = {"int8": "int8", "fp32": "float32"}


class CTranslate2Engine(Peer):
    """The same `generate(requests)` as Engine, computed by CTranslate2 (extra `peers`) on the CPU in batches as they come.

    It tells no probabilities: they are empty, and the end token's is None.
    """

    name = "CTranslate2"

    def __init__(self, generator: Any, checkpoint: Checkpoint, config: ModelConfig, batch_size: int) -> None:
        super().__init__(checkpoint, config, batch_size)
        self._generator = generator

    @classmethod
    def load(cls, source: str | Path, *, quantization: str = "int8", batch_size: int = 32) -> CTranslate2Engine:
        """Convert and load; as many threads as torch uses here. The converted copy takes half (int8) or twice (fp32) an fp16 checkpoint's
        disk while it loads. Raises OptionError for other quantizations, CheckpointError for models that cannot be used."""
        import ctranslate2

        if quantization not in QUANTIZATIONS:
            raise OptionError(f"quantization {quantization!r} is unknown; CTranslate2 on a CPU has {', '.join(QUANTIZATIONS)}")
        checkpoint = find_checkpoint(source)
        config = ModelConfig.read(checkpoint.config)
        with tempfile.TemporaryDirectory(prefix="seqgpt-lab-ctranslate2-") as directory:
            _convert(checkpoint, config, directory, quantization)
            generator = ctranslate2.Generator(
                directory, device="cpu", compute_type=_COMPUTE[quantization], intra_threads=torch.get_num_threads()
            )
        return cls(generator, checkpoint, config, batch_size)

    def _batch(self, requests: Sequence[Request]) -> list[Completion]:
        started = time.perf_counter()
        results = self._generator.generate_batch(
            [[str(token) for token in request.prompt_ids] for request in requests],
            max_length=max(request.max_new_tokens for request in requests),
            end_token=[self.config.eos_token_id],
            include_prompt_in_result=False,
        )
        timing = Timing(0.0, time.perf_counter() - started)
        return [_completion(result.sequences_ids[0], request, timing) for result, request in zip(results, requests, strict=True)]


def _completion(written: Sequence[int], request: Request, timing: Timing) -> Completion:
    """An answer shorter than the batch's limit ended by itself; one longer than its own limit is cut there."""
    kept = tuple(written[: request.max_new_tokens])
    return Completion(kept, (), "length" if len(kept) == request.max_new_tokens else "stop", None, timing)


def _convert(checkpoint: Checkpoint, config: ModelConfig, directory: str, quantization: str) -> None:
    """With CTranslate2's own loader of BLOOM; a token is called by its number, so that no tokenizer is needed."""
    from ctranslate2.converters.transformers import BloomLoader
    from transformers import BloomForCausalLM

    model: Any = BloomForCausalLM.from_pretrained(checkpoint.config.parent, dtype=torch.float32, use_safetensors=True)
    with torch.no_grad():
        spec = BloomLoader().get_model_spec(model)
        spec.register_vocabulary([str(token) for token in range(config.vocab_size)])
        spec.config.bos_token, spec.config.eos_token = str(config.eos_token_id), str(config.eos_token_id)
        spec.config.unk_token = str(config.pad_token_id)
        spec.validate()
        spec.optimize(quantization=None if quantization == "fp32" else quantization)
        spec.save(directory)
