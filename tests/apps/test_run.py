"""`seqgpt-lab run`: parameters in, a report's path out."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
import typer
from nbformat.v4 import new_code_cell, new_notebook

from seqgpt_lab.apps.commands.run import join_pairs
from seqgpt_lab.reports.runs import Failure, finish_run, start_run, write_run
from tests.apps.conftest import Invoke

DEFAULTS = 'name: str = "nobody"\nlimit: int = 3\nkinds: list[str] = []\nrun_dir: str = ""'
WRITE = "import json, pathlib\npathlib.Path(run_dir, 'seen.json').write_text(json.dumps([name, limit, kinds]))"


def write_notebook(*cells: str) -> Path:
    head = new_code_cell(DEFAULTS, metadata={"tags": ["parameters"]})
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=[head, *map(new_code_cell, cells)], metadata={"kernelspec": kernel}), "toy.ipynb")
    return Path("toy.ipynb")


def test_a_run_prints_its_report_s_path_and_gets_its_parameters(invoke: Invoke) -> None:
    Path("params.yaml").write_text("limit: 1\nkinds: [x]")
    words = ("-p", "name", "35", "-f", "params.yaml", "-p", "kinds", "a, b", "--runs-dir", "kept")
    result = invoke("run", write_notebook(WRITE), *words)
    assert result.exit_code == 0
    report = Path(result.stdout.removesuffix("\n"))
    assert report.name == "report.html" and report.is_file() and report.parent.parent == Path("kept").absolute()
    assert json.loads((report.parent / "seen.json").read_text()) == ["35", 1, ["a", "b"]]
    assert "[1/" in result.stderr


def test_a_run_that_fails_exits_with_1_says_where_and_still_has_a_report(invoke: Invoke) -> None:
    result = invoke("run", write_notebook("import sys; sys.stderr.write('last words'); 1 / 0"), "--json")
    assert result.exit_code == 1
    assert "last words\nerror: the run failed in code cell 2: ZeroDivisionError: division by zero" in result.stderr
    record = json.loads(result.stdout)
    assert record["status"] == "failed" and record["error"]["cell"] == 2
    assert Path(record["report"]).is_file() and Path(record["report"]).parent == Path(record["folder"])


WAIT = "import threading; threading.Event().wait()"
KILL = "import os, signal; os.kill(os.{of}(), signal.{name})"


@pytest.mark.parametrize(
    ("status", "cell", "words"),
    [
        ("killed", KILL.format(of="getpid", name="SIGKILL"), ()),
        ("interrupted", KILL.format(of="getppid", name="SIGTERM") + f"\n{WAIT}", ()),
        ("timed out", WAIT, ("--timeout", "3")),
    ],
    ids=["killed", "interrupted", "timed out"],
)
def test_a_run_that_does_not_complete_exits_with_1_and_says_how_it_ended(
    invoke: Invoke, status: str, cell: str, words: tuple[str, ...]
) -> None:
    result = invoke("run", write_notebook(cell), "--json", *words)
    assert result.exit_code == 1 and f"error: the run {status}" in result.stderr
    record = json.loads(result.stdout)
    assert record["status"] == status and Path(record["report"]).is_file()


def test_a_folder_that_cannot_be_made_and_a_notebook_without_parameters_are_wrong_use(invoke: Invoke) -> None:
    result = invoke("run", write_notebook(WRITE), "--runs-dir", "toy.ipynb/runs")
    assert (result.exit_code, result.stdout) == (2, "") and "error: no run folder can be made in" in result.stderr
    nbformat.write(new_notebook(cells=[new_code_cell("a = 1")]), "bare.ipynb")
    result = invoke("run", "bare.ipynb", "-p", "a", "2")
    assert (result.exit_code, result.stdout) == (2, "") and "0 code cells tagged" in result.stderr
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        ("06_evaluation", "model: str = 'tiny'"),
        ("06_evaluation.ipynb", "model: str = 'tiny'"),
        ("toy", "name: str = 'nobody'"),
        ("toy.ipynb", "name: str = 'nobody'"),
        ("./toy", "name: str = 'nobody'"),
    ],
)
def test_a_notebook_is_found_by_its_name_with_the_ending_or_without(invoke: Invoke, name: str, parameter: str) -> None:
    write_notebook(WRITE)
    result = invoke("run", name, "-p", "no_such", "1")
    assert (result.exit_code, result.stdout) == (2, "") and parameter in result.stderr


def test_a_run_is_repeated_from_its_record_and_goes_on_from_what_it_had(invoke: Invoke) -> None:
    keep = """import pathlib
