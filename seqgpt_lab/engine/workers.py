"""The pool of replicas: which batch goes to which, what happens when one fails, starting and ending them. Knows no model."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
import warnings
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

from seqgpt_lab.engine.bell import Bell
from seqgpt_lab.engine.decode import Finish, More
from seqgpt_lab.engine.memory import fewer_rows
from seqgpt_lab.engine.messages import ModelSpec, WorkerSpec
from seqgpt_lab.engine.replica import Job, OutOfMemoryInWorkerError, Replica
from seqgpt_lab.engine.reuse import CacheInfo
from seqgpt_lab.engine.worker import TICK_SECONDS, WorkerInfo
from seqgpt_lab.errors import CapacityError, EngineClosedError, EngineWarning

_START_SECONDS = 600.0
_SETTLE_SECONDS = 5.0


@dataclass(slots=True)
class _Belongings:
    """What has to go when the pool goes, by `close`, garbage collection or the end of the program."""

    replicas: list[Replica]
    directory: Path
    owner: int
    bell: Bell

    def discard(self) -> None:
        """Nothing in a forked copy of the owner: the workers are not its own."""
        if os.getpid() != self.owner:
            return
        for replica in self.replicas:
            replica.stop(at_once=replica.broken or replica.job is not None)
        self.bell.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class WorkerPool:
    """`replicas` copies of a model, each in `tensor_parallel` processes. Started by the constructor; takes one call at a time."""

    def __init__(self, model: ModelSpec, devices: list[list[str]]) -> None:
        """devices: by replica and rank."""
        self._model, self._devices = model, devices
        self._starts, self._leaving = 0, False
        directory = Path(tempfile.mkdtemp(prefix="seqgpt-lab-workers-"))
        self._own = _Belongings([Replica(index) for index in range(len(devices))], directory, os.getpid(), Bell())
        self._discard = weakref.finalize(self, self._own.discard)
        atexit.register(self._discard)  # later than multiprocessing, so called before that waits for the workers when the program ends
        try:
            self._start(self._own.replicas)
        except BaseException:
            self.close()
            raise

    @property
    def replicas(self) -> int:
        return len(self._devices)

    @property
    def device_type(self) -> str:
        return self._devices[0][0].partition(":")[0]

    @property
    def caches(self) -> tuple[CacheInfo, ...]:
        """What the first rank of each replica keeps, as of its newest batch."""
        return tuple(replica.cache for replica in self._own.replicas)

    @property
    def info(self) -> tuple[WorkerInfo, ...]:
        """The workers, by replica and rank; none while one is broken and after `close`."""
        return tuple(worker.info for replica in self._own.replicas for worker in replica.workers)

    def leave(self) -> None:
        """Have a call that is at work in another thread end with EngineClosedError; `close` comes after it."""
        self._leaving = True
        self.wake()

    def close(self) -> None:
        """End the workers; harmless when called again."""
        self._discard()
        atexit.unregister(self._discard)

    def run(self, jobs: Iterable[Job], finish: Finish) -> None:
        """Hand every job to whichever replica is free; `finish` is called with each one's completions, in the order they come.

        Raises WorkerError when a worker dies, raises or hangs; the next call starts its replica again. Raises CapacityError for a
        request that does not fit into memory by itself, LogitsError where a batch's logits are not numbers.
        """
        with self._fit():
            self._run(deque(jobs), finish)

    def serve(self, more: More, rows: int, finish: Finish) -> None:
        """Jobs of at most `rows` requests for whichever replica is free, as long as `more` gives any. Raises as `run` does.

        more: asked when a replica is free: when it becomes so, after `wake`, and whenever anything is heard of another.
        """
        with self._fit():
            self._run(deque(), finish, partial(_job, more, rows))

    def wake(self) -> None:
        """Have `serve` ask `more` at once if a replica is free. From any thread, harmless at any time."""
        self._own.bell.ring()

    @contextmanager
    def _fit(self) -> Iterator[None]:
        """Replicas that are fit, and that nobody's batch is left on when the block fails.

        Raises EngineClosedError for whatever becomes of a call whose workers are taken away.
        """
        self._check_open()
        try:
            self._mend()
            yield
        except BaseException as error:
            if not self._leaving:
                self._let_go()
            elif isinstance(error, Exception) and not isinstance(error, EngineClosedError):
                raise EngineClosedError from error
            raise

    def _check_open(self) -> None:
        if self._leaving or not self._discard.alive:
            raise EngineClosedError

    def _let_go(self) -> None:
        """Call off what still runs; a broken replica ends now, not at the next call, for its ranks may spin or hold memory."""
        for replica in self._busy():
            if not replica.broken:
                replica.abandon()
        for replica in self._own.replicas:
            if replica.broken:
                replica.stop(at_once=True)

    def _run(self, waiting: deque[Job], finish: Finish, more: Callable[[], Job | None] = lambda: None) -> None:
        next_tick = time.monotonic() + TICK_SECONDS
        while True:
            self._own.bell.hear()
            self._check_open()
            for replica in self._own.replicas:
                if replica.job is None and (job := waiting.popleft() if waiting else more()):
                    replica.send(job)
            if not self._busy():
                return
            connections = [worker.connection for replica in self._busy() for worker in replica.workers]
            readable = wait([*connections, self._own.bell.ear], max(0.0, next_tick - time.monotonic()))
            for replica in self._busy():
                self._collect(replica, set(readable), waiting, finish)
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_SECONDS  # from now: if we were stopped ourselves, that is one tick, not many
                for replica in self._busy():
                    replica.tick()

    def _busy(self) -> list[Replica]:
        return [replica for replica in self._own.replicas if replica.job is not None]

    def _collect(self, replica: Replica, readable: set[object], waiting: deque[Job], finish: Finish) -> None:
        """What a replica's ranks have sent; a batch that was too large for memory goes back, to be tried with fewer rows."""
        job = replica.job
        assert job is not None, "only replicas at work are listened to"
        for worker in [worker for worker in replica.workers if worker.connection in readable]:
            try:
                written = replica.take(worker)
            except OutOfMemoryInWorkerError:
                self._retry(replica, job, waiting)
                return
            if written:
                finish(*written)

    def _retry(self, replica: Replica, job: Job, waiting: deque[Job]) -> None:
        """Ranks that share a model are started again: those that had room still wait in a reduction for the one that had not."""
        if replica.broken:
            self._start([replica])
        replica.job, left = None, job.without(replica.done)
        if not left.requests:
            return
        rows = min(job.rows, len(job.requests))
        if rows > 1 or (job.afresh and not replica.done):  # one may have had beside it what a failed pass lets go of
            rows = fewer_rows(rows, left.requests, replica.name)
        for _ in range(len(waiting)):  # what waits would not fit either
            other = waiting.popleft()
            waiting.append(replace(other, rows=min(rows, other.rows)))
        waiting.appendleft(replace(left, rows=rows, afresh=True))

    def _mend(self) -> None:
        """Make every replica fit for a new batch: late batches leave, dead and stuck workers are replaced, and the user is told."""
        unfit = [replica for replica in self._own.replicas if not replica.settled(_SETTLE_SECONDS)]
        if not unfit:
            return
        names = ", ".join(replica.name for replica in unfit)
        self._start(unfit)
        warnings.warn(f"the workers of {names} were started again after a failure or an interrupted batch", EngineWarning, stacklevel=7)

    def _start(self, replicas: list[Replica]) -> None:
        """All together, then wait for each; none of them is left half started.

        Raises WorkerError naming the rank, with its log, CapacityError where the weights do not fit into memory, CheckpointError.
        """
        deadline = time.monotonic() + _START_SECONDS
        try:
            for replica in replicas:
                self._starts += 1
                replica.start(self._specs(replica.index))
            for replica in replicas:
                replica.await_ready(deadline, self._check_open)
        except BaseException as error:
            for replica in replicas:
                replica.stop(at_once=True)
            if isinstance(error, OutOfMemoryInWorkerError):
                raise CapacityError(f"the weights do not fit into memory: {error}; use a lower dtype or more ranks") from error
            raise

    def _specs(self, replica: int) -> list[WorkerSpec]:
        """Every start has files of its own, so that a rank that lingers cannot meet the new ones."""
        directory, devices = self._own.directory, self._devices[replica]
        return [
            WorkerSpec(
                self._model,
                replica=replica,
                rank=rank,
                world_size=len(devices),
                device=device,
                directory=directory,
                store=directory / f"store-{self._starts}",
                log=directory / f"replica{replica}-rank{rank}-start{self._starts}.log",
            )
            for rank, device in enumerate(devices)
        ]


def _job(more: More, rows: int) -> Job | None:
    """What `more` gives now, as a job; None where that is nothing."""
    found = more(rows)
    return Job(tuple(number for number, _ in found), tuple(request for _, request in found), rows) if found else None
