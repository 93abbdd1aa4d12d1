"""What people meet at the command line: help, version, exit codes and error messages, the same for every command."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seqgpt_lab.documents.formats import read_documents
from seqgpt_lab.errors import DocumentError
from tests.apps.conftest import Invoke, ScriptedEngine

COMMANDS = ("extract", "evaluate", "run", "convert", "train-embedded")
SCRIPT = (sys.executable, "-m", "seqgpt_lab")
# Buffered output, as users have it: an empty value is none. One thread, to leave the other cores to other tests.
PLAIN_PYTHON = {"PYTHONUNBUFFERED": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def run_script(*words: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`seqgpt-lab` in a process of its own."""
    variables = {**os.environ, **PLAIN_PYTHON, **environment}
    return subprocess.run([*SCRIPT, *map(str, words)], input=stdin, capture_output=True, env=variables)


def test_help_names_every_command(invoke: Invoke) -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    assert all(command in result.stdout for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(invoke: Invoke, command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0 and f" {command} [OPTIONS]" in result.stdout.splitlines()[0]


@pytest.mark.parametrize(("command", "unlabelled"), [("extract", set()), ("evaluate", {".txt"})])
def test_help_names_every_kind_of_file_that_is_read(invoke: Invoke, command: str, unlabelled: set[str]) -> None:
    with pytest.raises(DocumentError) as refused:
        read_documents("letter.docx")
    wanted = set(re.findall(r"\.[a-z]+", str(refused.value).partition("wanted")[2])) - unlabelled
    assert {".jsonl", ".xlsx", ".bio"} <= wanted <= set(re.findall(r"\.[a-z]+", invoke(command, "--help").stdout))


def test_version(invoke: Invoke) -> None:
    result = invoke("--version")
    assert (result.exit_code, result.stdout) == (0, "seqgpt-lab 0.1.0\n")


@pytest.mark.parametrize(
    "words",
    [
        ("extract", "--labels", "姓名", "--temperature", "0.7"),
        ("evaluate", "data.jsonl"),
        ("run",),
        ("train-embedded", "out", "--steps", "0"),
        ("train-embedded", "out", "--steps", "1", "--seed", "9" * 23),
        ("train-embedded", "out", "--steps", "1", "--threads", "9" * 14),
        ("widen", "tiny", "out", "--seed", "9" * 23),
        ("extract", "--labels", "姓名", "--batch-size", "many"),
        ("extrct",),
    ],
)
def test_wrong_use_exits_with_2_and_says_why(invoke: Invoke, words: tuple[str, ...]) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert "error: " in result.stderr.lower() and result.stdout == ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--model", "no-such-folder"), "there is no model at 'no-such-folder'"),
        (("--model", "~nobody-here/models"), "there is no model at '~nobody-here/models'"),
        (("--dtype", "int3"), "unknown dtype 'int3'; choose auto, fp16, bf16, fp32"),
        (("--device", "tpu"), "unknown device 'tpu'"),
        (("--device", "cuda:99"), "device 'cuda:99' asked for"),
        (("--attention", "magic"), "magic"),
        (("--max-new-tokens", "9" * 21), f"room for {'9' * 21} new ones does not fit"),
    ],
)
def test_models_and_options_that_do_not_exist_exit_with_2(invoke: Invoke, random_model: Path, words: tuple[str, ...], message: str) -> None:
    result = invoke("extract", "--labels", "姓名", "--model", random_model, *words, stdin="张伟")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and message in result.stderr


def test_a_file_that_cannot_be_read_is_an_error_without_traceback(invoke: Invoke, scripted: ScriptedEngine) -> None:
    for words in (("extract", "none.jsonl", "--labels", "姓名"), ("run", "none.ipynb"), ("convert", "none", "new")):
        result = invoke(*words)
        assert result.exit_code == 2 and result.stderr.startswith("error: ") and "none" in result.stderr


