"""The inside of a worker process: loads one rank's slices, decodes the batches it is sent, answers pings; starts no process.

Imports nothing heavy at the top, so that everything that can fail happens after the output goes to the log.
"""

from __future__ import annotations

import faulthandler
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, NoReturn

from seqgpt_lab.engine.messages import Answer, Cancel, Failure, Ping, Pong, Ready, Stop, Work, WorkerSpec, Written
from seqgpt_lab.engine.parent import wait_until_parent_is_gone

if TYPE_CHECKING:
    from seqgpt_lab.engine.model import Bloom
    from seqgpt_lab.engine.requests import Completion
    from seqgpt_lab.engine.worker_shard import WorkerShard

_LEAVING_SECONDS = 2.0  # a parent that ends closes its pipes first, and is gone a little later


def work(spec: WorkerSpec, connection: Connection) -> None:
    """A worker's whole life; returns never. The parent's stop button and its terminal's end (SIGINT and SIGHUP to the process group) are
    not for workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in this thread and those to come: one of them waits for it
    threading.Thread(target=_leave_at_parents_word, daemon=True).start()
    _redirect_output(spec)
    threading.Thread(target=_leave_with_parent, args=(spec,), daemon=True).start()
    mouth = Mouth(connection, spec)
    try:
        model, shard = _load(spec)
        mouth.say(Ready(sum(parameter.nbytes for parameter in model.parameters())))
    except BaseException as error:
        traceback.print_exc()
        mouth.say(_failure(None, error))
        _leave(1)
    Server(spec, model, shard, connection, mouth).serve()


class Mouth:
    """The sending half of the pipe, for two threads."""

    def __init__(self, connection: Connection, spec: WorkerSpec) -> None:
        self._connection, self._spec, self._lock = connection, spec, threading.Lock()

    def say(self, message: object) -> None:
        """Send; a parent that no longer listens is gone, and so are we."""
        try:
            with self._lock:
                self._connection.send(message)
        except OSError:
            _leave_unheard(self._spec)


class Server:
    """Batches are decoded on the main thread; a second one listens, so that pings are answered while a batch runs."""

    def __init__(self, spec: WorkerSpec, model: Bloom, shard: WorkerShard, connection: Connection, mouth: Mouth) -> None:
        from seqgpt_lab.engine.decode import Decoder
        from seqgpt_lab.engine.reuse import ReuseCache

        self._spec, self._shard, self._connection, self._mouth = spec, shard, connection, mouth
        reuse = ReuseCache(spec.model.cache, spec.model.cache_bytes)
        self._decoder = Decoder(model, rows=spec.model.rows, token_budget=spec.model.token_budget, reuse=reuse)
        self._batches: queue.SimpleQueue[Work] = queue.SimpleQueue()
        self._layers = 0
        for layer in model.h:
            layer.register_forward_hook(self._count)

    def serve(self) -> None:
        """Until told to stop."""
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            self._answer(self._batches.get())

    def _count(self, *_: Any) -> None:
        self._layers += 1

    def _listen(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                _leave_unheard(self._spec)
            except Exception as error:  # only a batch holds what is not the engine's own: constraints and drafts
                self._mouth.say(_failure(None, _unreadable(error)))
                continue
            if isinstance(message, Ping):
                self._mouth.say(Pong(self._layers, time.process_time()))
            elif isinstance(message, Cancel):
                self._shard.control.cancelled = message.number
            elif isinstance(message, Stop):
                _leave(0)
            else:
                self._batches.put(message)

    def _answer(self, batch: Work) -> None:
        self._shard.control.current = batch.number

        def tell(indices: Sequence[int], completions: Sequence[Completion]) -> None:
            if self._shard.rank == 0:
                self._mouth.say(Written(batch.number, indices, completions))

        try:
            self._decoder.run(batch.requests, tell, batch.rows)
            message: Answer | Failure = Answer(batch.number, self._decoder.reuse.info)
        except Exception as error:
            message = _failure(batch.number, error)
            print(message.traceback, file=sys.stderr, flush=True)
        if isinstance(message, Failure) and message.out_of_memory:  # after other errors a card may take no call, and this would hide them
            from seqgpt_lab.engine.memory import give_back_memory

            give_back_memory()  # outside the handler: the error's traceback keeps the failed batch's memory
        self._mouth.say(message)


def _load(spec: WorkerSpec) -> tuple[Bloom, WorkerShard]:
    """This rank's slices, and the shard through which it meets the others."""
    import torch

    from seqgpt_lab.engine.attention import choose_attention
    from seqgpt_lab.engine.config import ModelConfig, resolve_dtype
    from seqgpt_lab.engine.cuda import prepare_cuda
    from seqgpt_lab.engine.memory import keep_freed_memory
    from seqgpt_lab.engine.rendezvous import join_ranks
    from seqgpt_lab.engine.weights import load_model
    from seqgpt_lab.engine.worker_shard import WorkerShard

    torch.set_num_threads(spec.model.threads)
    device = torch.device(spec.device)
    prepare_cuda(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    shard = WorkerShard(spec.rank, spec.world_size)
    dtype = resolve_dtype(spec.model.dtype, device)
    attention = choose_attention(spec.model.attention, device, dtype)
    config = ModelConfig.read(spec.model.config)
    model = load_model(config, spec.model.weights, shard=shard, dtype=dtype, device=device, attention=attention)
    model.pack()
    keep_freed_memory()
    shard.meeting.exchange = join_ranks(spec)
    return model, shard


def _unreadable(error: Exception) -> Exception:
    """What to tell of a batch that was sent and could not be put together again; lack of memory is told as what it is."""
    from seqgpt_lab.engine.memory import is_out_of_memory
    from seqgpt_lab.errors import OptionError

    if is_out_of_memory(error):
        return error
    told = OptionError(
        f"a request cannot be read in a worker ({type(error).__name__}: {error}); the classes of its constraint and drafts have to be in "
        "a module that can be imported, not in a notebook or the main script"
    )
    told.__cause__ = error
    return told


def _failure(number: int | None, error: BaseException) -> Failure:
    from seqgpt_lab.engine.memory import is_out_of_memory
    from seqgpt_lab.engine.worker_shard import PeerError
    from seqgpt_lab.errors import LogitsError

    return Failure(
        number,
        type(error).__name__,
        str(error),
        "".join(traceback.format_exception(error)),
        out_of_memory=is_out_of_memory(error),
        by_peer=isinstance(error, PeerError),
        no_numbers=isinstance(error, LogitsError),
    )


def _redirect_output(spec: WorkerSpec) -> None:
    """Standard output and error, those of C++ included, to the log; a crash leaves its stack there too."""
    log = os.open(spec.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    faulthandler.enable(2)


def _leave_at_parents_word() -> None:
    """End at a SIGTERM from the parent, and at no other.

    One to a whole service (systemd's, or to a process group) comes here too, while the parent needs its workers for all it has accepted.
    The parent's own comes from multiprocessing, at the end of a program that did not close its engine, which then waits without limit.
    """
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    _leave(1)


def _leave_with_parent(spec: WorkerSpec) -> None:
    """Clean up and end as soon as the parent is gone."""
    wait_until_parent_is_gone()
    shutil.rmtree(spec.directory, ignore_errors=True)
    _leave(1)


def _leave_unheard(spec: WorkerSpec) -> NoReturn:
    """The pipe is closed. Where the parent is gone, clean up here too: the thread that watches it may get no turn on a busy machine."""
    if wait_until_parent_is_gone(_LEAVING_SECONDS):
        shutil.rmtree(spec.directory, ignore_errors=True)
    _leave(1)


def _leave(code: int) -> NoReturn:
    """At once: no clean-up of torch's could finish while other ranks are gone."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
