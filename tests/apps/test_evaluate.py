"""`seqgpt-lab evaluate`: the scores it prints and writes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from seqgpt_lab import Extractor, LabelSet, evaluate, load_documents
from seqgpt_lab.apps.exit_codes import CLOSED_PIPE
from tests.apps.conftest import Invoke, ScriptedEngine
from tests.apps.test_cli import SCRIPT

WORDS = ("evaluate", "data.jsonl", "--labels", "set.yaml")


def entity(label: str, start: int, end: int, text: str) -> dict[str, object]:
    return {"label": label, "start": start, "end": end, "text": text}


@pytest.fixture
def data(invoke: Invoke) -> list[str]:
    """Lines of labelled documents, of which the scripted engine reads all names and ages right but one; and their label set."""
    rows = [
        {"id": "a", "text": "张伟35", "entities": [entity("姓名", 0, 2, "张伟"), entity("年龄", 2, 4, "35")]},
        {"id": "b", "text": "王五28", "entities": [entity("姓名", 0, 2, "王五"), entity("年龄", 2, 4, "28"), entity("电话", 2, 4, "28")]},
    ]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    Path("data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    Path("set.yaml").write_text("fields: [姓名, 年龄]", encoding="utf-8")
    return lines


def test_json_holds_scores_and_mistakes(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    result = invoke(*WORDS, "--model", "m", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.count("\n") == 1
    record = json.loads(result.stdout)
    about = {"data": "data.jsonl", "labels": "set.yaml", "model": "m", "dtype": "float32", "device": "cpu"}
    assert {key: record[key] for key in about} == about
    expected = evaluate(Extractor(scripted), load_documents("data.jsonl"), LabelSet.load("set.yaml")).scores
    assert record["scores"] == expected.to_dict() and record["scores"]["strict"]["micro"]["recall"] == 0.75
    assert record["mistake_counts"] == {"missed": 1}
    assert record["mistakes"] == [{"id": "b", "kind": "missed", "label": "姓名", "gold": [entity("姓名", 0, 2, "王五")], "predicted": []}]
    assert record["unusable_lines"] == []


def test_the_file_holds_the_same_json(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    result = invoke(*WORDS, "--output", "scores.json", "--json")
    assert json.loads(Path("scores.json").read_text(encoding="utf-8")) == json.loads(result.stdout)
    assert sorted(path.name for path in Path().iterdir()) == ["data.jsonl", "scores.json", "set.yaml"]


def test_scores_are_in_one_place_when_the_other_fails(
    invoke: Invoke, scripted: ScriptedEngine, data: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = invoke(*WORDS, "--output", "/dev/full", "--json")
    assert result.exit_code == 2 and "No space left" in result.stderr and json.loads(result.stdout)["scores"]["documents"] == 2

    def gone(_text: str) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("seqgpt_lab.apps.commands.evaluate.emit", gone)
    assert invoke(*WORDS, "--output", "scores.json").exit_code == CLOSED_PIPE
    assert json.loads(Path("scores.json").read_text(encoding="utf-8"))["scores"]["documents"] == 2


def test_for_people_there_are_totals_a_table_and_the_mistakes(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    output = invoke(*WORDS).stdout
    assert output.startswith("2 documents, 4 gold values, 3 answers\nstrict  precision 1.000  recall 0.750  F1 0.857")
    assert "exact records 1 of 2 (50.0%)" in output
    assert "姓名        2      1.000   0.500 0.667      0.667" in output
    assert "mistakes: 1 missed" in output and "1 电话" in output


def test_lines_on_standard_input_with_bad_ones_among_them(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    result = invoke("evaluate", "-", "--labels", "set.yaml", "--json", stdin="\n".join([data[0], "no", data[1]]))
    assert result.exit_code == 1
    assert "standard input: line 2: not JSON" in result.stderr
    record = json.loads(result.stdout)
    assert record["scores"]["documents"] == 2 and [problem["line"] for problem in record["unusable_lines"]] == [2]


def test_gold_of_another_program_on_standard_input(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    records = [{"text": "无", "label": []}, {"text": "王五", "label": [[0, 2, "姓名"]]}]
    result = invoke("evaluate", "-", "--labels", "set.yaml", "--json", stdin=json.dumps(records))
    assert result.exit_code == 0 and json.loads(result.stdout)["mistake_counts"] == {"missed": 1}


def test_a_table_on_standard_input_is_scored_with_its_columns_as_gold(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    table = "text,姓名,年龄\n张伟35,张伟,\n王五28,王五,\n"
    Path("in.csv").write_text(table, encoding="utf-8")
    results = [invoke("evaluate", source, "--labels", "set.yaml", "--json", stdin=table) for source in ("in.csv", "-")]
    from_file, from_stdin = [json.loads(result.stdout) for result in results]
    assert from_stdin["scores"] == from_file["scores"] and from_stdin["scores"]["documents"] == 2
    lacking = invoke("evaluate", "-", "--labels", "set.yaml", stdin="text,姓名\n张伟35,张伟\n")
    assert lacking.exit_code == 2 and "the input has no column of gold values for 年龄" in lacking.stderr


def test_utf_16_on_standard_input_is_told_once(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    for stdin in ("\n".join(data), "text,姓名,年龄\n王五28,王五,\n"):
        result = invoke("evaluate", "-", "--labels", "set.yaml", stdin=stdin.encode("utf-16"))
        assert result.exit_code == 2 and result.stderr.count("not UTF-8") == 1 and "from UTF-16: iconv -f UTF-16" in result.stderr


def test_a_first_row_that_is_broken_does_not_make_other_rows_of_a_table_json(
    invoke: Invoke, scripted: ScriptedEngine, data: list[str]
) -> None:
    for row in ('"张伟"35,张伟,', "张伟35,张伟"):
        result = invoke("evaluate", "-", "--labels", "set.yaml", "--json", stdin=f'text,姓名,年龄\n{row}\n"王五28",王五,\n')
        record = json.loads(result.stdout)
        assert result.exit_code == 1 and record["scores"]["documents"] == 1
        assert [problem["line"] for problem in record["unusable_lines"]] == [2]


def test_tasks_that_nobody_labelled_are_named_and_not_scored(invoke: Invoke, scripted: ScriptedEngine, data: list[str]) -> None:
    mark = {"type": "labels", "value": {"start": 0, "end": 2, "text": "李娜", "labels": ["姓名"]}}
    tasks = [
        {"data": {"text": "李娜"}, "annotations": [{"result": [mark]}]},
        {"data": {"text": "张伟35"}, "annotations": [{"result": [], "was_cancelled": True}]},
    ]
    Path("tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    for words, stdin in ((("tasks.json",), ""), (("-",), json.dumps(tasks))):
        result = invoke("evaluate", *words, "--labels", "set.yaml", "--json", stdin=stdin)
        assert result.exit_code == 1 and "line 1: record 2: nobody has labelled the task" in result.stderr
        record = json.loads(result.stdout)
        assert record["scores"]["documents"] == record["scores"]["values"] == 1 and record["mistakes"] == []
    asked = invoke("extract", "tasks.json", "--labels", "姓名", "--json")
    assert asked.exit_code == 0 and [json.loads(line)["values"]["姓名"] for line in asked.stdout.splitlines()] == ["李娜", "张伟"]


def test_what_is_read_is_never_what_is_written(invoke: Invoke, scripted: ScriptedEngine, data: list[str], random_model: Path) -> None:
    Path("link.jsonl").symlink_to("data.jsonl")
    Path("hard.jsonl").hardlink_to("data.jsonl")
    Path("model").mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        Path("model", name).write_bytes((random_model / name).read_bytes())
    kept = {path: path.read_bytes() for path in (*Path().iterdir(), *Path("model").iterdir()) if path.is_file()}
    for words, read in [
        (("--output", "data.jsonl"), "data.jsonl"),
        (("--output", "../" + Path.cwd().name + "/data.jsonl"), "data.jsonl"),
        (("--output", "link.jsonl"), "data.jsonl"),
        (("--output", "hard.jsonl"), "data.jsonl"),
        (("--output", "set.yaml"), "set.yaml"),
        (("--journal", "data.jsonl"), "data.jsonl"),
        (("--output", "new", "--journal", "new"), "new"),
        (("--model", "model", "--output", "model/config.json"), "model/config.json"),
    ]:
        result = invoke(*WORDS, *words)
        assert result.exit_code == 2 and f"would replace {read}, which this command needs itself" in result.stderr, words
    assert scripted.loaded == [] and {path: path.read_bytes() for path in kept} == kept and not Path("new").exists()
    assert invoke(*WORDS, "--model", "model", "--output", "model/scores.json").exit_code == 0


def test_a_file_that_is_standard_input_is_no_output(data: list[str]) -> None:
    with Path("data.jsonl").open("rb") as stream:
        words = ("evaluate", "-", "--labels", "set.yaml", "--output", "data.jsonl")
        result = subprocess.run([*SCRIPT, *words], stdin=stream, capture_output=True, check=False)
    assert result.returncode == 2 and b"would replace standard input" in result.stderr
    assert Path("data.jsonl").read_text(encoding="utf-8") == "\n".join(data)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("empty.jsonl", "--labels", "set.yaml"), "empty.jsonl holds no document to evaluate"),
        (("bare.jsonl", "--labels", "set.yaml"), "none of the 1 documents in bare.jsonl has gold, so nothing can be scored"),
        (("table.csv", "--labels", "set.yaml"), "table.csv has no column of gold values for 年龄; there are ⟪text, 姓名, 岁数⟫"),
        (("data.txt", "--labels", "set.yaml"), "a text file holds no labelled documents"),
        (("data.jsonl", "--labels", "none.yaml"), "none.yaml cannot be read"),
        (("data.jsonl", "--labels", "set.yaml", "--output", "none/scores.json"), "name a file in a folder that exists"),
        # Where not even root can make a file, though root's access is never denied.
        (("data.jsonl", "--labels", "set.yaml", "--output", "/proc/scores.json"), "no file can be made in its folder"),
    ],
)
def test_what_cannot_work_is_told_before_a_model_is_loaded(
    invoke: Invoke, scripted: ScriptedEngine, data: list[str], words: tuple[str, ...], message: str
) -> None:
    Path("empty.jsonl").touch()
    Path("bare.jsonl").write_text('{"text": "张伟35"}', encoding="utf-8")
    Path("table.csv").write_text("text,姓名,岁数\n张伟35,张伟,35\n", encoding="utf-8")
    result = invoke("evaluate", *words)
    assert (result.exit_code, result.stdout) == (2, "") and message in result.stderr
    assert scripted.loaded == []
