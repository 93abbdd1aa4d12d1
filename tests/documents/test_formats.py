"""What people see when they load and save documents: good lines kept, bad lines named."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents import Document, Entity, load_documents, read_jsonl, write_jsonl
from seqgpt_lab.errors import DocumentError

TEXT = "张伟，35岁"
GOOD = json.dumps(
    {"id": "a", "text": TEXT, "entities": [{"label": "姓名", "start": 0, "end": 2, "text": "张伟"}], "meta": {"kind": "简历"}}
)
SPLIT_PAIR = "\ud83d" + "\ude00"


def entity_line(**changes: object) -> str:
    entity: dict[str, object] = {"label": "姓名", "start": 0, "end": 2, "text": "张伟"} | changes
    return json.dumps({"text": TEXT, "entities": [entity]})


def problems_of(*lines: str) -> list[str]:
    return [str(problem) for problem in read_jsonl(io.StringIO("\n".join(lines))).problems]


def test_reads_a_line_with_everything_in_it() -> None:
    reading = read_jsonl(io.StringIO(GOOD))
    assert reading.documents == (Document("a", TEXT, (Entity("姓名", 0, 2, "张伟"),), {"kind": "简历"}),)
    assert reading.problems == ()


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{oops", ["not JSON"]),
        ("[1]", ["⟪[1]⟫ (list)", "an object"]),
        ("null", ["None", "an object"]),
        ('{"id": "x"}', ["'text'", "missing"]),
        ('{"text": null}', ["'text'", "None", "a string"]),
        ('{"text": 5}', ["'text'", "⟪5⟫ (int)", "a string"]),
        ('{"id": true, "text": "x"}', ["'id'", "True"]),
        ('{"id": "", "text": "x"}', ["'id'", "not empty"]),
        ('{"text": "x", "meta": []}', ["'meta'", "an object"]),
        ('{"text": "x", "meta": 0}', ["'meta'", "⟪0⟫ (int)"]),
        ('{"text": "x", "entities": {}}', ["'entities'", "a list"]),
        ('{"text": "x", "entities": ""}', ["'entities'", "a list"]),
        ('{"text": "x", "entities": [7]}', ["entities[0]", "⟪7⟫ (int)"]),
        ('{"text": "x", "entites": []}', ["unknown key ⟪entites⟫", "entities"]),
        ('{"text": "x", "text": "y"}', ["⟪text⟫ occurs twice"]),
        ('{"text": "x", "meta": {"score": NaN}}', ["NaN"]),
        ("[" * 100_000, ["not JSON"]),
        (entity_line(start="0"), ["'start' of entities[0]", "⟪0⟫ (str)", "an integer"]),
        (entity_line(start=True), ["'start' of entities[0]", "⟪True⟫ (bool)"]),
        (entity_line(end=2.0), ["'end' of entities[0]", "⟪2.0⟫ (float)"]),
        (entity_line(label=None), ["'label' of entities[0]", "a string"]),
        (entity_line(label=""), ["'label' of entities[0]", "empty"]),
        (entity_line(text="", end=0), ["'text' of entities[0]", "empty"]),
        (entity_line(extra=1), ["unknown key ⟪extra⟫"]),
        (entity_line(start=1, end=3), ["says ⟪张伟⟫", "reads ⟪伟，⟫"]),
        (entity_line(start=-5, end=-3), ["says ⟪张伟⟫", "reads ⟪⟫"]),
        (entity_line(end=99), ["says ⟪张伟⟫", "reads ⟪张伟，35岁⟫"]),
    ],
)
def test_a_bad_line_is_named_and_its_neighbours_are_kept(line: str, named: list[str]) -> None:
    reading = read_jsonl(io.StringIO(f"{GOOD}\n{line}\n" + '{"text": "后"}\n'))
    assert [document.id for document in reading.documents] == ["a", "line-3"]
    (problem,) = reading.problems
    assert problem.line == 2 and str(problem).startswith("line 2: ")
    assert all(part in problem.message for part in named), problem.message


def test_a_repeated_id_keeps_the_first_and_names_both_lines() -> None:
    (message,) = problems_of(GOOD, '{"text": "x"}', GOOD)
    assert message.startswith("line 3: ") and "⟪a⟫" in message and "line 1" in message
    (message,) = problems_of('{"id": 7, "text": "x"}', '{"id": "7", "text": "y"}')
    assert "⟪7⟫" in message


def test_an_id_on_a_bad_line_is_still_free() -> None:
    assert [message[:7] for message in problems_of('{"id": "a"}', GOOD)] == ["line 1:"]


def test_byte_order_mark_blank_lines_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n\r\n   \n" + '{"text": "第四行"}'.encode())
    assert [(document.id, document.text) for document in load_documents(path)] == [("a", TEXT), ("line-4", "第四行")]


def test_null_and_missing_keys_are_the_same() -> None:
    assert read_jsonl(io.StringIO('{"id": null, "text": "x", "entities": null, "meta": null}')) == read_jsonl(io.StringIO('{"text": "x"}'))


def test_a_line_in_another_encoding_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(GOOD.encode() + b"\n" + '{"text": "姓名"}'.encode("gb18030") + b"\n" + b'{"text": "x"}\n')
    reading = read_jsonl(path)
    assert [document.id for document in reading.documents] == ["a", "line-3"]
    assert "not UTF-8: byte 0xd0 at position 10;" in str(reading.problems[0]) and "iconv" in str(reading.problems[0])


def test_a_text_stream_that_cannot_be_decoded_says_how_to_open_it() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b'{"text": "\xff"}'), encoding="utf-8")
    with pytest.raises(DocumentError, match="binary mode"):
        read_jsonl(stream)


def test_separators_that_some_readers_take_for_line_ends_stay_inside_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    document = Document("a", "一\u2028二\u2029三\x85四\x0b五\x1c六\n七\r八")
    write_jsonl(path, [document])
    assert load_documents(path) == [document]
    assert len(path.read_text("utf-8").splitlines()) == 1


def test_loading_strictly_lists_every_problem_and_leniently_warns_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n{{\n[]\n", encoding="utf-8")
    with pytest.raises(DocumentError, match=r"(?s)2 of 3 lines.*line 2: .*line 3: .*strict=False"):
        load_documents(path)
    with pytest.warns(UserWarning, match=r"(?s)2 of 3 lines.*line 2: .*line 3: "):
        assert [document.id for document in load_documents(path, strict=False)] == ["a"]


def test_a_long_list_of_problems_says_how_many_it_leaves_out(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("{}x\n" * 50, encoding="utf-8")
    with pytest.raises(DocumentError, match=r"50 of 50 lines[\s\S]*\n  line 20: .*\n  … and 30 more"):
        load_documents(path)
    path.write_text("{}x\n" * 20, encoding="utf-8")
    with pytest.raises(DocumentError, match=r"20 of 20 lines[\s\S]*\n  line 20: .*\nMend these"):
        load_documents(path)


@pytest.mark.parametrize("name", ["missing.jsonl", "missing.txt", "folder.jsonl", "folder.txt", "a.pdf", "bare"])
def test_files_that_cannot_be_read_are_named(tmp_path: Path, name: str) -> None:
    if name.startswith("folder"):
        (tmp_path / name).mkdir()
    with pytest.raises(DocumentError, match=name):
        load_documents(tmp_path / name)


@pytest.mark.parametrize(("end", "kept"), [(b"", ""), (b"\n", ""), (b"\r\n", ""), (b"\n\n", "\n")])
def test_a_text_file_is_one_document_without_its_last_line_end(tmp_path: Path, end: bytes, kept: str) -> None:
    path = tmp_path / "合同.txt"
    path.write_bytes(b"\xef\xbb\xbf" + "第一行\r\n第二行".encode() + end)
    assert load_documents(path) == [Document("合同", "第一行\r\n第二行" + kept)]


@pytest.mark.parametrize(
    ("name", "encoding", "told"),
    [
        ("a.txt", "gb18030", "from GBK: iconv -f GB18030"),
        ("a.txt", "utf-16-be", "from UTF-16: iconv -f UTF-16"),
        *((f"a.{ending}", "utf-16", "from UTF-16: iconv -f UTF-16") for ending in ("txt", "csv", "bio", "jsonl", "json")),
    ],
)
def test_a_file_in_another_encoding_says_once_how_to_convert_it(tmp_path: Path, name: str, encoding: str, told: str) -> None:
    path = tmp_path / name
    mark = "\ufeff" if encoding == "utf-16-be" else ""  # which Python itself writes for utf-16
    path.write_bytes(f'{mark}{{"text": "姓名"}}\n{{"text": "上海"}}\n'.encode(encoding))
    with pytest.raises(DocumentError, match=rf"{name}: not UTF-8: byte 0x.. at position \d+; save the file as UTF-8 \({told} -t UTF-8\)$"):
        load_documents(path)


@pytest.mark.parametrize("layout", ['[{"text": "姓名"}]', '{\n"text": "姓名"\n}\n'])
def test_json_of_several_lines_in_another_encoding_is_no_matter_of_one_place(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(layout.encode("gb18030"))
    with pytest.raises(DocumentError, match=r"a\.json: not UTF-8: byte 0x.. at position \d+; save the file as UTF-8 \(from GBK: [^;]*$"):
        load_documents(path)


def any_text() -> st.SearchStrategy[str]:
    """Any text, NUL and lone surrogates included, but no high surrogate right before a low one."""
    return st.text(st.characters(categories=None), max_size=30).filter(
        lambda text: not any("\ud800" <= a <= "\udbff" and "\udc00" <= b <= "\udfff" for a, b in pairwise(text))
    )


@st.composite
def documents(draw: st.DrawFn) -> list[Document]:
    made = []
    for identifier in draw(st.lists(any_text().filter(bool), max_size=4, unique=True)):
        text = draw(any_text())
        gold = []
        for start in draw(st.lists(st.integers(0, len(text) - 1), max_size=3)) if text else []:
            end = draw(st.integers(start + 1, len(text)))
            gold.append(Entity(draw(any_text().filter(bool)), start, end, text[start:end]))
        made.append(Document(identifier, text, tuple(gold), {"note": draw(any_text()), "list": [1, None, 0.5, {"深": True}]}))
    return made


@given(documents())
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, written: list[Document]) -> None:
    path = tmp_path_factory.mktemp("round") / "a.jsonl"
    write_jsonl(path, written)
    assert load_documents(path) == written


def test_chinese_stays_readable_in_the_file(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [Document("a", "姓名：张伟 \ud800")])
    assert "姓名：张伟 \\ud800" in (tmp_path / "a.jsonl").read_text("utf-8")


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ([Document("a", "x"), Document("a", "y")], "⟪a⟫ was already used"),
        ([Document("", "x")], "'id'"),
        ([Document("a", SPLIT_PAIR)], "surrogate"),
        ([Document("a", "x", (Entity("空", 0, 0, ""),))], "empty"),
        ([Document("a", "x", meta={"when": object()})], "meta"),
        ([Document("a", "x", meta={"score": float("nan")})], "meta"),
    ],
)
def test_what_could_not_be_read_back_is_refused_and_the_old_file_stays(tmp_path: Path, bad: list[Document], named: str) -> None:
    path = tmp_path / "a.jsonl"
    write_jsonl(path, [Document("old", "x")])
    with pytest.raises(DocumentError, match=named):
        write_jsonl(path, bad)
    assert [document.id for document in load_documents(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    def interrupted() -> Iterator[Document]:
        yield Document("new", "x")
        raise KeyboardInterrupt

    path = tmp_path / "a.jsonl"
    write_jsonl(path, [Document("old", "x")])
    with pytest.raises(KeyboardInterrupt):
        write_jsonl(path, interrupted())
    assert [document.id for document in load_documents(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_disk_that_fails_at_the_last_moment_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "a.jsonl"
    write_jsonl(path, [Document("old", "x")])
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(DocumentError, match="No space left"):
        write_jsonl(path, [Document("new", "x")])
    assert [document.id for document in load_documents(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]


def test_writing_into_a_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match=r"cannot write .*folder"):
        write_jsonl(tmp_path / "no" / "a.jsonl", [])
