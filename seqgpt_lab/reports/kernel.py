"""Executes a notebook with papermill in a kernel whose processes it can all find and end; knows nothing of records and pages."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import nbformat
import papermill
import psutil
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.paths import jupyter_path
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, papermill_engines

from seqgpt_lab.files import write_atomically
from seqgpt_lab.reports.processes import RUN_VARIABLE, end_processes, family

_ENGINE = "seqgpt-lab"
_INJECTED = "injected-parameters"
_REMARK = "papermill-error-cell-tag"
_START_SECONDS = 120
# papermill fails a cell whose last outputs come later than this after its reply; its own 4 s are too few on a loaded machine.
_LATE_OUTPUT_SECONDS = 60
_LONGEST_SOCKET_PATH = 100


class StoppedError(Exception):
    """Raised between two cells once the run has been told to stop."""


class RunProgress(Protocol):
    """Is told how a run goes on, from the thread that runs it."""

    def cell_started(self, number: int, count: int, title: str) -> None:
        """Code cell `number` of `count`, counted from 1, starts; title: the nearest heading above it, or empty."""

    def kernel_wrote(self, text: str) -> None:
        """The kernel wrote this to its standard error, progress of a long cell for example."""


@dataclass(slots=True)
class Session:
    """One execution of one notebook: what it has got to, and the means to stop it. Its processes carry `run_id` in their environment.

    output: where the notebook is kept, atomically, as it goes. log: where the kernel's process writes what it does not write into the
    notebook. temporary: a folder for what the kernel needs while it is there. notebook: as executed so far, None before papermill has
    begun.
    """

    run_id: str
    output: Path
    log: Path
    temporary: Path
    progress: RunProgress | None = None
    notebook: nbformat.NotebookNode | None = None
    current_cell: int | None = None
    error: BaseException | None = None
    stopping: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[bytes] | None = None
    # The kernel's and what came of it, as of the last cell: whose child a process is is not known any more once its parent is gone.
    processes: list[psutil.Process] = field(default_factory=list)

    def execute(self, notebook: Path, parameters: Mapping[str, Any], kernel_name: str) -> None:
        """Run the notebook to its end, in the calling thread; what stopped it before that is kept as `error`."""
        try:
            self._execute(notebook, parameters, kernel_name)
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()

    def started(self, kernel: subprocess.Popen[bytes]) -> None:
        """Take the kernel's process, to which all others of the run go back."""
        self.process = kernel
        with suppress(psutil.NoSuchProcess):  # it ended at once
            self.processes = [psutil.Process(kernel.pid)]

    def wait(self, seconds: float | None) -> bool:
        """Wait until `execute` has ended or `seconds` (None: no limit) have passed; whether it has ended. Signals come through at once."""
        # Not Thread.join: interrupted, it takes a running thread for ended in Python 3.11.
        return self.ended.wait(seconds)

    def save(self) -> None:
        """Write the notebook as executed so far."""
        if self.notebook is not None:
            write_atomically(self.output, notebook_text(self.notebook))

    def interrupt(self) -> None:
        """Ask the kernel to stop, as its stop button would, and start no further cell."""
        self.stopping.set()
        if self.process is None or self.process.poll() is not None:
            self.end_processes()
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)

    def end_processes(self) -> None:
        """End every process of the run: politely, then, after three seconds, for certain."""
        self.stopping.set()
        end_processes(self.run_id, self.processes)

    def exit_status(self) -> str:
        """How the kernel's process ended, in words."""
        code = None if self.process is None else self.process.poll()
        if code is None:
            return "did not start" if self.process is None else "is running"
        if code >= 0:
            return f"exited with status {code}"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"was killed by {name}" + (" (running out of memory is the usual cause)" if name == "SIGKILL" else "")

    def write(self, text: str) -> None:
        """Take what the kernel wrote to its standard error (papermill wants a file)."""
        if self.progress is not None:
            self.progress.kernel_wrote(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def _execute(self, notebook: Path, parameters: Mapping[str, Any], kernel_name: str) -> None:
        papermill_engines.register(_ENGINE, RecordingEngine)
        try:
            papermill.execute_notebook(
                # papermill takes braces in a path for placeholders.
                str(notebook).replace("{", "{{").replace("}", "}}"),
                None,
                parameters=dict(parameters),
                engine_name=_ENGINE,
                kernel_name=kernel_name,
                language="python",
                progress_bar=False,
                start_timeout=_START_SECONDS,
                session=self,
            )
        finally:
            if self.notebook is not None:
                # papermill's own remarks on an error would shift the cells' places, and the page has a banner.
                self.notebook.cells = [cell for cell in self.notebook.cells if not has_tag(cell, _REMARK)]
            if self.log.exists() and not self.log.read_bytes().strip():
                self.log.unlink()

    def _cell_started(self, cell: nbformat.NotebookNode, cell_index: int) -> None:
        self.current_cell = cell_index
        if self.stopping.is_set():
            raise StoppedError
        self.save()
        if self.progress is not None and self.notebook is not None and cell.cell_type == "code" and not has_tag(cell, _INJECTED):
            self.progress.cell_started(*place_of(self.notebook, cell_index))

    def _cell_ended(self, cell: nbformat.NotebookNode, cell_index: int, execute_reply: object) -> None:
        self.processes = family(self.processes)


class QuietManager(AsyncKernelManager):
    """Asks its kernel to leave, and ends it where it does not. Jupyter's own interrupts it first, whereupon one that still had a message
    in hand, such as the last cell's, logs an error as a crash report.
    """

    async def shutdown_kernel(  # type: ignore[override]  # the manager it is of declares it as its blocking twin does
        self, now: bool = False, restart: bool = False
    ) -> None:
        """End the kernel, which runs no cell; `now` and `restart` are Jupyter's, which end it as before."""
        if now or restart:
            await super().shutdown_kernel(now=now, restart=restart)
            return
        self.shutting_down = True
        self.stop_restarter()
        await self.request_shutdown()
        await self.finish_shutdown()
        await self.cleanup_resources()


class RecordingEngine(NBClientEngine):  # type: ignore[misc]  # papermill has no types
    """papermill's engine with a session that sees every step and a marked environment."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: Any, kernel_name: str, *, session: Session, start_timeout: int, **_papermills_own: Any
    ) -> None:
        """Execute the cells in order up to the first error; `nb_man` keeps papermill's own marks in the notebook."""
        session.notebook = nb_man.nb
        log = logging.getLogger("seqgpt_lab.kernel")
        if not log.handlers:
            log.addHandler(logging.NullHandler())  # the run's record says it all
        client = PapermillNotebookClient(
            nb_man,
            kernel_name=kernel_name,
            kernel_manager_class=QuietManager,
            startup_timeout=start_timeout,
            iopub_timeout=_LATE_OUTPUT_SECONDS,
            coalesce_streams=True,
            store_widget_state=False,
            stderr_file=session,
            log=log,
            on_cell_start=session._cell_started,
            on_cell_executed=session._cell_ended,
        )
        with open(session.log, "wb") as kernel_log:
            client.km = client.create_kernel_manager()
            _keep_within(str(session.temporary), client.km)
            # IPython would read its user's start-up files; of a home that it cannot write to it would complain, in the kernel into its log,
            # here on standard error, and leave a temporary folder.
            client.km.kernel_spec_manager.kernel_dirs = jupyter_path("kernels")
            environment = {"IPYTHONDIR": str(session.temporary / "ipython"), **os.environ, RUN_VARIABLE: session.run_id}
            client.start_new_kernel(env=environment, stdout=kernel_log, stderr=subprocess.STDOUT)
            session.started(client.km.provisioner.process)
            client.execute()


def notebook_text(notebook: nbformat.NotebookNode) -> str:
    """A notebook as the text of its file."""
    return str(nbformat.writes(notebook))


def place_of(notebook: nbformat.NotebookNode, cell_index: int) -> tuple[int, int, str]:
    """Up to which code cell, counted from 1, that is; how many there are; and the nearest Markdown heading above (or an empty string).

    The cell that papermill injects is nobody's and does not count.
    """
    code = [index for index, cell in enumerate(notebook.cells) if cell.cell_type == "code" and not has_tag(cell, _INJECTED)]
    title = ""
    for cell in notebook.cells[:cell_index]:
        headings = [line.strip("# ") for line in cell.source.splitlines() if line.startswith("#")] if cell.cell_type == "markdown" else []
        title = headings[-1] if headings else title
    return sum(index <= cell_index for index in code), len(code), title


def has_tag(cell: nbformat.NotebookNode, tag: str) -> bool:
    """Whether a cell carries a tag."""
    return tag in cell.metadata.get("tags", [])


def _keep_within(directory: str, manager: Any) -> None:
    """Have what the kernel and its manager share lie in the folder: the connection file, and Unix sockets, where there are any: two kernels
    that start at once may be given the same TCP port."""
    manager.connection_file = os.path.join(directory, "kernel.json")
    if os.name == "posix" and len(directory) + len("/kernel-ipc-1") <= _LONGEST_SOCKET_PATH:
        manager.transport = "ipc"
        manager.ip = os.path.join(directory, "kernel-ipc")
