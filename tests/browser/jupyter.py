"""Starts JupyterLab or voila on a folder, closed off from the user's own settings, and ends it with all its kernels."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from seqgpt_lab.apps import designer

TOKEN = "designer-test"
_NO_NEWS = '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false, "doNotDisturbMode": true}}'


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab that serves `folder`."""
    settings = folder / ".jupyter" / "data" / "lab" / "settings"
    port = free_port()
    options = [
        "lab",
        "--no-browser",
        "--allow-root",
        "--ip=127.0.0.1",
        f"--port={port}",
        "--ServerApp.port_retries=0",
        f"--IdentityProvider.token={TOKEN}",
        f"--ServerApp.root_dir={folder}",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.news_url=",
        f"--LabApp.app_settings_dir={settings}",
    ]
    settings.mkdir(parents=True)
    (settings / "overrides.json").write_text(_NO_NEWS, encoding="utf-8")
    with _served("jupyterlab", options[1:], folder, f"http://127.0.0.1:{port}", "/api/status"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def voila(folder: Path, notebook: str) -> Iterator[str]:
    """The address of a voila page of one notebook, in the template that asks no server elsewhere."""
    port = free_port()
    options = [notebook, "--no-browser", f"--port={port}", "--Voila.ip=127.0.0.1", "--template=offline"]
    with _served("voila", options, folder, f"http://127.0.0.1:{port}", "/static/favicons/favicon.ico"):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _served(module: str, options: Sequence[str], folder: Path, address: str, ready: str) -> Iterator[None]:
    log = folder / f"{module}.log"
    private = {f"JUPYTER_{name}_DIR": str(folder / ".jupyter" / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
    # The workers' copies of this tree, whatever folder the server runs in.
    paths = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    templates = str(Path(designer.__file__).parent / "jupyter")
    environment = {**os.environ, **private, "PYTHONPATH": paths, "IPYTHONDIR": str(folder / ".ipython"), "JUPYTER_PATH": templates}
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", module, *options], cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _wait(server, address + ready, log)
        yield
    finally:
        _end(server)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(server: subprocess.Popen[bytes], address: str, log: Path, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    request = urllib.request.Request(address, headers={"Authorization": f"token {TOKEN}"})
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(request, timeout=5):
                return
        except urllib.error.HTTPError:
            return  # it answers
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {address}:\n{log.read_text(encoding='utf-8', errors='replace')[-3000:]}")


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask the server to shut down, kernels included; then end whatever is left of its group."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, sign)
        except ProcessLookupError:
            break
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            continue
