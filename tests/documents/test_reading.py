"""Files of any format, and folders of them: what is read, and that what cannot be is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from seqgpt_lab.documents.formats import FORMATS, detect, load_documents, read_documents
from seqgpt_lab.documents.walk import files_below
from seqgpt_lab.errors import DocumentError, OptionError
from tests.documents.files import problems, written


def test_a_folder_of_texts_is_read_in_order_and_bad_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "子").mkdir()
    written(tmp_path / "子" / "二.txt", "第二")
    written(tmp_path / "一.txt", "第一\n")
    (tmp_path / "坏.txt").write_bytes(b"\xff")
    reading = read_documents(tmp_path)
    assert [(document.id, document.text) for document in reading.documents] == [("一", "第一"), ("子/二", "第二")]
    assert "坏.txt: not UTF-8" in problems(reading)[0] and not problems(reading)[0].startswith("line")
    (tmp_path / "空").mkdir()
    with pytest.raises(DocumentError, match=r"no \.txt files"):
        read_documents(tmp_path / "空")


def test_the_case_of_an_ending_leaves_no_text_out(tmp_path: Path) -> None:
    for name, text in (("a.TXT", "一"), ("a.txt", "二"), ("b.Txt", "三")):
        written(tmp_path / name, text)
    assert [(document.id, document.text) for document in load_documents(tmp_path)] == [("a", "一"), ("a.txt", "二"), ("b", "三")]


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    top = tmp_path / "甲"
    (top / "子").mkdir(parents=True)
    (tmp_path / "乙").mkdir()
    written(top / "子" / "a.txt", "一")
    written(tmp_path / "乙" / "b.txt", "二")
    for name, target in (("远", tmp_path / "乙"), ("内", "子"), ("子/回", top), ("自", "自")):
        (top / name).symlink_to(target)
    (tmp_path / "乙" / "来").symlink_to(top)
    reading = read_documents(top)
    assert [(document.id, document.text) for document in reading.documents] == [("子/a", "一"), ("远/b", "二")]
    assert problems(reading) == []
    (top / "上").symlink_to(tmp_path)
    written(tmp_path / "外.txt", "三")
    again = read_documents(top)
    assert problems(again) == [f"cannot read the folder {top / '上'}: it is a link to a folder that holds this one"]
    assert again.documents == reading.documents


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "锁").mkdir()
    scandir = os.scandir

    def guarded(path: str | Path) -> Any:  # root may enter every folder
        if Path(path) in locked:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    locked = {tmp_path / "锁"}
    monkeypatch.setattr(os, "scandir", guarded)
    assert problems(read_documents(tmp_path)) == [f"cannot read the folder {tmp_path / '锁'}: Permission denied"]
    written(tmp_path / "a.txt", "一")
    reading = read_documents(tmp_path)
    assert [document.id for document in reading.documents] == ["a"]
    assert problems(reading) == [f"cannot read the folder {tmp_path / '锁'}: Permission denied"]
    locked = {tmp_path}
    with pytest.raises(DocumentError, match=f"cannot read {tmp_path}: Permission denied"):
        read_documents(tmp_path)


@pytest.mark.timeout(20)
def test_what_is_no_plain_file_is_named_instead_of_waited_for(tmp_path: Path) -> None:
    written(tmp_path / "a.txt", "一")
    os.mkfifo(tmp_path / "pipe.txt")
    os.mkfifo(tmp_path / "other")
    (tmp_path / "device.txt").symlink_to(os.devnull)
    (tmp_path / "gone.txt").symlink_to("nowhere")
    reading = read_documents(tmp_path)
    assert [document.id for document in reading.documents] == ["a"]
    told = dict(zip(("device", "gone", "pipe"), problems(reading), strict=True))
    assert "device.txt: it is a device" in told["device"] and "pipe.txt: it is a pipe" in told["pipe"]
    assert "gone.txt: No such file" in told["gone"]


def test_files_below_leave_hidden_names_out_where_asked(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    for name in (".git/a", ".b", "c"):
        written(tmp_path / name, "")
    assert files_below(tmp_path).files == (tmp_path / ".b", tmp_path / ".git" / "a", tmp_path / "c")
    assert files_below(tmp_path, hidden=False).files == (tmp_path / "c",)


def test_what_cannot_be_used_is_counted_in_what_the_file_is_made_of(tmp_path: Path) -> None:
    written(tmp_path / "好.txt", "好")
    (tmp_path / "坏.txt").write_bytes(b"\xff")
    assert read_documents(tmp_path).summary() == "1 of 2 files hold no usable document"
    with pytest.raises(DocumentError, match=r"(?s)1 of 2 files hold .*Mend these files"):
        load_documents(tmp_path)
    assert read_documents(written(tmp_path / "a.csv", "text,b\n好,1\n,2\n")).summary() == "1 of 2 rows hold no usable document"
    assert read_documents(written(tmp_path / "a.json", [{"text": "好"}, 5])).summary() == "1 of 2 records hold no usable document"


def test_formats_are_told_by_name_and_unknown_ones_named(tmp_path: Path) -> None:
    assert detect(written(tmp_path / "a.jsonl", '{"text": "x"}')) == "jsonl"
    assert detect(written(tmp_path / "b.jsonl", "{oops")) == "jsonl"
    assert detect(tmp_path / "x.BIO") == "bio" and detect(tmp_path / "x.Xlsx") == "table" and set(FORMATS) > {"bio", "doccano"}
    with pytest.raises(DocumentError, match=r"cannot read \.pdf; wanted \.jsonl"):
        detect(tmp_path / "a.pdf")
    with pytest.raises(OptionError, match="no document format 'word'"):
        read_documents(tmp_path / "a.jsonl", "word")
