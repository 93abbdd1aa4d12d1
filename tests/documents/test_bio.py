"""BIO files: what tags mean, and that a bad one costs its document and no other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents.bio import read_bio
from seqgpt_lab.documents.document import Document, Entity
from tests.documents.files import problems, written


def test_bio_and_bioes_tags_become_spans(tmp_path: Path) -> None:
    lines = "-DOCSTART- O\n\n张\tB-姓名\n伟\tI-姓名\n，\tO\n李 B-姓名 \n娜 E-姓名\t\r\n京 S-城市\n\n\n3 B-年龄\n岁 B-年龄\n"
    first, second = read_bio(written(tmp_path / "a.bio", lines)).documents
    assert (first.id, first.text) == ("line-3", "张伟，李娜京")
    assert [(one.label, one.text, one.start) for one in first.gold] == [("姓名", "张伟", 0), ("姓名", "李娜", 3), ("城市", "京", 5)]
    assert [one.text for one in second.gold] == ["3", "岁"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_bio_lines_end_as_any_system_ends_them(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.bio"
    path.write_bytes(end.join(["张 B-姓名", "伟 I-姓名", "好 O", "", "\u2028 O", "天 O"]).encode())
    assert read_bio(path).documents == (
        Document("line-1", "张伟好", (Entity("姓名", 0, 2, "张伟"),)),
        Document("line-5", "\u2028天", ()),
    )


def test_bio_words_are_joined_as_asked(tmp_path: Path) -> None:
    path = written(tmp_path / "a.conll", "Ada NNP B-PER\nLovelace NNP I-PER\nwrote VBD O\n")
    (document,) = read_bio(path, joiner=" ").documents
    assert document.text == "Ada Lovelace wrote" and [one.text for one in document.gold] == ["Ada Lovelace"]


@pytest.mark.parametrize("between", ["\tI-人", " I-人"])
def test_a_line_with_a_tag_only_is_a_blank(tmp_path: Path, between: str) -> None:
    (document,) = read_bio(written(tmp_path / "a.bio", f"Ada B-人\n{between}\nLovelace I-人\n, O\n")).documents
    assert document.text == "Ada Lovelace," and document.gold == (Entity("人", 0, 12, "Ada Lovelace"),)


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ("EU rejects German call .", "EU rejects German call."),
        ("I am Élodie Żak", "I am Élodie Żak"),
        ("张 伟 用 iPhone 15 打 给 John Smith ， a@b.c", "张伟用iPhone 15打给John Smith，a@b.c"),
        ("A P P l e 股 价 1 3 8", "APPle股价138"),
        ("1 , 280 元", "1,280元"),
        ("Ａｂ Ｃｄ", "ＡｂＣｄ"),
    ],
)
def test_words_of_letters_stand_apart_unasked_and_a_note_says_so(tmp_path: Path, tokens: str, text: str) -> None:
    lines = "\n".join(f"{token}\tB-x" for token in tokens.split())
    reading = read_bio(written(tmp_path / "a.conll", lines))
    (document,) = reading.documents
    assert document.text == text and [one.text for one in document.gold] == tokens.split()
    assert len(reading.notes) == (" " in text) and all("where blanks were" in note for note in reading.notes)
    assert read_bio(tmp_path / "a.conll", joiner="").documents[0].text == tokens.replace(" ", "")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("张 B-姓名\n伟 I-年龄\n", "line 2: the tag I-年龄 goes on with 年龄"),
        ("张 I-姓名\n", "line 1: the tag I-姓名"),
        ("张 B-姓名\n， O\n伟 I-姓名\n", "line 3"),
        ("张 S-姓名\n伟 I-姓名\n", "line 2"),
        ("张 B-姓名\n伟 E-姓名\n明 I-姓名\n", "line 3: the tag I-姓名"),
        ("张\n", "line 1: ⟪张⟫ does not end with a tag"),
        ("张 B-\n", "does not end with a tag"),
        ("张 X-姓名\n", "does not end with a tag"),
    ],
)
def test_a_bad_tag_costs_its_document_and_no_other(tmp_path: Path, lines: str, told: str) -> None:
    reading = read_bio(written(tmp_path / "a.bio", lines + "\n好 O\n"))
    assert [document.text for document in reading.documents] == ["好"]
    (problem,) = problems(reading)
    assert told in problem


@settings(max_examples=50)
@given(st.lists(st.tuples(st.text("甲乙丙丁", min_size=1, max_size=4), st.sampled_from(["", "姓名", "公司"])), min_size=1, max_size=8))
def test_bio_gives_back_the_pieces_it_was_written_from(tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[str, str]]) -> None:
    lines = [f"{c}\t{('B-' if not at else 'I-') + label if label else 'O'}" for text, label in pieces for at, c in enumerate(text)]
    (document,) = read_bio(written(tmp_path_factory.mktemp("bio") / "a.bio", "\n".join(lines))).documents
    assert document.text == "".join(text for text, _ in pieces)
    assert [(one.text, one.label) for one in document.gold] == [piece for piece in pieces if piece[1]]
