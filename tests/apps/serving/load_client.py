"""A load of its own process: so many clients ask a server on this machine so many times; prints what came back as JSON.

python load_client.py URL DOCUMENTS.jsonl CLIENTS REQUESTS. A line of the documents is {"text", "labels"}. A 429 is asked again when
Retry-After says so, and counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import httpx


async def load(url: str, asks: list[dict[str, Any]], clients: int, requests: int) -> dict[str, Any]:
    """seconds in all, seconds of each request, its answer or status, and how often the server was busy."""
    answers: list[Any] = [None] * requests
    seconds = [0.0] * requests
    busy = 0
    numbers = iter(range(requests))

    async def client(http: httpx.AsyncClient) -> None:
        nonlocal busy
        for number in numbers:
            begun = time.perf_counter()
            while (reply := await http.post(url, json=asks[number % len(asks)])).status_code == 429:
                busy += 1
                await asyncio.sleep(float(reply.headers["retry-after"]))
            answers[number] = reply.json() if reply.status_code == 200 else reply.status_code
            seconds[number] = time.perf_counter() - begun

    async with httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=clients), trust_env=False) as http:
        begun = time.perf_counter()
        await asyncio.gather(*(client(http) for _ in range(clients)))
        used = time.process_time()
        return {"seconds": time.perf_counter() - begun, "each": seconds, "answers": answers, "busy": busy, "client_processor": used}


if __name__ == "__main__":
    lines = Path(sys.argv[2]).read_text(encoding="utf-8").splitlines()
    print(json.dumps(asyncio.run(load(sys.argv[1], [json.loads(line) for line in lines], int(sys.argv[3]), int(sys.argv[4])))))
