"""Text that terminals or locales would choke on."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.apps.console import display_width, emit, emit_path, note, pad, visible

ANY_TEXT = st.text(st.characters())  # lone surrogates included


@given(ANY_TEXT)
def test_visible_text_is_one_line_that_can_be_written(text: str) -> None:
    shown = visible(text)
    shown.encode("utf-8")
    assert len(shown.splitlines()) <= 1 and "\x1b" not in shown


def test_visible_text_is_left_alone_where_it_can_be_seen() -> None:
    assert visible("张伟 👩‍💻 𠮷　x") == "张伟 👩‍💻 𠮷　x"
    assert visible("a\nb\x1b[0m\u202ec\ud800\u200f") == "a\\nb\\x1b[0m\\u202ec\\ud800\\u200f"


def test_what_is_written(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    emit("张伟\ud800")
    emit_path(Path("a\udcff"))
    note("error: x\x1b\n  y\udcff")
    assert capfdbinary.readouterr() == ("张伟\\ud800\n".encode() + b"a\xff\n", b"error: x\\x1b\n  y\\udcff\n")


def test_columns_count_chinese_characters_twice() -> None:
    assert [display_width(text) for text in ("", "ab", "姓名", "（", "e\u0301")] == [0, 2, 4, 2, 1]
    assert pad("姓名", 6) == "姓名  " and pad("姓名", 2) == "姓名"
