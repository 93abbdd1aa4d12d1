"""Whom `serve` and `studio` answer to, by the address they were given and the token: what they would run is asked, no port is opened."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seqgpt_lab.apps.serving import running
from seqgpt_lab.apps.serving.guard import Guard, Limits
from seqgpt_lab.extraction.extractor import Extractor
from tests.apps.conftest import Invoke, ScriptedEngine

TOKEN = "0123456789abcdef"
OPEN = {"serve": {"/health"}, "studio": {"/", "/studio.js", "/health"}}
Check = Callable[[Guard], None]
Served = Callable[..., None]


@pytest.fixture
def served(scripted: ScriptedEngine, random_model: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Served:
    """Runs a command with these words, and a check on what it would serve while it does."""

    def run(check: Check, *words: str) -> None:
        ran: list[Guard] = []

        def run_server(guard: Guard, *_: object) -> None:
            ran.append(guard)
            check(guard)

        monkeypatch.setattr(running, "run_server", run_server)
        result = invoke(*words, "--model", random_model)
        assert (result.exit_code, len(ran)) == (0, 1), result.output

    return run


def status(app: ASGIApp, method: str, path: str, host: str = "localhost", token: str = "", body: dict[str, str] | None = None) -> int:
    """Of the answer to a request. host: the name it is asked by."""

    async def ask() -> int:
        headers = {"host": host, "x-visitor": "0" * 32, **({"authorization": f"Bearer {token}"} if token else {})}
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
            return (await http.request(method, path, headers=headers, json=body)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("command", ["serve", "studio"])
def test_with_a_token_any_name_is_answered_so_that_a_proxy_may_pass_it_on(served: Served, tmp_path: Path, command: str) -> None:
    (tmp_path / "token").write_text(TOKEN)

    def check(guard: Guard) -> None:
        for host in ("localhost:8000", "lab.example.org", "evil.example:8000"):
            assert status(guard, "GET", "/health", host) == 200
            assert status(guard, "POST", "/extract" if command == "serve" else "/api/act", host, TOKEN) == 422, "it was read, and is empty"

    served(check, command, "--token-file", str(tmp_path / "token"))


@pytest.mark.parametrize("command", ["serve", "studio"])
def test_with_a_token_nothing_that_knows_a_text_is_answered_without_it(served: Served, tmp_path: Path, command: str) -> None:
    (tmp_path / "token").write_text(TOKEN)

    def check(guard: Guard) -> None:
        routes = [(method, route.path) for route in guard.app.routes if isinstance(route, APIRoute) for method in route.methods]  # type: ignore[attr-defined]
        others = [("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/health/"), ("GET", "/nowhere")]
        answers = {path: status(guard, method, path, "lab.example.org") for method, path in [*routes, *others]}
        assert len(routes) > 3 and {path for path, answer in answers.items() if answer != 401} == OPEN[command]

    served(check, command, "--token-file", str(tmp_path / "token"))


@pytest.mark.parametrize("command", ["serve", "studio"])
def test_without_a_token_only_names_of_this_machine_and_the_address_given_are_answered(served: Served, command: str) -> None:
    def check(guard: Guard) -> None:
        names = ("localhost", "127.0.0.1:8000", "[::1]:8000", "127.0.0.2:8000", "127.0.0.3", "lab.example.org", "127.0.0.2.example.org")
        assert [name for name in names if status(guard, "GET", "/health", name) == 200] == list(names[:4])
        assert status(guard, "GET", "/health", "lab.example.org") == 400

    served(check, command, "--host", "127.0.0.2")


def answered(body: bytes, parts: int, limits: Limits) -> tuple[int, list[bytes]]:
    """The status of an answer to a body that comes in so many parts (one: with its length told), and what reached the application."""
    reached: list[bytes] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reached.append((await receive())["body"])
        await Response("ok")(scope, receive, send)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(parts):
            yield body[at * len(body) // parts : (at + 1) * len(body) // parts]

    async def ask() -> int:
        guard = Guard(app, limits)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url="http://localhost") as http:
            status = (await http.post("/extract", content=body if parts == 1 else pieces())).status_code
            assert (await http.post("/extract", content=b"")).status_code == 200
        assert guard._held == 0, "nothing is held of what was answered or refused"
        return status

    return asyncio.run(ask()), reached[:-1]


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize(
    ("size", "limits", "status"),
    [
        (100, Limits(largest_body=100, held_bodies=100), 200),
        (101, Limits(largest_body=100, held_bodies=1000), 413),
        (101, Limits(largest_body=1000, held_bodies=100), 429),
    ],
)
def test_a_body_of_the_largest_size_is_taken_whole_and_one_byte_more_is_not(size: int, limits: Limits, status: int, parts: int) -> None:
    body = bytes(at % 256 for at in range(size))
    assert answered(body, parts, limits) == (status, [body] * (status == 200))


@pytest.fixture
def telemetry(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Keeps what an application tells the world's providers of traces, counts and logs, as if somebody had set some up."""
    pytest.importorskip("fastapi.telemetry", reason="this FastAPI has no telemetry of its own")
    world = Mock()
    monkeypatch.setattr("opentelemetry.trace.get_tracer_provider", lambda: world.traces)
    monkeypatch.setattr("opentelemetry.metrics.get_meter_provider", lambda: world.counts)
    monkeypatch.setattr("opentelemetry._logs.get_logger_provider", lambda: world.logs)
    monkeypatch.setattr("opentelemetry._logs.get_logger", world.logs.get_logger)
    return world


