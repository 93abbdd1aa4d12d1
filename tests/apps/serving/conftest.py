"""A server on a free port of this machine: as a thread over a scripted engine, or as a process over a random model."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from seqgpt_lab.apps.serving.batcher import Batcher
from seqgpt_lab.apps.serving.guard import Guard, Limits
from seqgpt_lab.apps.serving.metrics import Metrics
from seqgpt_lab.apps.serving.server import PATHS, Service, create_app
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.progress import Progress
from tests.apps.conftest import ScriptedEngine


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


class HeldEngine(ScriptedEngine):
    """Answers only while its gate is open."""

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        gate.wait(120)
        return super().generate(requests, progress)


gate = threading.Event()


@dataclass
class Served:
    """A running server, its parts, and a client for it."""

    http: httpx.Client
    service: Service
    metrics: Metrics
    engine: ScriptedEngine
    guard: Guard
    server: uvicorn.Server = field(repr=False)

    @property
    def url(self) -> str:
        return str(self.http.base_url)

    @contextmanager
    def client_that_leaves(self, path: str, body: dict[str, Any]) -> Iterator[None]:
        """Someone who has asked, and hangs up at the end of the block: no sooner, however slow the machine is."""
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        with socket.create_connection((self.http.base_url.host, self.http.base_url.port)) as connection:
            connection.sendall(head.encode() + content)
            yield


def until(true: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until it is. A machine under load takes its time; what never happens fails the test all the same."""
    latest = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < latest, f"it did not happen within {seconds:g} s"
        time.sleep(0.005)


@pytest.fixture
def serve(random_model: Path) -> Iterator[Callable[..., Served]]:
    """Starts a server in a thread; capacity of its batcher, batch_size of its engine, seconds a request may take, limits of its guard."""
    gate.set()
    ending: list[Callable[[], None]] = []

    def start(*, capacity: int = 64, batch_size: int = 8, seconds: float = 120.0, limits: Limits | None = None) -> Served:
        engine, metrics = HeldEngine(find_checkpoint(random_model), batch_size=batch_size), Metrics(PATHS)
        service = Service(Extractor(engine, max_length=128), Batcher(engine, capacity=capacity, observe=metrics.decoded), seconds)
        port = free_port()
        guard = Guard(create_app(service, metrics), limits or Limits(), metrics.answered)
        server = uvicorn.Server(uvicorn.Config(guard, "127.0.0.1", port, lifespan="off", log_level="warning"))
        thread = threading.Thread(target=server.run)
        thread.start()
        http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=180)
        while not server.started:
            time.sleep(0.01)

        def end() -> None:
            gate.set()
            http.close()
            server.should_exit = True
            thread.join(30)
            service.batcher.close()

        ending.append(end)
        return Served(http, service, metrics, engine, guard, server)

    yield start
    for end in ending:
        end()


@pytest.fixture
def process(random_model: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[bytes], str]]]:
    """Starts `seqgpt-lab serve` on a port, as a process group; gives the process and its address. Its log is serve.log."""
    running: list[subprocess.Popen[bytes]] = []

    def start(port: int, *words: str) -> tuple[subprocess.Popen[bytes], str]:
        command = [
            sys.executable,
            "-m",
            "seqgpt_lab",
            "serve",
            "--port",
            str(port),
            "--model",
            str(random_model),
            "--dtype",
            "fp32",
        ]
        with open(tmp_path / "serve.log", "ab") as log:
            found = subprocess.Popen(
                [*command, "--max-new-tokens", "16", *words],
                stderr=log,
                stdout=log,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                start_new_session=True,
            )
        running.append(found)
        url = f"http://127.0.0.1:{port}"

        def answers() -> bool:
            assert found.poll() is None, (tmp_path / "serve.log").read_text()
            try:
                return httpx.get(f"{url}/health").status_code == 200
            except httpx.TransportError:
                return False

        until(answers)
        return found, url

    yield start
    for one in running:
        if one.poll() is None:
            one.kill()
            one.wait()
