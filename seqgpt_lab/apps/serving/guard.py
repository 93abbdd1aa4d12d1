"""Stands before an application: host names, tokens, sizes, slow senders, faults; counts answers. Logs no word of what was sent."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seqgpt_lab.documents.utf8 import json_line
from seqgpt_lab.errors import OptionError

_LOG = logging.getLogger("uvicorn.error")
_SECONDS_TO_SEND = 30.0
_LOCAL_NAMES = ("localhost", "127.0.0.1", "[::1]")
NO_TELEMETRY: Any = dict.fromkeys(("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False)
"""What every FastAPI here is given as `telemetry`: its own would pass on what `Guard` keeps back, addresses and the words of faults.

A FastAPI that has none takes the word and does nothing with it.
"""
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def local_names(host: str) -> tuple[str, ...]:
    """The names by which this machine alone asks a server that listens on the loopback address `host`, as the Host header has them."""
    return (*_LOCAL_NAMES, f"[{host}]" if ":" in host else host)


def check_address(host: str, token: str) -> None:
    """Raises OptionError for an address that others reach without a token, and for a token that is easily guessed."""
    if not token and not is_loopback(host):
        raise OptionError(f"--host {host} is open to other machines and no token is set; add --token-file FILE, or stay on 127.0.0.1")
    if token and (len(token) < 16 or not token.isascii() or any(character.isspace() for character in token)):
        raise OptionError(f"the token has {len(token)} characters; it needs at least 16, ASCII, no blanks: openssl rand -hex 24")


@dataclass(frozen=True, slots=True)
class Limits:
    """token: wanted as `Authorization: Bearer`, empty for none. largest_body: bytes; held_bodies: bytes of all bodies whose answers are
    due, since each waits in memory for its turn. open_paths: answered without a token.

    names: of hosts that are answered to where no token is wanted, empty for all. They keep out pages elsewhere that had their own name
    lead to this machine; a token keeps these out whatever the name, for it is in no cookie that a browser would send along.
    """

    token: str = ""
    names: tuple[str, ...] = _LOCAL_NAMES
    largest_body: int = 8 * 2**20
    held_bodies: int = 128 * 2**20
    open_paths: tuple[str, ...] = ("/health",)


class Guard:
    """An ASGI application around another. seen: called with path, status and seconds of each answer."""

    def __init__(self, app: ASGIApp, limits: Limits, seen: Callable[[str, int, float], None] = lambda path, status, seconds: None) -> None:
        self.app, self.limits, self._seen = app, limits, seen
        self._held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass; whatever happens there, an answer is sent once."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun, status, held = time.perf_counter(), 0, 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *((key.encode(), value.encode()) for key, value in _HEADERS.items())]
            await send(message)

        def hold(size: int) -> bool:
            nonlocal held
            held, self._held = held + size, self._held + size
            return not size or self._held <= self.limits.held_bodies

        try:
            body = self._refusal(scope) or await _body(receive, self.limits.largest_body, hold)
            if isinstance(body, Response):
                await body(scope, receive, note_status)
            elif body is not None:
                await self.app(scope, _replay(body, receive), note_status)
        except Exception as error:
            log_fault(error, scope["path"])
            if not status:
                await (await explain_fault(scope, error))(scope, receive, note_status)
        finally:
            self._held -= held
            self._seen(scope["path"], status, time.perf_counter() - begun)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        names, token = self.limits.names, self.limits.token
        if names and not token and _host_name(headers.get("host", "")) not in names:
            return _refuse(400, "this server answers to localhost only; ask for it by that name, or start it with --token-file for others")
        if token and scope["path"] not in self.limits.open_paths and not self._knows_token(headers):
            return _refuse(401, "a token is needed: Authorization: Bearer TOKEN", **{"www-authenticate": "Bearer"})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limits.largest_body:
            return _too_large(self.limits.largest_body)
        return None

    def _knows_token(self, headers: Headers) -> bool:
        given = headers.get("authorization", "")
        return hmac.compare_digest(given.encode("utf-8", "replace"), f"Bearer {self.limits.token}".encode())


def json_answer(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON, Chinese readable."""
    return Response(json_line(value), status, headers, "application/json")


def log_fault(error: Exception, path: str) -> None:
    """Log what was raised and where, without its words: these may hold a text, and so may a path beyond its first part."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    _LOG.error("%s in %s:%s while answering %s", type(error).__name__, where.filename, where.lineno, path.split("/")[1:2])


async def explain_fault(_request: object, _error: Exception) -> Response:
    """The answer to a fault. For an application's `Exception` too: it would answer in words that are no JSON, and pass the fault on."""
    return _refuse(500, "this is a fault of the server; its log says where")


def _host_name(host: str) -> str:
    """`localhost` of `localhost:8000`, `[::1]` of `[::1]:8000`."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


async def _body(receive: Receive, largest: int, hold: Callable[[int], bool]) -> bytes | Response | None:
    """All of a request's body; a refusal where it is too large or too slow, None where the sender left.

    hold: called with the bytes of each part; whether there is room for them.
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_SECONDS_TO_SEND):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > largest:
                    return _too_large(largest)
                if not hold(len(parts[-1])):
                    words = "too much is waiting for its answer to take more in; try again in a few seconds"
                    return _refuse(429, words, **{"retry-after": "5", "connection": "close"})
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        return _refuse(408, f"the body did not arrive within {_SECONDS_TO_SEND:.0f} s", connection="close")


def _replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body, then whatever comes, which is the sender's leaving."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _too_large(largest: int) -> Response:
    return _refuse(413, f"the body is larger than {largest:,} bytes; send fewer or shorter texts", connection="close")


def _refuse(status: int, detail: str, **headers: str) -> Response:
    return json_answer({"detail": detail}, status, headers)
