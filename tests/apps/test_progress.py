"""Progress on standard error: bars for people at a terminal, lines for logs, nothing for short work."""

from __future__ import annotations

from io import StringIO

import pytest

from seqgpt_lab.apps import progress as module
from seqgpt_lab.apps.progress import ShownProgress


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def work(stream: StringIO, every: float) -> str:
    with ShownProgress("extract", stream=stream, every=every) as progress:
        for done in range(1, 4):
            progress(done, 3)
            with progress.paused():
                stream.write(f"<{done}>")
    return stream.getvalue()


def test_a_log_gets_plain_lines() -> None:
    lines = work(StringIO(), every=0).splitlines()
    assert [line.split("|")[0] for line in lines] == ["extract:  33%", "<1>extract:  67%", "<2>extract: 100%", "<3>"]
    assert "1/3" in lines[0] and "2/3" in lines[1] and "3/3" in lines[2]
    assert all("\r" not in line and "\x1b" not in line and line.isascii() for line in lines)


def test_short_work_shows_nothing() -> None:
    assert work(StringIO(), every=60) == "<1><2><3>"


def test_the_last_line_is_written_once_there_was_one() -> None:
    stream = StringIO()
    with ShownProgress("extract", stream=stream, every=0) as progress:
        progress(1, 9)
        progress._every = 60
        progress(9, 9)
    assert [line.split("|")[0] for line in stream.getvalue().splitlines()] == ["extract:  11%", "extract: 100%"]


def test_a_terminal_gets_a_bar_that_is_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "_BAR_AFTER_SECONDS", 0.0)
    shown = work(Terminal(), every=0)
    assert "\rextract" in shown and "3/3" in shown and "\n" not in shown
    assert shown.split("<3>")[1].endswith("\r")
    for number in (1, 2, 3):  # whatever is written there begins on an empty line
        assert shown.split(f"<{number}>")[0].endswith("\r")


def test_parts_of_a_document_are_shown_as_they_were_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(module, "_BAR_AFTER_SECONDS", 0.0)
    terminal, log = Terminal(), StringIO()
    for stream in (terminal, log):
        with ShownProgress("extract", stream=stream, every=0) as progress:
            for done in (0.1, 0.3, 0.7, 1.0):  # 0.1 and 0.2 are 0.30000000000000004
                progress(done, 1)
                with progress.paused():
                    pass
    assert [line.split("| ")[1].split(" ")[0] for line in log.getvalue().splitlines()] == ["0.1/1", "0.3/1", "0.7/1", "1/1"]
    assert " 0.7/1 " in terminal.getvalue() and "0000" not in terminal.getvalue()


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert "\r" not in work(Terminal(), every=0)
