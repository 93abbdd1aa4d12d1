"""Every end a run can come to, with real kernels."""

from __future__ import annotations

import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import psutil
import pytest

from seqgpt_lab.errors import OptionError, ParameterError, RunError
from seqgpt_lab.reports import runner
from seqgpt_lab.reports.kernel import Session
from seqgpt_lab.reports.processes import guarded
from seqgpt_lab.reports.runner import kept_journals, run_notebook
from seqgpt_lab.reports.runs import Run, read_run, start_run, write_run
from seqgpt_lab.reports.text_progress import TextProgress

MakeNotebook = Callable[..., Path]
WAIT = "import threading; threading.Event().wait()"
CHILD = """import pathlib, subprocess, sys
wait = "import threading; threading.Event().wait()"
child = subprocess.Popen([sys.executable, "-c", wait], start_new_session=True)
pathlib.Path(run_dir, "child.pid").write_text(str(child.pid))"""


def result(run: Run, *, status: str) -> tuple[nbformat.NotebookNode, str]:
    """The run's notebook and page, after checking what must hold for every run however it ended."""
    assert run.status == status
    assert read_run(run.folder) == run
    assert run.seconds is not None and run.finished is not None
    notebook = nbformat.read(run.folder / "out.ipynb", as_version=4)
    assert notebook.metadata["seqgpt_lab"]["status"] == status
    assert not [entry for entry in run.folder.iterdir() if entry.name.endswith(".part")]
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert f'class="banner {status.replace(" ", "-")}"' in page
    return notebook, page


def cell_statuses(notebook: nbformat.NotebookNode) -> list[str]:
    return [cell.metadata["papermill"]["status"] for cell in notebook.cells]


def output_text(notebook: nbformat.NotebookNode) -> str:
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", []))


def kernel_log(run: Run) -> str:
    path = run.folder / "kernel.log"
    return path.read_text() if path.exists() else ""