@pytest.mark.parametrize("command", ["serve", "studio"])
def test_nothing_is_told_to_a_telemetry_that_is_set_up(
    served: Served, telemetry: Mock, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **_options: object) -> None:
        raise RuntimeError("张伟 is in this message")

    def check(guard: Guard) -> None:
        path, more = ("/extract", {}) if command == "serve" else ("/api/act", {"action": "run"})
        body = {"text": "张伟", "labels": "姓名", **more}
        answers = [status(guard, "GET", "/health?text=张伟"), status(guard, "GET", "/nowhere/张伟"), status(guard, "POST", path, body=body)]
        assert not telemetry.mock_calls
        assert answers == [200, 404, 500]

    monkeypatch.setattr(Extractor, "prepare", broken)
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    served(check, command)
    status(FastAPI(), "GET", "/nowhere/张伟")
    assert "/nowhere/张伟" in str(telemetry.mock_calls), "a FastAPI that is not told to be silent tells it"


@pytest.mark.parametrize("timeout", ["inf", "nan", "1e9"])
def test_a_time_limit_that_no_clock_can_keep_is_refused_before_anything_is_loaded(
    scripted: ScriptedEngine, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, timeout: str
) -> None:
    monkeypatch.setattr(running, "run_server", Mock())
    result = invoke("serve", "--timeout", timeout)
    assert result.exit_code == 2 and "--timeout" in result.output and not scripted.loaded


def test_the_articles_flags_are_taken_as_the_labs_own(scripted: ScriptedEngine, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """`inference.py --fp16 --max_length 512 --batch_size 8 --use_flash_attention`, on port 8000."""
    made: list[Extractor] = []
    make = Extractor.__init__

    def kept(extractor: Extractor, *given: Any, **options: Any) -> None:
        make(extractor, *given, **options)
        made.append(extractor)

    monkeypatch.setattr(Extractor, "__init__", kept)
    monkeypatch.setattr(running, "run_server", run_server := Mock())
    for words in (
        ("--fp16", "--max_length", "512", "--batch_size", "8", "--use_flash_attention"),
        ("--dtype", "fp16", "--max-length", "512", "--batch-size", "8", "--attention", "flash"),
    ):
        result = invoke("serve", *words)
        assert result.exit_code == 0, result.output
        assert run_server.call_args.args[1:3] == ("127.0.0.1", 8000) and made[-1].max_length == 512
    (_, first), (_, second) = scripted.loaded
    assert first == second and (first["dtype"], first["attention"], first["batch_size"]) == ("fp16", "flash", 8)
    assert invoke("studio").exit_code == 0 and run_server.call_args.args[1:3] == ("127.0.0.1", 8501)


@pytest.mark.parametrize("words", [("--fp16", "--dtype", "bf16"), ("--use_flash_attention", "--attention", "sdpa")])
def test_flags_that_contradict_an_option_are_refused(
    scripted: ScriptedEngine, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr(running, "run_server", Mock())
    result = invoke("serve", *words)
    assert result.exit_code == 2 and "contradict each other" in result.output and not scripted.loaded
