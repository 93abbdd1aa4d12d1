"""Requests that take long, and what strikes a worker while they run; knows no particular fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import EngineWarning
from tests.engine.oracles import random_requests

ALLOWED_SECONDS = 30.0  # 5 are promised where the processors are free; the suite runs on busy machines too, and a hang is without end
VOCABULARY = 1001
REQUESTS = random_requests(6, vocabulary=VOCABULARY, longest=10, most=5)
LONG = [Request((5, 6, 7), 1), *[Request((8, 9, 10 + index), 20_000) for index in range(2)]]  # a first batch, then one without end


def answers(engine: Engine) -> list[tuple[int, ...]]:
    return [completion.token_ids for completion in engine.generate(REQUESTS)]


def seconds_to_fail(engine: Engine, strike: Callable[[], None], error: type[BaseException], message: str | None) -> float:
    """Strike while the endless requests run; the seconds from then until the call raised `error`."""
    struck: list[float] = []

    def hit() -> None:
        struck.append(time.monotonic())
        strike()

    def progress(done: int, total: int) -> None:
        threading.Timer(0.3, hit).start()

    with pytest.raises(error, match=message):
        engine.generate(LONG, progress)
    return time.monotonic() - struck[0]


def answers_after_restart(engine: Engine) -> list[tuple[int, ...]]:
    with pytest.warns(EngineWarning, match="were started again"):
        return answers(engine)


def last(engine: Engine) -> int:
    """The last worker's process: rank 1, or replica 1."""
    return engine.workers[-1].pid