def test_an_interrupt_while_the_command_line_is_imported_shows_no_traceback() -> None:
    code = (
        "import runpy, sys\n"
        "class Interrupts:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'typer':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupts())\n"
        "runpy.run_module('seqgpt_lab', run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert (result.returncode, result.stdout, result.stderr) == (130, b"", b"")


def test_an_interrupt_while_the_commands_are_set_up_shows_no_traceback() -> None:
    code = (
        "import runpy, typer.main\n"
        "def interrupted(*_):\n"
        "    raise KeyboardInterrupt\n"
        "typer.main.get_command = interrupted\n"
        "runpy.run_module('seqgpt_lab', run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (result.returncode, result.stdout, result.stderr) == (130, b"", b"")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_to_end_is_named_and_lets_the_command_tidy_up(
    invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    tidied = []

    def load(*_arguments: object, **_options: object) -> None:
        try:
            if signal.getsignal(number) != signal.SIG_DFL:  # else it would end the tests
                signal.raise_signal(number)
        finally:
            tidied.append(number)
        raise AssertionError("not interrupted")

    monkeypatch.setattr("seqgpt_lab.engine.engine.Engine.load", load)
    result = invoke("extract", "--labels", "姓名", stdin="张伟")
    assert (result.exit_code, result.stdout, tidied) == (130, "", [number])
    assert result.stderr == f"ended by {number.name}\n"
    assert signal.getsignal(number) == signal.SIG_DFL


def test_help_loads_no_heavy_library() -> None:
    code = "import sys, seqgpt_lab.apps.cli; print({'torch', 'pandas', 'numpy', 'papermill', 'tokenizers', 'tqdm'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_a_process_reads_a_pipe_and_writes_utf8_whatever_the_locale(random_model: Path) -> None:
    words = ("extract", "--labels", "姓名", "--model", random_model, "--max-new-tokens", "2", "--json")
    result = run_script(*words, stdin="张伟，35岁\n".encode(), LC_ALL="C", PYTHONIOENCODING="ascii")
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout.decode("utf-8").startswith('{"id": "stdin", "values": {"姓名": ')
    assert result.stdout.count(b"\n") == 1


def test_a_reader_that_leaves_ends_the_command_quietly(random_model: Path) -> None:
    words = [*SCRIPT, "extract", "--labels", "姓名", "--model", random_model, "--max-new-tokens", "1", "--batch-size", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe, env={**os.environ, **PLAIN_PYTHON}) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write(b'{"text": "a"}\n' * 3)
        process.stdin.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(("closed", "message"), [("<&-", b"standard input is closed"), (">&-", b"standard output is closed")])
def test_a_closed_stream_is_told_before_any_work(random_model: Path, closed: str, message: bytes) -> None:
    words = [*SCRIPT, "extract", "--labels", "姓名", "--model", str(random_model)]
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *words]
    result = subprocess.run(shell, input="张伟".encode(), capture_output=True, env={**os.environ, **PLAIN_PYTHON})
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"error: " + message) and b"Traceback" not in result.stderr


def in_shell(redirection: str, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """`seqgpt-lab` with a stream redirected as a shell does it."""
    shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *SCRIPT, *map(str, words)]
    return subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, env={**os.environ, **PLAIN_PYTHON}, timeout=120)


def test_a_closed_standard_error_costs_no_results(random_model: Path, tmp_path: Path) -> None:
    documents = tmp_path / "documents.jsonl"
    documents.write_text('{"text": "a"}\n{"text": "b"}\nno document\n')
    words = ("extract", documents, "--labels", "姓名", "--model", random_model, "--max-new-tokens", "1", "--json")
    result = in_shell("2>&-", *words)
    assert (result.returncode, result.stdout.count(b"\n"), result.stderr) == (1, 2, b"")
    assert in_shell("2>&-", "extract", tmp_path / "none.jsonl", "--labels", "姓名").returncode == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
@pytest.mark.parametrize("words", [("lint", "姓名"), ("--version",), ("plan", "--help")])
def test_a_full_disk_under_the_output_exits_with_2_and_is_told_once(words: tuple[str, ...]) -> None:
    result = in_shell(">/dev/full", *words)
    assert (result.returncode, result.stderr.count(b"\n")) == (2, 1)
    assert result.stderr.startswith(b"error: ") and result.stderr.endswith(
        b"No space left on device; make room there, and run the command again\n"
    )
    assert words != ("lint", "姓名") or b"standard output: " in result.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device here is always full")
def test_messages_that_cannot_be_written_change_no_exit_code(tmp_path: Path) -> None:
    assert in_shell("2>/dev/full", "lint", "姓名", "--fixed", tmp_path / "set.yaml").returncode == 0
    assert in_shell("2>/dev/full", "extract", tmp_path / "none.jsonl", "--labels", "姓名").returncode == 2


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_for_a_reader_that_has_left_ends_as_results_do(words: tuple[str, ...]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        variables = {**os.environ, **PLAIN_PYTHON}
        result = subprocess.run([*SCRIPT, *words], stdout=pipe, stderr=subprocess.PIPE, env=variables, timeout=120)
    assert (result.returncode, result.stderr) == (141, b"")


def test_bad_use_exits_with_2_from_a_process(tmp_path: Path) -> None:
    result = run_script("extract", tmp_path / "none.jsonl", "--labels", "姓名")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"error: cannot read ") and b"Traceback" not in result.stderr