folder = pathlib.Path(run_dir, 'journals')
print('taken over', sorted(one.name for one in folder.glob('*')))
folder.mkdir(exist_ok=True)
(folder / 'x.jsonl').write_text(name)
print('张三 13812345678')"""
    path = write_notebook(keep)
    first = Path(invoke("run", path, "-p", "name", "35", "--unmasked").stdout.removesuffix("\n")).parent
    assert "13812345678" in (first / "report.html").read_text(encoding="utf-8")
    repeated = invoke("run", "--repeat", first.name, "--json")
    record = json.loads(repeated.stdout)
    assert f"the same as {first.name} in everything" in repeated.stderr
    assert record["parameters"]["name"] == "35" and record["repeats"] == {"run": first.name, "differences": []}
    assert json.loads(Path(record["folder"], "run.json").read_text(encoding="utf-8"))["repeats"]["run"] == first.name
    page = Path(record["report"]).read_text(encoding="utf-8")
    assert "13812345678" not in page and "[phone 1]" in page and "taken over []" in page
    path.write_text(path.read_text().replace("limit: int = 3", "limit: int = 4"))
    resumed = invoke("run", "--resume", first.name)
    assert f"differs from {first.name}: notebook was" in resumed.stderr
    assert "taken over [&#39;x.jsonl&#39;]" in Path(resumed.stdout.removesuffix("\n")).read_text(encoding="utf-8").replace("'", "&#39;")


def test_a_run_that_kept_no_journal_is_not_resumed_without_a_word(invoke: Invoke) -> None:
    run = start_run("runs", write_notebook(WRITE), "0" * 64, {"name": "35"})
    write_run(finish_run(run, "killed", Failure("DeadKernelError", "the kernel was killed"), 1.0))
    (run.folder / "journals").mkdir()
    result = invoke("run", "--resume", run.id)
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"the run {run.id} (killed) left no journals/" in result.stderr and f"--repeat {run.id}" in result.stderr
    assert [folder.name for folder in Path("runs").iterdir()] == [run.id]


def test_a_run_that_still_runs_is_not_resumed(invoke: Invoke) -> None:
    run = start_run("runs", write_notebook(WRITE), "0" * 64, {"name": "35"})
    (run.folder / "journals").mkdir()
    (run.folder / "journals" / "x.jsonl").write_text("{}")
    result = invoke("run", "--resume", run.id)
    assert (result.exit_code, result.stdout) == (2, "") and f"{run.id} still runs, in process {os.getpid()}" in result.stderr
    write_run(replace(run, owner=replace(run.owner, host="elsewhere")))
    assert invoke("run", "--resume", run.id).exit_code == 0, "whether it runs on another machine cannot be known"


@pytest.mark.parametrize(
    "words", [(), ("--repeat", "x", "--resume", "x"), ("toy.ipynb", "--repeat", "x"), ("--repeat", "x", "-p", "a", "b"), ("--repeat", "x")]
)
def test_a_run_needs_one_thing_to_run(invoke: Invoke, words: tuple[str, ...]) -> None:
    result = invoke("run", *words)
    assert (result.exit_code, result.stdout) == (2, "") and result.stderr.startswith("error: ")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-p", "nmae", "x"), "there is no parameter 'nmae'"),
        (("-p", "limit", "many"), "limit is 'many'"),
        (("-p", "limit", "1", "-p", "limit", "2"), "-p limit is given more than once"),
        (("-f", "none.yaml"), "none.yaml cannot be read (No such file or directory); name a YAML file after -f"),
        (("-f", "list.yaml"), "list.yaml holds list; a mapping"),
        (("-f", "broken.yaml"), "broken.yaml is not YAML"),
        (("-f", "twice.yaml"), "this key stands there already"),
        (("-f", "no-date.yaml"), "no-date.yaml is not YAML"),
        (("--timeout", "0"), "timeout is 0.0"),
    ],
)
def test_parameters_that_do_not_fit_start_nothing(invoke: Invoke, words: tuple[str, ...], message: str) -> None:
    Path("list.yaml").write_text("[a]")
    Path("broken.yaml").write_text("{")
    Path("twice.yaml").write_text("limit: 1\nlimit: 2")
    Path("no-date.yaml").write_text("limit: 2024-13-45")
    result = invoke("run", write_notebook(WRITE), *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert not Path("runs").exists()


def test_a_missing_value_is_wrong_use(invoke: Invoke) -> None:
    result = invoke("run", write_notebook(WRITE), "-p", "limit")
    assert result.exit_code == 2 and "-p limit lacks its value; write -p limit VALUE" in result.stderr


def test_an_unknown_notebook_is_named(invoke: Invoke) -> None:
    result = invoke("run", "99_unknown.ipynb")
    assert result.exit_code == 2 and "there is no notebook 99_unknown.ipynb here" in result.stderr
    result = invoke("run", "folder/99_unknown.ipynb")
    assert result.exit_code == 2 and "folder/99_unknown.ipynb cannot be read" in result.stderr


def test_two_words_after_p_are_one_parameter_whatever_they_look_like() -> None:
    assert join_pairs(["n", "-p", "a", "-1", "--parameter", "b", "--json", "-p", "c=d"]) == [
        *("n", "-p", "a=-1"),
        *("--parameter", "b=--json"),
        *("-p", "c=d"),
    ]
    assert join_pairs(["-p", "a", "x=y", "-p", "b", ""]) == ["-p", "a=x=y", "-p", "b="]
    with pytest.raises(typer.BadParameter, match="-p lacks its value; write -p KEY VALUE"):
        join_pairs(["-p"])
