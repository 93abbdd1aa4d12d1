"""The outside of one worker process: starts it, sends and receives without ever blocking for long, tells how it ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from types import ModuleType

from seqgpt_lab.engine.messages import Failure, Ping, Pong, Stop, WorkerSpec
from seqgpt_lab.engine.worker_process import work
from seqgpt_lab.errors import WorkerError

TICK_SECONDS = 0.5
SILENT_TICKS = 7  # a ping unanswered for 3.5 s: stopped, or swapped out
_BLOCK_SECONDS = 2.0  # a write may wait this long twice: what fits the buffer, then nothing
_TAIL_LINES, _TAIL_BYTES = 15, 4000
_KILL_SECONDS = 5.0  # only a process that the kernel itself holds outlives this
_STARTING = threading.Lock()


@dataclass(slots=True)
class Pulse:
    """What pings tell. ticks_silent: since the oldest unanswered ping; ticks_still: since a layer was last done; ticks_idle: since
    the process last used its processors or did a layer."""

    layers: int = -1
    processor_seconds: float = 0.0
    waiting: bool = False
    ticks_silent: int = 0
    ticks_still: int = 0
    ticks_idle: int = 0

    def hear(self, pong: Pong) -> None:
        """Take in an answer to a ping."""
        self.waiting, self.ticks_silent = False, 0
        if pong.processor_seconds > self.processor_seconds + 0.1 * TICK_SECONDS:
            self.processor_seconds, self.ticks_idle = pong.processor_seconds, 0
        if pong.layers > self.layers:
            self.layers, self.ticks_still, self.ticks_idle = pong.layers, 0, 0


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A running worker. weight_bytes: of the parameters it holds."""

    replica: int
    rank: int
    pid: int
    device: str
    weight_bytes: int
    log: Path


class Worker:
    """One rank's process and the pipe to it."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.spec, self.pulse, self.weight_bytes = spec, Pulse(), 0
        self.damaged = False  # a message may be half sent or half read; only a new process helps
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        _limit_blocking(self.connection, _BLOCK_SECONDS)
        self.process = context.Process(target=work, args=(spec, theirs), name=f"seqgpt-lab {spec.name}", daemon=True)
        try:
            with _STARTING, _signals_blocked(), _main_module_hidden():
                self.process.start()
        finally:
            theirs.close()

    @property
    def info(self) -> WorkerInfo:
        """What may be told of it."""
        spec = self.spec
        return WorkerInfo(spec.replica, spec.rank, self.process.pid or 0, spec.device, self.weight_bytes, spec.log)

    def send(self, message: object) -> None:
        """Raises WorkerError when the worker has ended, or takes nothing in."""
        self.send_pickled(pickled(message))

    def send_pickled(self, message: bytes) -> None:
        """As `send`, what `pickled` gave: once for all ranks."""
        with self._fragile("takes no messages"):
            self.connection.send_bytes(message)

    def receive(self) -> object:
        """The next message; call it when the pipe is readable. Raises WorkerError when the worker has ended or stops midway."""
        with self._fragile("stopped in the middle of a message"):
            message = self.connection.recv()
        if isinstance(message, Pong):
            self.pulse.hear(message)
        return message

    def tick(self) -> bool:
        """Once every TICK_SECONDS while it works: send a ping unless one is unanswered. True when it has been silent for too long.

        Raises WorkerError when the process has ended.
        """
        if self.ended:
            raise self.death()
        pulse = self.pulse
        pulse.ticks_still += 1
        pulse.ticks_idle += 1
        if pulse.waiting:
            pulse.ticks_silent += 1
        else:
            self.send(Ping())
            pulse.waiting = True
        return pulse.ticks_silent >= SILENT_TICKS

    @property
    def ended(self) -> bool:
        """Also when somebody else has collected the exit code: the sentinel tells."""
        return self.process.exitcode is not None or bool(wait([self.process.sentinel], 0))

    def error(self, what: str) -> WorkerError:
        """What happened, who it was, and the end of its log."""
        log = _tail(self.spec.log)
        said = f"its log ends:\n{log}" if log else "its log is empty"
        return WorkerError(f"{self.spec.name} (process {self.process.pid}, {self.spec.device}) {what}; {said}")

    def death(self) -> WorkerError:
        """The error of a process that has ended."""
        self.process.join(TICK_SECONDS)
        code = self.process.exitcode
        if code is None:
            return self.error("ended, its exit code unknown" if self.ended else "closed its pipe but still runs")
        if code >= 0:
            return self.error(f"ended with exit code {code}")
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (killed from outside; when nobody did, the system was out of memory)" if name == "SIGKILL" else ""
        return self.error(f"ended with {name}{hint}")

    def raised(self, failure: Failure) -> WorkerError:
        """The error of a worker that raised."""
        return self.error(f"raised {failure.kind}: {failure.message}\n{failure.traceback.rstrip()}\n")

    def ask_to_stop(self) -> None:
        """Harmless for one that has ended."""
        try:
            self.send(Stop())
        except WorkerError:
            self.process.kill()

    def end(self, patience: float) -> None:
        """Wait for the process, then kill it: SIGKILL also ends one that is stopped. Leaves neither process nor pipe."""
        self.process.join(patience)
        if not self.ended:
            self.process.kill()
            self.process.join(_KILL_SECONDS)
        if self.process.exitcode is not None:
            self.process.close()
        self.connection.close()

    @contextmanager
    def _fragile(self, what: str) -> Iterator[None]:
        """Whatever interrupts the pipe, KeyboardInterrupt included, leaves it marked as damaged."""
        self.damaged = True
        try:
            yield
        except BlockingIOError:
            raise self.error(f"{what}: it is stopped or starved") from None
        except (EOFError, OSError):
            raise self.death() from None
        self.damaged = False


def pickled(message: object) -> bytes:
    """A message as it travels. Raises whatever a part of it raises that cannot be pickled."""
    return bytes(ForkingPickler.dumps(message))


def _limit_blocking(connection: Connection, seconds: float) -> None:
    """A stopped process takes nothing from its pipe, and may have written half a message: neither may block us for long."""
    limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
    with socket.socket(fileno=os.dup(connection.fileno())) as ours:
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """The child inherits the mask, so that no stop button, SIGTERM or SIGHUP to the whole service hits it before it can ignore one."""
    resource_tracker.ensure_running()  # it would be started with the child, and unblocks SIGINT and SIGTERM
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _main_module_hidden() -> Iterator[None]:
    """Spawn runs the parent's main script again in the child, which would load an engine there once more; workers need none of it."""
    real = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = real


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            lines = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-_TAIL_LINES:])
