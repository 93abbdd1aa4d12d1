"""Measures a server under load against the same work done offline, by hand: `python -m tests.apps.serving.measure_load tiny`.

The same texts and labels are read by the library in a process of its own (offline), then by a server process that clients of a third
process ask. Processor seconds of each are told too, for on few cores the clients take some of what the server needs.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import numpy

from seqgpt_lab.embedded.bundle import documents
from seqgpt_lab.embedded.corpus.kind import Kind
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.resources import bundled

CLIENT = Path(__file__).with_name("load_client.py")
_ROOT = CLIENT.parents[3]
_MEBIBYTE = 2**20
_TICKS = os.sysconf("SC_CLK_TCK")


def write_asks(path: Path, count: int) -> None:
    """So many different texts of all bundled kinds, kinds in turn, each with its kind's labels: lines {"text", "labels"}."""
    each = -(-count // len(KINDS))
    streams = [(_labels(kind), documents(kind, "test", each)) for kind in KINDS]
    lines = [{"text": next(stream).text, "labels": labels} for labels, stream in islice(cycle(streams), count)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _labels(kind: Kind) -> list[dict[str, str]]:
    return [{"field": one.field, "phrase": one.phrase} for one in LabelSet.load(bundled("labels") / f"{kind.name}.yaml").labels]


def offline(asks: Sequence[dict[str, Any]], model: str, dtype: str) -> dict[str, Any]:
    """The library's answers to all asks in one call of the engine, after a few for warmth; seconds of it, processor seconds too."""
    from seqgpt_lab.apps.serving.schemas import Ask
    from seqgpt_lab.engine.engine import Engine
    from seqgpt_lab.extraction.extractor import Extractor

    with Engine.load(model, dtype=dtype) as engine:
        extractor = Extractor(engine)

        def read(some: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
            asked = [Ask.model_validate(one) for one in some]
            prepared = [extractor.prepare(one.text, one.label_set()) for one in asked]
            completions = iter(engine.generate([request for one in prepared for request in one.requests]))
            return [one.finish([next(completions) for _ in one.requests]).to_record() for one in prepared]

        read(asks[-64:])
        begun, used = time.perf_counter(), time.process_time()
        answers = read(asks)
        return {"seconds": time.perf_counter() - begun, "processor": time.process_time() - used, "answers": answers}


class Watched:
    """A server process, and its resident memory twice a second."""

    def __init__(self, model: str, dtype: str, port: int, *words: str) -> None:
        command = [sys.executable, "-m", "seqgpt_lab", "serve", "--model", model, "--dtype", dtype, "--port", str(port), *words]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.url, self.memory = f"http://127.0.0.1:{port}", list[float]()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        for _ in range(1200):
            try:
                httpx.get(f"{self.url}/health", trust_env=False)
                break
            except httpx.TransportError:
                assert self.process.poll() is None, "the server did not start"
                time.sleep(0.05)
        self._thread.start()

    def processor_seconds(self) -> float:
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / _TICKS

    def _watch(self) -> None:
        while not self._ended.wait(0.5):
            pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
            self.memory.append(pages * os.sysconf("SC_PAGE_SIZE") / _MEBIBYTE)

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        self.process.terminate()
        return self.process.wait(60)


def under_load(asks_file: Path, model: str, dtype: str, clients: int, requests: int, port: int, *words: str) -> dict[str, Any]:
    """What the clients saw, and what the server used meanwhile. words: further options of the server."""
    server = Watched(model, dtype, port, *words)
    try:
        command = [sys.executable, str(CLIENT), f"{server.url}/extract", str(asks_file)]
        subprocess.run([*command, "8", "64"], check=True, capture_output=True)
        used = server.processor_seconds()
        found = json.loads(subprocess.run([*command, str(clients), str(requests)], check=True, capture_output=True).stdout)
        found["processor"] = server.processor_seconds() - used
        return {**found, "memory": server.memory}
    finally:
        found_code = server.end()
        assert found_code == 0, f"the server ended with {found_code}"


def summary(alone: dict[str, Any], loaded: dict[str, Any]) -> dict[str, Any]:
    """Rates (a second), their ratio, seconds at percentiles, what was lost or differs, resident MiB after each tenth of the time."""
    served, wanted = loaded["answers"], alone["answers"]
    requests, at = len(served), [50, 95, 99]
    lost = sum(not isinstance(answer, dict) for answer in served)
    same = sum(
        isinstance(answer, dict) and answer["values"] == wanted[number % len(wanted)]["values"] for number, answer in enumerate(served)
    )
    memory = loaded["memory"]
    return {
        "offline rate": len(wanted) / alone["seconds"],
        "served rate": requests / loaded["seconds"],
        "ratio": requests / loaded["seconds"] / (len(wanted) / alone["seconds"]),
        "processor ms a text": {"offline": 1e3 * alone["processor"] / len(wanted), "server": 1e3 * loaded["processor"] / requests},
        "client processor ms a text": 1e3 * loaded["client_processor"] / requests,
        **{f"p{one}": value for one, value in zip(at, numpy.percentile(loaded["each"], at).tolist(), strict=True)},
        "lost": lost,
        "differ": requests - lost - same,
        "busy": loaded["busy"],
        "memory": [round(memory[len(memory) * part // 10 - 1]) for part in range(1, 11)],
    }


def measure(model: str, dtype: str, clients: int, requests: int, port: int, *words: str) -> dict[str, Any]:
    """Offline first, then the server, each alone on the machine; see `summary`. words: further options of the server."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "asks.jsonl"
        write_asks(file, requests)
        command = [sys.executable, "-m", "tests.apps.serving.measure_load", model, "--dtype", dtype, "--offline-only", str(file)]
        alone = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=_ROOT).stdout)
        return summary(alone, under_load(file, model, dtype, clients, requests, port, *words))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--port", type=int, default=18080)
    parser.add_argument("--offline-only", type=Path, help="(for itself) read these asks and print what came of it")
    given, words = parser.parse_known_args()
    if given.offline_only:
        asks = [json.loads(line) for line in given.offline_only.read_text(encoding="utf-8").splitlines()]
        print(json.dumps(offline(asks, given.model, given.dtype)))
    else:
        print(json.dumps(measure(given.model, given.dtype, given.clients, given.requests, given.port, *words), indent=1))


if __name__ == "__main__":
    main()
