"""Runs an application under uvicorn until SIGTERM, SIGHUP or Ctrl-C, answering all that was accepted; knows no endpoint."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from seqgpt_lab.errors import OptionError

_SECONDS_TO_END = 5


def read_token(file: Path | None) -> str:
    """The token in a file, without white space around it; empty without a file. Raises OptionError for one that cannot be read."""
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise OptionError(f"the token file {file} cannot be read: {error}") from error
    if not token:
        raise OptionError(f"the token file {file} is empty; put at least 16 characters into it: openssl rand -hex 24 > {file}")
    return token


def run_server(app: ASGIApp, host: str, port: int, most_seconds: float) -> None:
    """Serve until told to end; then nothing new is accepted and what was accepted is answered, at most `most_seconds` long.

    Nothing is logged of requests, since an address may hold a text. Raises OptionError when the address cannot be had.
    """
    config = uvicorn.Config(
        app,
        host,
        port,
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(most_seconds) + _SECONDS_TO_END,
    )
    server = uvicorn.Server(config)

    def end(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn raises the signal that ended it once more when all is answered; then there is nothing left to be ended.
    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, signal.SIG_IGN)}
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it; uvicorn does not know this one
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, end)
    try:
        server.run()
    except SystemExit as error:
        raise OptionError(f"cannot listen on {host}:{port}; is another server there? Give another --port") from error
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
