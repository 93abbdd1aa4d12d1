"""Peers of a benchmark in processes of their own: what they answer, raise and leave behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path

import psutil
import pytest
import torch

from seqgpt_lab.engine.reference import ReferenceEngine
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import OptionError, WorkerError
from seqgpt_lab.studies import peer_process
from seqgpt_lab.studies.peer_process import PeerProcess
from tests.checkpoints import write_random_checkpoint

ASKED = [Request((5, 6, 7), 6), Request((9, 8), 4)]
ALONE = """
import sys, time
from seqgpt_lab.studies.peer_process import PeerProcess
if __name__ == "__main__":
    peer = PeerProcess("transformers", sys.argv[1], "fp32")
    print(peer._process.pid, flush=True)
    time.sleep(300)
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_checkpoint(tmp_path_factory.mktemp("models") / "random")


def test_it_answers_as_in_this_process_and_a_killed_one_is_named(model: Path) -> None:
    peer = PeerProcess("transformers", model, "fp32")
    wanted = [one.token_ids for one in ReferenceEngine.load(model, dtype="fp32").generate(ASKED)]
    assert [one.token_ids for one in peer.generate(ASKED)] == wanted
    peer._process.kill()
    with pytest.raises(WorkerError, match="the process of transformers has died"):
        peer.generate(ASKED)
    peer.close()
    peer.close()


def test_what_loading_raises_is_raised_here(model: Path) -> None:
    with pytest.raises(OptionError, match="fp7"):
        PeerProcess("transformers", model, "fp7")


@pytest.mark.parametrize("missing", [False, True], ids=["a model that loads", "one that does not"])
def test_a_benchmark_that_ends_while_it_loads_is_told_nothing(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    """Else the peer's traceback would stand on the terminal of whoever has ended the benchmark."""

    def load(*_arguments: object) -> object:
        if missing:
            raise OptionError("there is no such model")
        return object()

    monkeypatch.setattr(peer_process, "_load", load)
    monkeypatch.setattr(signal, "signal", lambda *_arguments: None)
    ours, theirs = Pipe()
    ours.close()
    peer_process._serve(theirs, "transformers", "nowhere", "fp32", torch.get_num_threads())


def test_it_goes_when_the_benchmark_is_killed(model: Path, tmp_path: Path) -> None:
    script = tmp_path / "alone.py"
    script.write_text(ALONE, encoding="utf-8")
    benchmark = subprocess.Popen([sys.executable, str(script), str(model)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert benchmark.stdout is not None
    peer = int(benchmark.stdout.readline())
    os.kill(benchmark.pid, signal.SIGKILL)
    benchmark.wait(30)
    until = time.monotonic() + 30
    while psutil.pid_exists(peer) and psutil.Process(peer).status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.05)
    assert not psutil.pid_exists(peer) or psutil.Process(peer).status() == psutil.STATUS_ZOMBIE
