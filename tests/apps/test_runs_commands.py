"""`seqgpt-lab gate`, `suite`, `schedule`, `site`, `collect`: what they print and how they exit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.evaluation.evaluate import Evaluation
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.outcome_file import write_outcomes
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.files import write_json
from seqgpt_lab.reports import suite_runner
from seqgpt_lab.reports.runs import Failure, Run, finish_run, start_run, write_run
from tests.apps.conftest import Invoke
from tests.apps.test_run import write_notebook


def evaluated(wrong: int) -> Run:
    """A run on 40 documents, in so many of which the name was read as the word after it, and on one of another kind."""
    run = start_run("runs", Path("06_evaluation.ipynb"), "0" * 64, {"limit": 3})
    documents = tuple(Document(f"d{number}", f"谢翠{number}在云智", (Entity("姓名", 0, 2, "谢翠"),)) for number in range(40))
    places = [(2, 3) if number < wrong else (0, 2) for number in range(40)]
    extractions = tuple(
        Extraction(one.id, one.text, (Field("姓名", (Span(one.text[slice(*place)], *place),)),))
        for one, place in zip(documents, places, strict=True)
    )
    scores = Scores.from_pairs(list(zip(documents, extractions, strict=True)), ("姓名",))
    resumes, letter = (Evaluation(scores, extractions[:count], (), documents[:count]) for count in (40, 1))
    write_outcomes(run.folder / "outcomes.jsonl", {"resume": resumes, "letter": letter})
    write_json(run.folder / "metrics.json", {"overall": {"f1": scores.strict.micro.f1}})
    write_json(run.folder / "personal.json", {"姓名": ["谢翠"]})
    return write_run(finish_run(run, "completed", None, 1.0))


def test_the_gate_exits_with_1_on_a_regression_and_masks_what_it_shows(invoke: Invoke) -> None:
    good, bad = evaluated(wrong=1), evaluated(wrong=15)
    result = invoke("gate", "--baseline", good.id, "--documents", "2")
    assert result.exit_code == 1 and result.stdout.startswith("REGRESSION\n")
    assert "resume · 姓名: " in result.stdout and "14 documents were right in it and are not any more:" in result.stdout
    assert "  d1: [姓名 1]1在云智\n    should be [姓名 1]; baseline [姓名 1]; now 1" in result.stdout and "谢翠" not in result.stdout
    assert "… and 12 more" in result.stdout
    assert "not compared field by field, for they have one document each: letter" in result.stdout
    assert "谢翠1在云智" in invoke("gate", bad.id, "--baseline", good.id, "--unmasked").stdout
    passed = invoke("gate", good.id, "--baseline", bad.id, "--json")
    assert passed.exit_code == 0 and json.loads(passed.stdout)["regression"] is False


def test_the_gate_masks_documents_and_neither_numbers_fields_nor_runs(invoke: Invoke) -> None:
    """Values that are also a count, a field's name, a run or a word of the output."""
    good, bad = evaluated(wrong=1), evaluated(wrong=15)
    write_json(bad.folder / "personal.json", {"年龄": ["40", "41", "14", "0", "15", "resume", "名", good.id, "documents", "run"]})
    told = invoke("gate", bad.id, "--baseline", good.id)
    assert "on 40 documents" in told.stdout and "14 documents were right in it" in told.stdout and "[年龄 1] · 姓名: " in told.stdout
    assert f"than {good.id!r}" in told.stdout and "谢翠" not in told.stdout and "resume" not in told.stdout
    found = json.loads(invoke("gate", bad.id, "--baseline", good.id, "--json").stdout)
    assert found["baseline"] == good.id and (found["overall"]["documents"], len(found["changes"])) == (41, 14)
    assert found["named"] == [["[年龄 1]", "姓名"]] and set(found["changes"][0]["gold"]) == {"[姓名 1]"}
    assert "谢翠" not in str(found) and found["changes"][0]["text"] == "[姓名 1]1在云智"


@pytest.mark.parametrize(
    ("words", "message"),
    [((), "--baseline is missing"), (("--baseline", "x"), "there is no one run 'x'"), (("--baseline", "20", "--alpha", "2"), "alpha = 2")],
)
def test_a_gate_that_cannot_judge_exits_with_2(invoke: Invoke, words: tuple[str, ...], message: str) -> None:
    Path("runs").mkdir()
    if "20" in words:
        evaluated(0)
        words = ("20", *words)
    result = invoke("gate", *words)
    assert (result.exit_code, result.stdout) == (2, "") and message in result.stderr


