"""A proxy in the user's environment keeps no test from the servers that it starts on this machine."""

from __future__ import annotations

import os
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import httpx
import pytest

from tests.conftest import go_past_proxies

NOBODY = "http://127.0.0.1:1"  # where no proxy listens


class Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:  # the name that http.server wants
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def port() -> Iterator[int]:
    """Of a server that answers with 204."""
    with HTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join(30)


@pytest.mark.parametrize("bypassed", ("", "example.org"))
@pytest.mark.parametrize("name", ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"))
def test_servers_on_this_machine_are_reached_past_any_proxy(port: int, monkeypatch: pytest.MonkeyPatch, name: str, bypassed: str) -> None:
    for known in ("http_proxy", "no_proxy", "all_proxy"):
        monkeypatch.delenv(known, raising=False)
        monkeypatch.delenv(known.upper(), raising=False)
    monkeypatch.setenv(name, "socks5://127.0.0.1:1" if "all" in name.lower() else NOBODY)
    monkeypatch.setenv("no_proxy", bypassed)
    environment = dict(os.environ)
    go_past_proxies(environment)
    for key in ("no_proxy", "NO_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(key, raising=False)
        if key in environment:
            monkeypatch.setenv(key, environment[key])
    assert environment["NO_PROXY"] == environment["no_proxy"] == f"{bypassed},127.0.0.1,localhost".lstrip(",")
    for host in ("127.0.0.1", "localhost"):
        assert httpx.get(f"http://{host}:{port}", timeout=10).status_code == 204
        with urllib.request.urlopen(f"http://{host}:{port}", timeout=10) as reply:
            assert reply.status == 204


def test_the_suite_itself_goes_past_them() -> None:
    assert "127.0.0.1" in os.environ["NO_PROXY"].split(",") and "127.0.0.1" in os.environ["no_proxy"].split(",")
    assert not {"all_proxy", "ALL_PROXY"} & os.environ.keys()
