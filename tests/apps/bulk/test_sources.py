"""A job's rows from any input: one a document, in order, failures with their reason, and the same when rows are skipped."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pandas
import pytest

from seqgpt_lab.apps.bulk.rows import Columns
from seqgpt_lab.apps.bulk.sources import Item, Source
from seqgpt_lab.errors import DocumentError, OptionError


def rows(path: Path, columns: Columns | None = None, skip: int = 0) -> list[Item]:
    return list(Source(path, columns or Columns()).items(skip))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Every format, with something wrong in most."""
    place = tmp_path / "in"
    (place / "b").mkdir(parents=True)
    (place / "a.txt").write_bytes("\ufeff张伟\r\n".encode())
    (place / "b" / "gbk.csv").write_bytes('id,text\nx,"李娜，28岁"\nx,再来一次\ny,多,了\nz\n'.encode("gb18030"))
    (place / "b" / "broken.txt").write_bytes(b"\x80\xff\xff\x00")
    (place / "c.jsonl").write_text('{"text": "一"}\n\n{"text": 2}\n{"id": "己", "text": "二"}', encoding="utf-8")
    (place / "d.txt").symlink_to(place / "nowhere.txt")
    (place / "e.png").write_bytes(b"\x89PNG")
    pandas.DataFrame({"text": ["三", None], "id": [7, 8]}).to_parquet(place / "f.parquet")
    (place / "g.parquet").write_bytes(b"PAR1 not really PAR1")
    (place / ".hidden.txt").write_text("nothing")
    return place


def test_a_folder_gives_one_row_a_document_in_order_whatever_is_in_it(folder: Path) -> None:
    found = rows(folder)
    assert [item.row for item in found] == list(range(len(found)))
    assert [(item.id, item.text) for item in found] == [
        ("a.txt", "张伟"),
        ("b/broken.txt", None),
        ("x", "李娜，28岁"),
        ("x", "再来一次"),
        ("y", None),
        ("z", None),
        ("c.jsonl:line-1", "一"),
        ("c.jsonl:line-3", None),
        ("己", "二"),
        ("d.txt", None),
        ("e.png", None),
        ("7", "三"),
        ("8", None),
        ("g.parquet", None),
    ]
    reasons = [item.failure for item in found if item.text is None]
    wanted = ["--encoding", "more cells than the 2", "no cell for 'text'", "'text' is ⟪2⟫", "No such file", "png", "NoneType", "Parquet"]
    assert all(word in reason for word, reason in zip(wanted, reasons, strict=True)), reasons
    assert ["GB18030" in item.note for item in found[2:4]] == [True, True]
    assert [item.read for item in found] == sorted(item.read for item in found)


def test_links_to_folders_are_followed_and_every_folder_is_read_once(tmp_path: Path) -> None:
    """Under the name without links where there is one; a link to a folder around the input is told and not followed."""
    place, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    for folder, link, target in ((place / "m", "back", place), (elsewhere, "again", elsewhere)):
        folder.mkdir(parents=True)
        (folder / f"{folder.name}.txt").write_text("张伟", encoding="utf-8")
        (folder / link).symlink_to(target)
    (place / "a").symlink_to(place / "m")
    (place / "linked").symlink_to(elsewhere)
    (place / ".hidden").symlink_to(elsewhere)
    (place / "out").symlink_to(tmp_path)
    found = rows(place)
    assert [(item.id, item.text) for item in found] == [("linked/elsewhere.txt", "张伟"), ("m/m.txt", "张伟"), ("out", None)]
    assert found[-1].failure == "cannot read the folder: it is a link to a folder that holds this one"
    assert Source(place, Columns()).linked == (place / "linked",)


def test_a_folder_that_cannot_be_read_and_a_pipe_are_rows_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "in"
    (place / "closed").mkdir(parents=True)
    (place / "z.txt").write_text("张伟", encoding="utf-8")
    os.mkfifo(place / "pipe.txt")
    scan = os.scandir

    def refusing(path: str | Path) -> object:
        """Whoever runs the tests may be the one to whom nothing is closed."""
        if Path(path).name == "closed":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = rows(place)
    assert [(item.id, item.text) for item in found] == [("closed", None), ("pipe.txt", None), ("z.txt", "张伟")]
    assert "Permission denied" in found[0].failure and "it is a pipe" in found[1].failure
    assert [(item.id, "Permission denied" in item.failure) for item in rows(place / "closed")] == [("closed", True)]
    assert len(Source(place, Columns()).fingerprint()) == 64


