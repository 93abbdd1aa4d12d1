"""A whole model in one or more worker processes, one batch at a time: SPMD, every rank is sent the same batch. Plans no batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait

from seqgpt_lab.engine.messages import Answer, Cancel, Failure, Ready, Work, WorkerSpec, Written
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.engine.reuse import CacheInfo
from seqgpt_lab.engine.worker import TICK_SECONDS, Worker, pickled
from seqgpt_lab.errors import CheckpointError, LogitsError, OptionError, WorkerError

IDLE_TICKS = 7  # no rank used its processors or finished a layer for 3.5 s: a deadlock
STILL_TICKS = 600  # no rank finished a layer for 5 minutes, however busy
_DIAGNOSIS_SECONDS = 1.0
_STOP_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """Requests and their places in the caller's list. rows: how many of them are at work at once, at most.

    afresh: they are tried again, on a replica that let go of what it kept.
    """

    indices: tuple[int, ...]
    requests: tuple[Request, ...]
    rows: int
    afresh: bool = False

    def without(self, done: set[int]) -> Job:
        """What is left when the requests at these places of the job are done."""
        left = [at for at in range(len(self.requests)) if at not in done]
        return Job(tuple(self.indices[at] for at in left), tuple(self.requests[at] for at in left), self.rows)


class OutOfMemoryInWorkerError(Exception):
    """A rank could not hold the batch; the engine splits it, so that no user sees this."""


class Replica:
    """Its workers, and the batch they are on. broken: they have to be started again before the next batch."""

    def __init__(self, index: int) -> None:
        self.index, self.number = index, 0
        self.workers: list[Worker] = []
        self.job: Job | None = None
        self.abandoned = False
        self.broken = True
        self.cache = CacheInfo("none", 0)  # of rank 0, after its newest answer
        self._answered: set[int] = set()
        self.done: set[int] = set()  # places in the running job whose completions were handed out

    @property
    def name(self) -> str:
        ranks = len(self.workers)
        return f"replica {self.index}" + (f" ({ranks} ranks)" if ranks > 1 else "")

    def start(self, specs: Sequence[WorkerSpec]) -> None:
        """Start processes, one a rank, in place of those there were; `await_ready` waits for them."""
        self.stop(at_once=True)
        self.broken, self.job, self.abandoned = True, None, False
        self.cache = CacheInfo(specs[0].model.cache, specs[0].model.cache_bytes)
        for spec in specs:
            self.workers.append(Worker(spec))

    def await_ready(self, deadline: float, check: Callable[[], None]) -> None:
        """Until every rank has its weights and has met the others. deadline: of time.monotonic. Raises WorkerError, CheckpointError.

        check: called now and then; what it raises ends the wait.
        """
        waiting = list(self.workers)
        while waiting:
            check()
            left = max(0.0, deadline - time.monotonic())
            ready = wait([worker.connection for worker in waiting], min(TICK_SECONDS, left))
            if not ready and not left:
                raise waiting[0].error("did not get ready in time")
            for worker in [worker for worker in waiting if worker.connection in ready]:
                waiting.remove(worker)
                message = self._receive(worker)
                if isinstance(message, Failure):
                    raise self._diagnose(worker, message)
                assert isinstance(message, Ready), "a worker's first words are that it is ready, or why not"
                worker.weight_bytes = message.weight_bytes
        self.broken = False

    def send(self, job: Job) -> None:
        """Hand a batch to every rank. Raises WorkerError when one is gone or takes nothing in, OptionError for what cannot be sent."""
        self.number += 1
        batch = _pickled(Work(self.number, job.requests, job.rows))
        self.job, self._answered, self.done = job, set(), set()
        for worker in self.workers:
            worker.pulse.ticks_idle = worker.pulse.ticks_still = 0
            self._guarded_send(worker, batch)

    def take(self, worker: Worker) -> tuple[Sequence[int], Sequence[Completion]] | None:
        """Read a message of a worker's: completions, by the caller's indices, if it brings some; late ones are dropped.

        Raises WorkerError, OutOfMemoryInWorkerError, or LogitsError, after which all ranks are fit for the next batch.
        """
        message = self._receive(worker)
        if isinstance(message, Failure) and message.number in (self.number, None) and not message.no_numbers:
            self.broken = len(self.workers) > 1 or not message.out_of_memory  # other ranks may be stuck in a reduction
            raise self._diagnose(worker, message)
        if isinstance(message, Written) and message.number == self.number and not self.abandoned:
            assert self.job is not None, "rank 0 answers after its last completion"
            self.done.update(message.indices)
            return [self.job.indices[at] for at in message.indices], message.completions
        if not isinstance(message, Answer | Failure) or message.number != self.number:
            return None
        self._answered.add(worker.spec.rank)
        if isinstance(message, Answer) and worker.spec.rank == 0:
            self.cache = message.cache
        if len(self._answered) == len(self.workers):
            self.job = None
        if isinstance(message, Failure) and not self.abandoned:  # nobody called it off
            raise LogitsError(message.message)
        return None

    def tick(self) -> None:
        """Once every TICK_SECONDS while a batch runs. Raises WorkerError when a rank is silent, or all of them stand still."""
        for worker in self.workers:
            try:
                silent = worker.tick()
            except WorkerError:
                self.broken = True
                raise
            if silent:
                self.broken = True
                raise worker.error(f"has not answered for {worker.pulse.ticks_silent * TICK_SECONDS:g} s: it is stopped or starved")
        idle = min(worker.pulse.ticks_idle for worker in self.workers)
        still = min(worker.pulse.ticks_still for worker in self.workers)
        answering = all(worker.pulse.ticks_silent < 2 for worker in self.workers)  # one that is not will be named for it
        if (idle >= IDLE_TICKS and answering) or still >= STILL_TICKS:
            self.broken = True
            behind = min(self.workers, key=lambda worker: worker.pulse.layers)
            seconds = (idle if idle >= IDLE_TICKS else still) * TICK_SECONDS
            layers = ", ".join(str(worker.pulse.layers) for worker in self.workers)
            raise behind.error(f"is alive but stuck: its replica has done no work for {seconds:g} s (layers done, by rank: {layers})")

    def abandon(self) -> None:
        """Nobody waits for the running batch any more: call it off. Its answer will be dropped."""
        self.abandoned = True
        if any(worker.damaged for worker in self.workers):
            self.broken = True
            return
        try:
            for worker in self.workers:
                self._guarded_send(worker, pickled(Cancel(self.number)))
        except WorkerError:
            self.broken = True

    def settled(self, patience: float) -> bool:
        """Wait until an abandoned batch has left every rank. False when the replica has to be started again."""
        deadline = time.monotonic() + patience
        while self.job is not None and not self.broken:
            try:
                ready = wait([worker.connection for worker in self.workers], max(0.0, deadline - time.monotonic()))
                for worker in [worker for worker in self.workers if worker.connection in ready]:
                    self.take(worker)
            except (WorkerError, OutOfMemoryInWorkerError):
                return False
            if not ready:
                return False
        self.abandoned = False
        return not self.broken and not any(worker.damaged or worker.ended for worker in self.workers)

    def stop(self, at_once: bool = False) -> None:
        """End the processes; harmless when there are none."""
        for worker in self.workers:
            if at_once:
                worker.process.kill()
            else:
                worker.ask_to_stop()
        deadline = time.monotonic() + _STOP_SECONDS
        while self.workers:
            self.workers[-1].end(max(0.0, deadline - time.monotonic()))
            self.workers.pop()
        self.broken, self.job = True, None

    def _receive(self, worker: Worker) -> object:
        try:
            return worker.receive()
        except WorkerError as error:
            self.broken = True
            raise self._diagnose(worker, error) from None

    def _guarded_send(self, worker: Worker, message: bytes) -> None:
        try:
            worker.send_pickled(message)
        except WorkerError:
            self.broken = True
            raise

    def _diagnose(self, first: Worker, sign: Failure | WorkerError) -> Exception:
        """The likely cause among ranks that fail together: a death, then an error of a rank's own, then a failed reduction."""
        failures = [(first, sign)] if isinstance(sign, Failure) else []
        deadline = time.monotonic() + _DIAGNOSIS_SECONDS
        own = isinstance(sign, Failure) and not sign.by_peer
        listening = [worker for worker in self.workers if worker is not first]
        while not own and listening and not any(worker.ended for worker in self.workers) and time.monotonic() < deadline:
            for worker in [worker for worker in listening if worker.connection.poll(0.02)]:
                try:
                    message = worker.receive()
                except WorkerError:
                    return worker.death()
                if isinstance(message, Failure):
                    failures.append((worker, message))
                    own = own or not message.by_peer
        return _cause(self.workers, failures, sign)


def _pickled(batch: Work) -> bytes:
    """Raises OptionError for what a request brings along that cannot be pickled."""
    try:
        return pickled(batch)
    except Exception as error:  # TypeError, AttributeError, PicklingError or one of the class's own
        raise OptionError(
            f"a request cannot be sent to workers ({type(error).__name__}: {error}); its constraint and drafts have to be picklable"
        ) from error


def _cause(workers: Sequence[Worker], failures: Sequence[tuple[Worker, Failure]], sign: Failure | WorkerError) -> Exception:
    own = next(((worker, failure) for worker, failure in failures if not failure.by_peer), None)
    dead = next((worker for worker in workers if worker.ended), None)
    if own is None and dead is not None:
        return dead.death()
    if own is None and isinstance(sign, WorkerError):
        return sign
    worker, failure = own or failures[0]
    if failure.out_of_memory:
        return OutOfMemoryInWorkerError(failure.message)
    if failure.kind == CheckpointError.__name__:  # the model's fault and no worker's: the same error as without workers
        return CheckpointError(failure.message)
    return worker.raised(failure)
