"""Another engine in a process of its own, behind the engine's interface; knows which engine, and measures nothing.

In one process they slow each other down: with the threads of CTranslate2's OpenMP beside them, those of torch's sleep between two
products instead of spinning, and everything that runs on torch takes up to 1.4 times as long.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.peer_ctranslate2 import CTranslate2Engine
from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import WorkerError

_LOAD_SECONDS = 1800.0
_BATCH_SECONDS = 3600.0
_engine: Any = None  # of the peer's process, where `_load` put it


class PeerProcess:
    """`peer`: transformers or ctranslate2. Ends with `close`; raises WorkerError when the process dies."""

    def __init__(self, peer: str, model: str | Path, number_format: str) -> None:
        """Waits until the model is loaded; raises what that raises. number_format: transformers' dtype, CTranslate2's quantization."""
        self.peer, self.checkpoint, self.batch_size = peer, find_checkpoint(model), 32
        self._pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            self._ask(_LOAD_SECONDS, _load, peer, str(model), number_format, torch.get_num_threads())
        except BaseException:
            self.close()
            raise

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request; results in input order. Guesses stay here: a peer has no use for them."""
        sent = [replace(request, drafts=None) for request in requests]
        return self._ask(_BATCH_SECONDS, _generate, sent, self.batch_size)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process; harmless when called again."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _ask(self, seconds: float, work: Any, *arguments: Any) -> Any:
        try:
            return self._pool.submit(work, *arguments).result(timeout=seconds)
        except BrokenProcessPool as error:
            raise WorkerError(f"the process of {self.peer} has died; was there enough memory for another copy of the model?") from error


def _load(peer: str, model: str, number_format: str, threads: int) -> None:
    global _engine
    torch.set_num_threads(threads)
    if peer == "transformers":
        _engine = ReferenceEngine.load(model, dtype=number_format, probabilities=False)
    else:
        _engine = CTranslate2Engine.load(model, quantization=number_format)


def _generate(requests: Sequence[Request], batch: int) -> list[Completion]:
    _engine.batch_size = batch
    return _engine.generate(requests)  # type: ignore[no-any-return]