@pytest.mark.parametrize("skip", range(15))
def test_skipped_rows_change_nothing_for_the_others(folder: Path, skip: int) -> None:
    assert rows(folder, skip=skip) == rows(folder)[skip:]


@pytest.mark.parametrize("name", ["in.jsonl", "in.csv", "in.txt", "in"])
def test_a_pipe_given_by_itself_is_refused_instead_of_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(DocumentError, match="it is a pipe; give a plain file"):
        Source(tmp_path / name, Columns())


def test_columns_have_the_names_and_files_the_encoding_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "in.tsv"
    path.write_bytes("號\t內容\n1\t張偉\n".encode("big5"))
    assert rows(path, Columns("內容", "號", "big5")) == [Item(0, "1", "張偉", read=path.stat().st_size)]
    assert "no column 'text', only ['號', '內容']" in rows(path, Columns(encoding="big5"))[0].failure
    for encoding in ("x", "hex", "rot13", "undefined"):
        with pytest.raises(OptionError, match=f"no encoding '{encoding}'"):
            rows(path, Columns(encoding=encoding))
    with pytest.raises(DocumentError, match="nothing at"):
        rows(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["id", "text"])
def test_a_table_with_two_columns_of_the_same_name_is_not_read(tmp_path: Path, name: str) -> None:
    """Whichever was taken, the other would be lost."""
    path = tmp_path / "in.csv"
    path.write_text(f"id,text,{name},页,页\n1,张伟,李娜,2,3\n", encoding="utf-8")
    assert [(one.text, f"there are 2 columns '{name}'" in one.failure) for one in rows(path, Columns())] == [(None, True)]


@pytest.mark.parametrize("encoding", ("", "utf-8", "UTF8", "utf_8_sig"))
def test_the_mark_that_excel_puts_before_utf_8_is_no_part_of_a_text(tmp_path: Path, encoding: str) -> None:
    for name, content in (("in.csv", "text,id\r\n张伟,1\r\n"), ("in.txt", "张伟\n")):
        (tmp_path / name).write_text(content, encoding="utf-8-sig", newline="")
        assert [item.text for item in rows(tmp_path / name, Columns(encoding=encoding))] == ["张伟"]


def test_a_line_that_is_too_long_is_a_failure_and_the_next_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.apps.bulk.rows.LARGEST_ROW", 1000)
    path = tmp_path / "in.jsonl"
    texts = ["a", "b" * 5000, "c", "d" * 5000]
    path.write_text("\n".join(json.dumps({"text": text}) for text in texts), encoding="utf-8")
    assert [item.text for item in rows(path)] == ["a", None, "c", None]
    assert "more than 1,000 bytes" in rows(path)[1].failure
    table = tmp_path / "in.csv"
    table.write_text(f"text\n{'b' * 500}\n{'c' * 5000}\n", encoding="utf-8")
    assert [item.text for item in rows(table)] == ["b" * 500, None]


def test_a_stray_quote_in_a_table_is_a_failure_and_swallows_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('id,text\na,"张伟，\n35岁"\nb,"李娜，40岁\n\nc,王五，28岁\nd,"赵""六"\ne,"钱"七\nf,孙八\n', encoding="utf-8")
    found = rows(path)
    assert [(item.id, item.text) for item in found] == [
        ("a", "张伟，\n35岁"),
        ("row-2", None),
        ("c", "王五，28岁"),
        ("d", '赵"六'),
        ("row-5", None),
        ("f", "孙八"),
    ]
    assert found[1].failure.startswith("line 4: ") and "write a quote inside one twice" in found[1].failure
    assert found[4].failure.startswith("line 8: ")


def test_a_quote_that_is_never_closed_takes_the_rest_where_a_row_is_one_cell(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text('text\n张伟\n"李娜\n王五\n', encoding="utf-8")
    assert [item.text for item in rows(path)] == ["张伟", None]
    assert "line 3: " in rows(path)[1].failure and "takes the lines up to 4 with it" in rows(path)[1].failure


def test_another_input_has_another_fingerprint(folder: Path) -> None:
    before = Source(folder, Columns()).fingerprint()
    assert Source(folder, Columns()).fingerprint() == before != Source(folder, Columns("t")).fingerprint()
    (folder / "e.png").write_bytes(b"\x89PNG.")
    assert Source(folder, Columns()).fingerprint() != before
