"""`seqgpt-lab extract`: what goes in, what comes out, and what is said about input that cannot be used."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import openpyxl
import pytest

from seqgpt_lab import Engine, Extractor, LabelSet, load_documents
from seqgpt_lab.apps.progress import ShownProgress
from tests.apps.conftest import Invoke, ScriptedEngine

TEXT = "张伟，35岁，现任上海云智科技有限公司工程师"
WORDS = ("extract", "--labels", "姓名,年龄,公司", "--json")


def lines(output: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in output.splitlines()]


def test_one_text_on_standard_input_gives_the_article_s_json_with_offsets(invoke: Invoke, scripted: ScriptedEngine) -> None:
    result = invoke("extract", "--labels", "姓名，年龄,电话", "--json", stdin=f"{TEXT}\n")
    assert (result.exit_code, result.stderr) == (0, "")
    record = lines(result.stdout)[0]
    assert list(record) == ["id", "values", "spans", "problems"]
    assert record["id"] == "stdin" and record["problems"] == []
    assert json.dumps(record["values"], ensure_ascii=False) == '{"姓名": "张伟", "年龄": "35", "电话": null}'
    spans = record["spans"]
    assert isinstance(spans, dict) and [list(spans), spans["电话"]] == [["姓名", "年龄", "电话"], []]
    assert spans["年龄"][0].pop("confidence") == pytest.approx(0.99**3)
    assert spans["年龄"] == [{"text": "35", "start": 3, "end": 5, "match": "exact"}]


def test_it_gives_what_the_library_gives(invoke: Invoke, random_model: Path) -> None:
    texts = ["张伟，35岁", "[GEN] </s> 输出: 李娜 😀 𠮷", "", "王五\x00\n28"]
    Path("in.jsonl").write_text("".join(json.dumps({"id": f"d{at}", "text": text}) + "\n" for at, text in enumerate(texts)))
    words = ("--label-set", "set.yaml", "--model", random_model, "--dtype", "fp32", "--max-new-tokens", "8", "--json")
    Path("set.yaml").write_text("fields: [{field: 姓名, phrase: 人名}, 年龄]", encoding="utf-8")
    result = invoke("extract", "in.jsonl", *words)
    assert result.exit_code == 0
    with Engine.load(random_model, dtype="fp32") as engine:
        expected = Extractor(engine, max_new_tokens=8).extract(load_documents("in.jsonl"), LabelSet.load("set.yaml"))
    assert lines(result.stdout) == [one.to_record() for one in expected]


def test_grounded_values_are_parts_of_the_text(invoke: Invoke, random_model: Path) -> None:
    words = ("extract", "--labels", "姓名,年龄", "--model", random_model, "--dtype", "fp32", "--max-new-tokens", "40", "--json")
    free, held = (lines(invoke(*words, *more, stdin="张伟，35岁").stdout)[0] for more in ((), ("--grounded",)))
    assert free["values"] != held["values"]
    spans = held["spans"]
    assert isinstance(spans, dict) and all(span["text"] in "张伟，35岁" for found in spans.values() for span in found)


def test_a_long_text_shows_how_far_it_is(invoke: Invoke, scripted: ScriptedEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.apps.commands.extract.ShownProgress", partial(ShownProgress, every=0))
    shown = invoke(*WORDS, stdin="会议讨论了流程优化和成本控制的若干问题，" * 100).stderr.splitlines()
    assert [re.findall(r" (\d+%).*\| ([\d.]+/1) ", line) for line in shown[:3]] == [
        [("33%", "0.33/1")],
        [("66%", "0.66/1")],
        [("100%", "1/1")],
    ]


def test_documents_keep_their_order_and_come_out_a_batch_at_a_time(invoke: Invoke, scripted: ScriptedEngine) -> None:
    rows = [{"id": f"d{number}", "text": "张伟" * (9 - number)} for number in range(5)]
    Path("in.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = invoke(*WORDS, "in.jsonl", "--batch-size", "2")
    assert [record["id"] for record in lines(result.stdout)] == ["d0", "d1", "d2", "d3", "d4"]
    assert scripted.batches == [2, 2, 1]
    assert scripted.loaded[0][1]["batch_size"] == 2


def test_options_reach_the_engine(invoke: Invoke, scripted: ScriptedEngine) -> None:
    invoke(
        *WORDS,
        "--model",
        "m",
        "--dtype",
        "bf16",
        "--device",
        "cpu",
        "--attention",
        "sdpa",
        *("--tensor-parallel", "2", "--replicas", "3"),
        *("--batch-size", "5", "--token-budget", "777"),
        stdin=TEXT,
    )
    options = {"dtype": "bf16", "device": "cpu", "attention": "sdpa"}
    assert scripted.loaded == [("m", {**options, "batch_size": 5, "token_budget": 777, "tensor_parallel": 2, "replicas": 3})]


def test_a_text_file_is_one_document(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("cv.txt").write_text("姓名：李娜\n年龄：28\n", encoding="utf-8")
    record = lines(invoke(*WORDS, "cv.txt").stdout)[0]
    assert (record["id"], record["values"]) == ("cv", {"姓名": "李娜", "年龄": "28", "公司": None})


@pytest.mark.parametrize("words", [(), ("-",)])
def test_standard_input_without_json_is_one_plain_text(invoke: Invoke, scripted: ScriptedEngine, words: tuple[str, ...]) -> None:
    result = invoke(*WORDS, *words, stdin=f"\ufeff姓名：李娜\n\n年龄：28\n{TEXT}\n".encode())
    records = lines(result.stdout)
    assert len(records) == 1 and records[0]["values"] == {"姓名": ["张伟", "李娜"], "年龄": ["35", "28"], "公司": "上海云智科技有限公司"}


@pytest.mark.parametrize(("before", "end", "kept"), [("", "", 200), ("\ufeff", "\n", 200), ("", "\r\n", 200), ("", "\n\n", 201)])
def test_byte_order_mark_and_last_newline_of_standard_input_are_no_text(
    invoke: Invoke, scripted: ScriptedEngine, before: str, end: str, kept: int
) -> None:
    result = invoke(*WORDS, "--max-length", "100", stdin=(before + "张" * 200 + end).encode())
    assert f"the text of {kept} characters was read in" in result.stdout


def test_standard_input_with_json_documents_is_read_line_by_line(invoke: Invoke, scripted: ScriptedEngine) -> None:
    result = invoke(*WORDS, stdin='\n{"text": "张伟"}\n{"id": 7, "text": "28"}\n')
    assert [(record["id"], record["values"]) for record in lines(result.stdout)] == [
        ("line-2", {"姓名": "张伟", "年龄": None, "公司": None}),
        ("7", {"姓名": None, "年龄": "28", "公司": None}),
    ]


def test_standard_input_that_only_looks_like_json_is_read_as_text_and_says_so(invoke: Invoke, scripted: ScriptedEngine) -> None:
    result = invoke(*WORDS, stdin='{"txet": "张伟"}\n')
    assert len(lines(result.stdout)) == 1
    assert 'no object in it has a "text"' in result.stderr


SPAN = {"id": 9, "label": "姓名", "start_offset": 0, "end_offset": 2}
DOCCANO = [{"id": 1, "text": "无", "entities": [], "relations": []}, {"id": 2, "text": "张伟", "entities": [SPAN], "relations": []}]
TASKS = [{"id": 1, "data": {"text": "28"}, "annotations": []}, {"id": 2, "data": {"text": "张伟"}, "annotations": []}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.json", json.dumps([{"text": "张伟"}, {"text": "28"}], indent=1)),
        ("in.json", json.dumps(TASKS)),
        ("in.jsonl", "\n".join(map(json.dumps, DOCCANO))),
        ("in.jsonl", "\n".join(map(json.dumps, TASKS))),
        ("in.json", json.dumps({"text": "张伟"}, indent=1) + "\n" + json.dumps({"text": "28"}, indent=1)),
        ("in.csv", 'id,text,\r\n1,"张伟，\r\n好"\r\n\r\n2,28,\r\n'),
        ("in.tsv", "内容\t编号\n张伟, 好\t1\n28\t2\n"),
        ("in.csv", "id,text,,\n1,张伟,,,\n2,28\n"),
    ],
)
def test_documents_of_other_programs_are_the_same_from_a_file_and_from_standard_input(
    invoke: Invoke, scripted: ScriptedEngine, name: str, content: str
) -> None:
    Path(name).write_text(content, encoding="utf-8")
    from_file, from_stdin = invoke(*WORDS, name), invoke(*WORDS, "-", stdin=content)
    assert (from_stdin.exit_code, from_stdin.stdout, from_stdin.stderr) == (0, from_file.stdout, from_file.stderr)
    assert len(lines(from_stdin.stdout)) == 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("text\n张伟\n", False),
        ("context, please\n张伟,35\n", False),
        ("text,text\n张伟,35\n", False),
        ("text,id", True),
        ("id,text\n张伟，35岁\n", True),
        ('id\ttext\n1\t"张伟"好\n2\t好\n', True),
    ],
)
def test_commas_alone_make_no_table_and_a_head_alone_is_told(invoke: Invoke, scripted: ScriptedEngine, text: str, told: bool) -> None:
    result = invoke(*WORDS, stdin=text)
    assert [record["id"] for record in lines(result.stdout)] == ["stdin"]
    assert ("begins like a table" in result.stderr) == told


def test_a_note_about_a_file_costs_no_exit_code(invoke: Invoke, scripted: ScriptedEngine) -> None:
    workbook = openpyxl.Workbook()
    for rows in (workbook.active, workbook.create_sheet("二月")):
        rows.append(["text"])
        rows.append(["张伟"])
    workbook.save("in.xlsx")
    result = invoke(*WORDS, "in.xlsx")
    assert result.exit_code == 0 and len(lines(result.stdout)) == 1
    assert "note: in.xlsx: only the first sheet is read; the others that hold something are ⟪二月⟫" in result.stderr


@pytest.mark.parametrize(("text", "told"), [("[图片]张伟\n[1, 2]", False), ("[1]", False), ('[{"text": "张伟"}', True)])
def test_brackets_alone_make_no_json(invoke: Invoke, scripted: ScriptedEngine, text: str, told: bool) -> None:
    result = invoke(*WORDS, stdin=text)
    assert [record["id"] for record in lines(result.stdout)] == ["stdin"]
    assert ("begins like JSON" in result.stderr) == told


@pytest.mark.parametrize("source", ["in.jsonl", "-"])
def test_bad_lines_are_named_and_the_others_used(invoke: Invoke, scripted: ScriptedEngine, source: str) -> None:
    wrong = {"text": TEXT, "entities": [{"label": "姓名", "start": 1, "end": 3, "text": "张伟"}]}
    content = "\n".join(["not JSON", '{"text": "张伟"}', json.dumps(wrong), '{"text": "28"}']).encode() + b'\n{"text": "\xff"}'
    Path("in.jsonl").write_bytes(content)
    result = invoke(*WORDS, source, stdin=content)
    assert result.exit_code == 1
    assert [record["id"] for record in lines(result.stdout)] == ["line-2", "line-4"]
    named = [line for line in result.stderr.splitlines() if "line " in line]
    assert [line.split("line ")[1][:2] for line in named] == ["1:", "3:", "5:"]
    assert "⟪张伟⟫" in named[1] and "⟪伟，⟫" in named[1]
    assert "3 of 5 lines hold no usable document; the other 2 are used" in result.stderr


def test_a_file_of_bad_lines_only_exits_with_1_and_one_without_lines_says_so(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("bad.jsonl").write_text("[]\n")
    Path("empty.jsonl").write_text("")
    bad, empty = invoke(*WORDS, "bad.jsonl"), invoke(*WORDS, "empty.jsonl")
    assert (bad.exit_code, bad.stdout) == (1, "") and "line 1" in bad.stderr
    assert (empty.exit_code, empty.stdout) == (0, "") and "empty.jsonl holds no documents" in empty.stderr
    assert scripted.loaded == []


def test_empty_standard_input_is_an_empty_text(invoke: Invoke, scripted: ScriptedEngine) -> None:
    record = lines(invoke(*WORDS, stdin="").stdout)[0]
    assert record["values"] == {"姓名": None, "年龄": None, "公司": None}
    assert record["problems"] == ["empty: the text is empty, nothing was asked"]


def test_for_people_there_is_a_line_a_value(invoke: Invoke, scripted: ScriptedEngine) -> None:
    result = invoke("extract", "--labels", "姓名", "--labels", "手机号码,年龄", stdin=TEXT)
    assert result.stdout.splitlines()[:3] == ["stdin", "  姓名      张伟  [0, 2)  0.97", "  手机号码  -"]
    assert result.exit_code == 0


def test_half_characters_and_control_characters_are_written_as_escapes(invoke: Invoke, scripted: ScriptedEngine) -> None:
    Path("in.jsonl").write_text(
        '{"id": "\\ud800\\u001b[31m", "text": "张伟\\udc00"}\n{"id": "\\u2028", "text": "李娜"}\n', encoding="utf-8"
    )
    as_json, for_people = invoke(*WORDS, "in.jsonl"), invoke(*WORDS[:-1], "in.jsonl")
    assert as_json.exit_code == for_people.exit_code == 0
    assert [record["id"] for record in lines(as_json.stdout)] == ["\ud800\x1b[31m", "\u2028"]
    assert '{"id": "\\ud800\\u001b[31m"' in as_json.stdout
    assert for_people.stdout.startswith("\\ud800\\x1b[31m\n")


def test_classification(invoke: Invoke, scripted: ScriptedEngine) -> None:
    result = invoke(*WORDS, "--classify", stdin="张伟，35岁")
    record = lines(result.stdout)[0]
    assert list(record) == ["id", "labels", "confidence", "problems"]
    assert (record["labels"], record["problems"]) == (["姓名", "年龄"], [])
    assert invoke(*WORDS[:-1], "--classify", stdin="张伟，35岁").stdout.splitlines()[1].startswith("  姓名、年龄  0.")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "no labels were given"),
        (("--labels", ""), "no labels were given"),
        (("--labels", "姓名，年龄,姓名"), "姓名 are given twice"),
        (("--labels", "a\tb"), "a tab"),
        (("--labels", "姓名", "--label-set", "set.yaml"), "give one of them"),
        (("--label-set", "none.yaml"), "none.yaml cannot be read"),
        (("--label-set", "broken.yaml"), "broken.yaml"),
    ],
)
def test_labels_that_cannot_be_asked(invoke: Invoke, scripted: ScriptedEngine, words: tuple[str, ...], message: str) -> None:
    Path("broken.yaml").write_text("fields: {")
    result = invoke("extract", *words, stdin=TEXT)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ") and message in result.stderr
    assert scripted.loaded == []


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("-", "张伟".encode("gb18030"), "not UTF-8: byte 0xd5 at position 0; convert it (from GBK: iconv"),
        ("-", '{"text": "张伟"}'.encode("utf-16"), "not UTF-8: byte 0xff at position 0; convert it (from UTF-16: iconv"),
        ("a.txt", b"\xff", "not UTF-8"),
        ("a.pdf", b"text", "cannot read .pdf; wanted .jsonl"),
    ],
)
def test_input_that_cannot_be_read(invoke: Invoke, scripted: ScriptedEngine, name: str, content: bytes, message: str) -> None:
    Path("a.txt").write_bytes(content)
    result = invoke(*WORDS, name, stdin=content)
    assert result.exit_code == 2 and message in result.stderr and result.stdout == ""