def test_a_suite_lists_its_runs_and_is_scheduled(invoke: Invoke) -> None:
    write_notebook("1 / (3 - limit)")
    Path("nightly.yaml").write_text("schedule: daily 02:30\nparts:\n- notebook: toy.ipynb\n  grid: {limit: [1, 3]}\n")
    before = invoke("schedule", "nightly.yaml", "--manager", "cron", "--output", "units")
    assert "schedule daily 02:30, next " in before.stdout and "last     never" in before.stdout
    assert sorted(path.name for path in Path("units").iterdir()) == ["crontab", "seqgpt-lab-nightly.service", "seqgpt-lab-nightly.timer"]
    result = invoke("suite", "nightly.yaml")
    first, second = result.stdout.splitlines()
    assert result.exit_code == 1 and first.startswith("completed") and second.startswith("failed") and "division by zero" in second
    assert "part 2 of 2: toy.ipynb limit=3" in result.stderr
    assert ", 2 parts: 1 completed, 1 failed\n" in invoke("schedule", "nightly.yaml", "--manager", "cron").stdout
    killed = Path(shutil.copytree(first.split()[1], "runs/20200101-000000-000-abcdef"), "run.json")  # the first try of that part
    killed.write_text(json.dumps(json.loads(killed.read_text(encoding="utf-8")) | {"id": killed.parent.name, "status": "killed"}))
    assert ", 2 parts: 1 completed, 1 failed\n" in invoke("schedule", "nightly.yaml", "--manager", "cron").stdout
    assert invoke("suite", "nightly.yaml", "--if-due", "daily 00:00").stdout == ""
    assert invoke("suite", "nightly.yaml", "--if-due", "noon").exit_code == 2


def test_a_suite_that_is_interrupted_exits_as_a_command_that_is(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(notebook: str, parameters: dict[str, Any], runs_dir: Path, **options: Any) -> Run:
        run = start_run(runs_dir, Path(notebook), "0" * 64, parameters, origin=options["origin"])
        return write_run(finish_run(run, "interrupted", Failure("interrupt", "the run was interrupted (SIGTERM)"), 1.0))

    monkeypatch.setattr(suite_runner, "run_notebook", interrupted)
    write_notebook("1")
    Path("nightly.yaml").write_text("parts:\n- notebook: toy.ipynb\n")
    result = invoke("suite", "nightly.yaml")
    assert (result.exit_code, result.stdout) == (130, "")
    assert "the suite nightly was interrupted at toy.ipynb; call it again to go on from there" in result.stderr


@pytest.mark.parametrize("words", [("--install", "--remove"), ("--install", "--output", "units"), ("--remove", "--output", "units")])
def test_a_schedule_is_put_in_one_place_or_taken_out(invoke: Invoke, words: tuple[str, ...]) -> None:
    write_notebook("1")
    Path("nightly.yaml").write_text("schedule: daily 02:30\nparts:\n- notebook: toy.ipynb\n")
    result = invoke("schedule", "nightly.yaml", "--manager", "cron", *words)
    assert (result.exit_code, result.stdout) == (2, "") and f"{words[0]} and {words[1]} are given together" in result.stderr
    assert not Path("units").exists()


def test_runs_become_a_site_and_a_table(invoke: Invoke) -> None:
    run = evaluated(wrong=0)
    assert Path(invoke("site").stdout.removesuffix("\n")) == Path("site/index.html") and Path("site/index.html").is_file()
    assert run.id in invoke("collect").stdout and "F1 1.000" in invoke("collect").stdout
    assert invoke("collect", "--output", "runs.csv").stdout == "runs.csv\n" and run.id in Path("runs.csv").read_text(encoding="utf-8-sig")
    assert invoke("collect", "--output", "runs.txt").exit_code == 2


@pytest.mark.parametrize(
    "words", [("collect",), ("collect", "--output", "made.csv"), ("site", "--output", "made"), ("gate", "--baseline", "x")]
)
def test_a_folder_of_runs_that_is_not_there_is_named(invoke: Invoke, words: tuple[str, ...]) -> None:
    result = invoke(*words, "--runs-dir", "nope")
    assert (result.exit_code, result.stdout) == (2, "") and "there is no folder of runs nope" in result.stderr
    assert not list(Path().glob("made*"))
