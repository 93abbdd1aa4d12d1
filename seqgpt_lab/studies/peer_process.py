"""Another engine in a process of its own, behind the engine's interface; knows which engine, and measures nothing.

In one process they slow each other down: with the threads of CTranslate2's OpenMP beside them, those of torch's sleep between two
products instead of spinning, and everything that runs on torch takes up to 1.4 times as long.
"""

from __future__ import annotations

import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
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
_END_SECONDS = 5.0


class PeerProcess:
    """`peer`: transformers or ctranslate2. Ends with `close`, and by itself when this process is gone."""

    def __init__(self, peer: str, model: str | Path, number_format: str) -> None:
        """Waits until the model is loaded; raises what that raises. number_format: transformers' dtype, CTranslate2's quantization."""
        self.peer, self.checkpoint, self.batch_size = peer, find_checkpoint(model), 32
        spawn = get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        arguments = (theirs, peer, str(model), number_format, torch.get_num_threads())
        self._process = spawn.Process(target=_serve, args=arguments, name=f"seqgpt-lab {peer}", daemon=True)
        self._process.start()
        theirs.close()  # now only the peer holds it, so its end is heard
        try:
            self._answer(_LOAD_SECONDS)
        except BaseException:
            self.close()
            raise

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """Complete every request; results in input order. Guesses stay here: a peer has no use for them.

        Raises what the peer raises, and WorkerError when its process has died or does not answer.
        """
        with suppress(OSError):  # of a process that is gone: the answer tells
            self._connection.send(([replace(request, drafts=None) for request in requests], self.batch_size))
        return self._answer(_BATCH_SECONDS)  # type: ignore[no-any-return]

    def close(self) -> None:
        """End the process; harmless when called again."""
        self._connection.close()
        self._process.join(_END_SECONDS)
        self._process.kill()
        self._process.join(_END_SECONDS)

    def _answer(self, seconds: float) -> Any:
        try:
            if not self._connection.poll(seconds):
                raise WorkerError(f"the process of {self.peer} has not answered for {seconds:g} s; give it fewer prompts at once")
            found = self._connection.recv()
        except (EOFError, OSError) as error:
            raise WorkerError(f"the process of {self.peer} has died; was there enough memory for another copy of the model?") from error
        if isinstance(found, Exception):
            raise found
        return found


def _serve(connection: Connection, peer: str, model: str, number_format: str, threads: int) -> None:
    """The peer's process: says None when the model is loaded, then answers until the other end is closed; an error is an answer too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the benchmark, which then closes its end
    torch.set_num_threads(threads)
    with suppress(EOFError, OSError):  # a benchmark that was ended is told nothing any more, whatever was being done for it
        try:
            engine = _load(peer, model, number_format)
        except Exception as error:
            connection.send(error)
            return
        connection.send(None)
        while True:
            requests, engine.batch_size = connection.recv()
            try:
                found: object = engine.generate(requests)
            except Exception as error:
                found = error
            connection.send(found)


def _load(peer: str, model: str, number_format: str) -> Any:
    if peer == "transformers":
        return ReferenceEngine.load(model, dtype=number_format, probabilities=False)
    return CTranslate2Engine.load(model, quantization=number_format)
