"""Workers that live inside a real Jupyter kernel: the stop button leaves the engine usable, and a killed kernel leaves no process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.faults.strikes import ALLOWED_SECONDS

_SECONDS = 120.0

LOAD = """
import json, os
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.engine.engine import Engine
from tests.faults.strikes import LONG, REQUESTS
alone = Engine.load({path!r}, dtype="fp32", device="cpu")
wanted = [completion.token_ids for completion in alone.generate(REQUESTS)]
engine = Engine.load({path!r}, dtype="fp32", device="cpu", batch_size=1, tensor_parallel={ranks}, replicas={replicas})
print(json.dumps([worker.pid for worker in engine.workers]))
"""
AGAIN = "print(json.dumps([completion.token_ids for completion in engine.generate(REQUESTS)] == wanted))"
ENDLESS = "print('begun', flush=True); engine.generate(LONG)"


class Kernel:
    """A kernel and its client; cells are run one by one."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str) -> str:
        """The text a cell prints. Fails the test when the cell raises."""
        printed: list[str] = []
        reply = self.client.execute_interactive(code, timeout=_SECONDS, output_hook=lambda message: printed.append(_text(message)))
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)

    def begin(self, code: str) -> None:
        """Start a cell, and wait until it has printed something."""
        # Else the kernel throws away what comes in the moment after an error: a person's next cell comes later, `run` may not.
        self.client.execute(code, stop_on_error=False)
        while not _text(self.client.get_iopub_msg(timeout=_SECONDS)):
            pass

    def reply(self) -> dict[str, object]:
        """The reply to the cell that was begun."""
        content: dict[str, object] = self.client.get_shell_msg(timeout=_SECONDS)["content"]
        return content


def _text(message: dict[str, dict[str, str]]) -> str:
    return message["content"].get("text", "") if message["content"].get("name") == "stdout" else ""


@pytest.fixture(params=((2, 1), (1, 2)), ids=("ranks", "replicas"))
def kernel(request: pytest.FixtureRequest, checkpoint: Path) -> Iterator[tuple[Kernel, list[int]]]:
    root = Path(__file__).resolve().parents[2]
    manager, client = start_new_kernel(startup_timeout=_SECONDS, cwd=str(root))
    found = Kernel(manager, client)
    ranks, replicas = request.param
    try:
        found.run("import warnings; warnings.simplefilter('ignore')")
        pids = json.loads(found.run(LOAD.format(path=str(checkpoint), ranks=ranks, replicas=replicas)))
        yield found, pids
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_the_stop_button_and_then_the_death_of_the_kernel(kernel: tuple[Kernel, list[int]]) -> None:
    notebook, pids = kernel
    assert len(pids) == 2 and json.loads(notebook.run(AGAIN)) is True
    notebook.begin(ENDLESS)
    time.sleep(0.5)
    notebook.manager.interrupt_kernel()
    reply = notebook.reply()
    assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
    assert json.loads(notebook.run(AGAIN)) is True  # right answers, not the stale reply of the stopped call
    running = json.loads(notebook.run("print(json.dumps([worker.pid for worker in engine.workers]))"))
    notebook.begin(ENDLESS)
    time.sleep(0.5)
    own = notebook.manager.provisioner.pid
    psutil.Process(own).kill()
    _gone, alive = psutil.wait_procs([psutil.Process(pid) for pid in (*running, own) if psutil.pid_exists(pid)], timeout=ALLOWED_SECONDS)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