def is_alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_run_completes_with_its_parameters(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    path = make_notebook(
        "# 试验", "print(name, limit)", "import sys; print('50%', file=sys.stderr)", "print(run_dir)", name="{x} toy.ipynb"
    )
    stream = io.StringIO()
    name = '张伟 "x" \\ {组}\n'
    run = run_notebook(path, {"name": name}, tmp_path / "runs {y}", progress=TextProgress(stream))
    notebook, page = result(run, status="completed")
    assert run.error is None
    assert kernel_log(run) == ""
    assert output_text(notebook) == f"{name} 3\n50%\n{run.folder}\n"
    assert set(cell_statuses(notebook)) == {"completed"}
    assert (dict(run.parameters), run.given, run.artifacts) == ({"name": name, "limit": 3}, ("name",), ("out.ipynb", "report.html"))
    assert stream.getvalue() == "[1/4] \n[2/4] 试验\n[3/4] 试验\n50%\n[4/4] 试验\n"
    assert "\\u5f20" not in page and "张伟" in page


def test_a_run_needs_no_home_and_has_an_ipython_folder_of_its_own(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    monkeypatch.delenv("IPYTHONDIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "no" / "home"))
    run = run_notebook(make_notebook("import os; print(os.environ.get('IPYTHONDIR', '/'))"), runs_dir=tmp_path / "runs")
    notebook, _ = result(run, status="completed")
    assert "IPython" not in kernel_log(run)
    assert not Path(output_text(notebook).strip()).parent.exists()
    assert not [one for one in recwarn if "IPython" in str(one.message)]


def test_a_run_uses_the_ipython_folder_that_the_user_names(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    startup = tmp_path / "mine" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "first.py").write_text("mine = 1")
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "mine"))
    assert run_notebook(make_notebook("mine"), runs_dir=tmp_path / "runs").ok


def test_a_kernel_that_has_done_its_work_is_asked_to_leave_without_an_interrupt(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    keep = "get_ipython().kernel.post_handler_hook = get_ipython().kernel.pre_handler_hook = lambda: None"
    mark = "import pathlib, signal; signal.signal(signal.SIGINT, lambda *_: pathlib.Path(run_dir, 'interrupted').touch())"
    leave = "import atexit; atexit.register(pathlib.Path(run_dir, 'left').touch)"
    run = run_notebook(make_notebook(f"{keep}\n{mark}\n{leave}"), runs_dir=tmp_path / "runs")
    result(run, status="completed")
    assert run.artifacts == ("left", "out.ipynb", "report.html")


def test_a_run_goes_on_when_nobody_watches_any_more(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    closed = io.StringIO()
    closed.close()
    result(run_notebook(make_notebook("print(1)"), runs_dir=tmp_path / "runs", progress=TextProgress(closed)), status="completed")


def test_an_exception_fails_the_run_at_its_cell(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    run = run_notebook(make_notebook("print('before')", "1 / 0", "print('after')"), runs_dir=tmp_path / "runs")
    notebook, page = result(run, status="failed")
    assert run.error is not None
    assert (run.error.kind, run.error.message, run.error.cell) == ("ZeroDivisionError", "division by zero", 3)
    assert "1 / 0" in run.error.traceback and "\x1b" not in run.error.traceback
    assert output_text(notebook) == "before\n"
    assert cell_statuses(notebook)[-3:] == ["completed", "failed", "pending"]
    assert 'href="#stopped-here"' in page and 'id="stopped-here"' in page


def test_a_killed_kernel_is_not_a_completed_run_and_leaves_no_process(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    run = run_notebook(make_notebook(CHILD, kill, "print('after')"), runs_dir=tmp_path / "runs")
    notebook, _ = result(run, status="killed")
    assert run.error is not None and run.error.cell == 3 and "SIGKILL" in run.error.message
    assert cell_statuses(notebook)[-3:] == ["completed", "failed", "pending"]
    assert not is_alive(int((run.folder / "child.pid").read_text()))


@pytest.mark.parametrize(("last", "status"), [("print('after')", "completed"), ("import os; os._exit(1)", "killed")])
def test_a_process_with_an_environment_of_its_own_ends_with_the_run_too(
    make_notebook: MakeNotebook, tmp_path: Path, last: str, status: str
) -> None:
    bare = CHILD.replace("start_new_session=True", "start_new_session=True, env={}")
    run = run_notebook(make_notebook(bare, last), runs_dir=tmp_path / "runs")
    result(run, status=status)
    child = int((run.folder / "child.pid").read_text())
    alive = is_alive(child)
    if alive:
        os.kill(child, signal.SIGKILL)
    assert not alive


def test_a_kernel_that_exits_says_with_which_status(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    run = run_notebook(make_notebook("import os; os._exit(7)"), runs_dir=tmp_path / "runs")
    result(run, status="killed")
    assert run.error is not None and "exited with status 7" in run.error.message


def test_what_a_crash_writes_is_kept(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    run = run_notebook(make_notebook("import faulthandler, os; faulthandler.enable(); os.abort()"), runs_dir=tmp_path / "runs")
    result(run, status="killed")
    assert run.error is not None and "SIGABRT" in run.error.message
    assert "Fatal Python error: Aborted" in (run.folder / "kernel.log").read_text()


def test_a_run_that_takes_too_long_is_timed_out(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    run = run_notebook(make_notebook(WAIT), runs_dir=tmp_path / "runs", timeout=3)
    result(run, status="timed out")
    assert run.error is not None and "3 s" in run.error.message and run.timeout == 3


def test_a_notebook_that_will_not_be_interrupted_is_ended_all_the_same(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_GRACE_SECONDS", 0.2)
    stubborn = "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); os.kill(os.getppid(), signal.SIGINT)"
    run = run_notebook(make_notebook(f"{stubborn}\n{WAIT}"), runs_dir=tmp_path / "runs")
    result(run, status="interrupted")


@pytest.mark.parametrize(
    ("stop", "limit", "status"), [("pass", 100, "timed out"), ("os.kill(os.getppid(), signal.SIGTERM)", None, "interrupted")]
)
def test_a_last_cell_that_takes_the_interrupt_and_goes_on_has_not_completed(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str, limit: float | None, status: str
) -> None:
    reached, wait = tmp_path / "reached", Session.wait

    def passes_in_the_last_cell(session: Session, seconds: float | None) -> bool:
        """The limit is over once the cell is reached, however long the kernel took to start."""
        if seconds is None or seconds != limit:
            return wait(session, seconds)
        return next(ended for _ in range(2000) if (ended := wait(session, 0.05)) or reached.exists())

    monkeypatch.setattr(Session, "wait", passes_in_the_last_cell)
    begins = f"import os, pathlib, signal, threading\ntry:\n    pathlib.Path({str(reached)!r}).touch()\n    {stop}\n"
    takes = f"{begins}    threading.Event().wait()\nexcept KeyboardInterrupt:\n    print('a part')"
    run = run_notebook(make_notebook(takes), runs_dir=tmp_path / "runs", timeout=limit)
    notebook, _ = result(run, status=status)
    assert output_text(notebook) == "a part\n"
    assert run.error is not None and run.error.cell == 2


class Stuck:
    """Whoever is told of the run waits until it is let go, as one does who writes where nobody reads."""

    def __init__(self) -> None:
        self.let_go = threading.Event()

    def cell_started(self, number: int, count: int, title: str) -> None:
        assert self.let_go.wait(60)

    def kernel_wrote(self, text: str) -> None:
        """Nothing."""


def test_progress_that_hangs_does_not_keep_a_run_from_being_stopped(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_GRACE_SECONDS", 0.2)
    monkeypatch.setattr(runner, "_LEAVING_SECONDS", 0.2)
    stuck = Stuck()
    run = run_notebook(make_notebook("1"), runs_dir=tmp_path / "runs", timeout=4, progress=stuck)
    held = not stuck.let_go.is_set()
    stuck.let_go.set()
    assert held
    result(run, status="timed out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_runner_interrupts_the_run(make_notebook: MakeNotebook, tmp_path: Path, number: signal.Signals) -> None:
    handlers = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    run = run_notebook(make_notebook(f"import os; os.kill(os.getppid(), {number:d})\n{WAIT}"), runs_dir=tmp_path / "runs")
    result(run, status="interrupted")
    assert run.error is not None and number.name in run.error.message
    assert {one: signal.getsignal(one) for one in handlers} == handlers


@pytest.mark.parametrize(("cell", "text"), [(f"import os; os.kill(os.getppid(), 2)\n{WAIT}", ""), ("print('all')", "all\n")])
def test_interrupts_while_processes_are_ended_neither_leave_one_nor_cost_the_record(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cell: str, text: str
) -> None:
    """Impatient people press Ctrl-C again, and again."""
    end_processes = Session.end_processes

    def interrupted(session: Session) -> None:
        signal.raise_signal(signal.SIGINT)
        end_processes(session)
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Session, "end_processes", interrupted)
    run = run_notebook(make_notebook(CHILD, cell), runs_dir=tmp_path / "runs")
    notebook, _ = result(run, status="interrupted")
    assert run.error is not None and run.error.message == "the run was interrupted (SIGINT)" and output_text(notebook) == text
    assert not is_alive(int((run.folder / "child.pid").read_text()))


@pytest.mark.parametrize("started", [True, False])
def test_interrupts_while_the_guardian_comes_and_goes_do_not_cost_the_record(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: bool
) -> None:
    """It takes the temporary files with it."""

    @contextmanager
    def interrupted(run_id: str) -> Iterator[Path]:
        with guarded(run_id) as temporary:
            if not started:
                signal.raise_signal(signal.SIGINT)
            yield temporary
            signal.raise_signal(signal.SIGINT)
            assert temporary.is_dir()
        assert not temporary.exists()

    monkeypatch.setattr(runner, "guarded", interrupted)
    run = run_notebook(make_notebook("1"), runs_dir=tmp_path / "runs")
    assert run.status == "interrupted" and read_run(run.folder) == run and run.error is not None
    assert ("when the notebook had completed" in run.error.message) == started


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("cell", "status"), [("1", "interrupted"), ("1 / 0", "failed")])
def test_an_interrupt_while_the_page_is_written_is_recorded(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, cell: str, status: str
) -> None:
    def interrupted(notebook: nbformat.NotebookNode, run: Run, personal: object) -> str:
        signal.raise_signal(number)
        return ""

    monkeypatch.setattr(runner, "render_page", interrupted)
    run = run_notebook(make_notebook(cell), runs_dir=tmp_path / "runs")
    assert (run.status, run.artifacts) == (status, ("out.ipynb",)) and read_run(run.folder) == run
    told = f"the run was interrupted when the notebook had completed and its page was being written ({number.name})"
    assert run.error is not None and run.error.message == (told if status == "interrupted" else "division by zero")


def test_an_interrupt_while_the_record_is_written_comes_after_it(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(run: Run) -> Run:
        signal.raise_signal(signal.SIGTERM)
        return write_run(run)

    monkeypatch.setattr(runner, "write_run", interrupted)
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"):
        run_notebook(make_notebook("1"), runs_dir=tmp_path / "runs")
    (folder,) = (tmp_path / "runs").iterdir()
    assert read_run(folder).status == "completed"


def test_an_interrupt_of_the_kernel_is_not_a_failure_of_the_notebook(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    interrupt = f"import os, signal; os.kill(os.getpid(), signal.SIGINT)\n{WAIT}"
    result(run_notebook(make_notebook(interrupt), runs_dir=tmp_path / "runs"), status="interrupted")


def test_leaving_early_is_not_completing(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    run = run_notebook(make_notebook("import sys; sys.exit(0)", "print('after')"), runs_dir=tmp_path / "runs")
    notebook, _ = result(run, status="failed")
    assert run.error is not None and run.error.kind == "SystemExit"
    assert cell_statuses(notebook)[-1] == "pending"


def test_a_killed_runner_is_recognised_later_and_its_kernel_ends(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    note = 'import os, pathlib, signal; pathlib.Path(run_dir, "kernel.pid").write_text(str(os.getpid()))'
    path = make_notebook(f"{note}\nos.kill(os.getppid(), signal.SIGKILL)\n{WAIT}")
    program = "import sys; from seqgpt_lab.reports.runner import run_notebook; run_notebook(sys.argv[1], runs_dir=sys.argv[2])"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program, path, tmp_path / "runs"], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    (folder,) = (tmp_path / "runs").iterdir()
    assert json.loads((folder / "run.json").read_text())["status"] == "running"
    assert read_run(folder).status == "killed"
    nbformat.read(folder / "out.ipynb", as_version=4)
    try:
        kernel = psutil.Process(int((folder / "kernel.pid").read_text()))
    except psutil.NoSuchProcess:
        return
    assert psutil.wait_procs([kernel], timeout=30)[0]


@pytest.mark.parametrize(
    ("given", "named"),
    [({"limt": 1}, "no parameter 'limt'"), ({"limit": "1"}, "must be int"), ({"run_dir": "/x"}, "it is the runner that sets it")],
)
def test_a_parameter_that_does_not_fit_stops_before_anything_starts(
    make_notebook: MakeNotebook, tmp_path: Path, given: dict[str, object], named: str
) -> None:
    with pytest.raises(ParameterError, match=named):
        run_notebook(make_notebook("print(1)"), given, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_notebook_without_a_parameters_cell_is_not_started(tmp_path: Path) -> None:
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("a = 1")]), tmp_path / "toy.ipynb")
    with pytest.raises(ParameterError, match="0 code cells tagged"):
        run_notebook(tmp_path / "toy.ipynb", {"a": 2}, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_bad_limits_and_folders_are_refused(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    path = make_notebook("print(1)")
    for limit in (0, math.inf, 1e10):
        with pytest.raises(OptionError, match=re.escape(f"timeout is {limit}")):
            run_notebook(path, runs_dir=tmp_path / "runs", timeout=limit)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(RunError, match="no run folder can be made"):
        run_notebook(path, runs_dir=path)


def test_a_kernel_that_is_not_installed_fails_the_run(make_notebook: MakeNotebook, tmp_path: Path) -> None:
    path = make_notebook("print(1)")
    path.write_text(path.read_text().replace('"python3"', '"no-such-kernel"'))
    run = run_notebook(path, runs_dir=tmp_path / "runs")
    result(run, status="failed")
    assert run.error is not None and "no-such-kernel" in run.error.message


@pytest.mark.parametrize(("error", "raised"), [(OSError(28, "No room"), RunError), (KeyboardInterrupt(), KeyboardInterrupt)])
def test_journals_are_taken_over_whole_or_not_at_all(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, raised: type[BaseException]
) -> None:
    path, runs = make_notebook("1"), tmp_path / "runs"
    earlier = start_run(runs, path, "0" * 64, {})
    (earlier.folder / "journals").mkdir()
    (earlier.folder / "journals" / "resume.jsonl").write_text("{}\n{}\n")

    def cut(source: Path, target: Path) -> None:
        target.mkdir()
        (target / "resume.jsonl").write_text("{}\n")
        raise error

    monkeypatch.setattr("shutil.copytree", cut)
    with pytest.raises(raised):
        run_notebook(path, runs_dir=runs, resume=earlier)
    begun = [read_run(one) for one in runs.iterdir() if one != earlier.folder]
    assert len(begun) == (raised is KeyboardInterrupt) and not any(map(kept_journals, begun))


def test_a_page_that_cannot_be_made_fails_a_completed_run(
    make_notebook: MakeNotebook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(notebook: nbformat.NotebookNode, run: Run, personal: object) -> str:
        raise ValueError("no page today")

    monkeypatch.setattr(runner, "render_page", broken)
    run = run_notebook(make_notebook("print(1)"), runs_dir=tmp_path / "runs")
    assert run.status == "failed" and run.error is not None and "no page today" in run.error.message
    assert read_run(run.folder) == run and run.artifacts == ("out.ipynb",)
