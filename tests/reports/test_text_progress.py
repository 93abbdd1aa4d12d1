"""What a terminal and what a log are told of a run."""

from __future__ import annotations

import io
import os

import pytest
from tqdm import tqdm

from seqgpt_lab.reports.text_progress import TextProgress


class Kernel(io.StringIO):
    """The standard error of a kernel: each flush is a message."""

    def __init__(self, progress: TextProgress) -> None:
        super().__init__()
        self.progress = progress

    def flush(self) -> None:
        if told := self.getvalue():
            self.progress.kernel_wrote(told)
            self.seek(0)
            self.truncate()


def run_of_two_bars(progress: TextProgress) -> None:
    kernel = Kernel(progress)
    progress.cell_started(1, 2, "Latency")
    for name in ("cells", "texts"):
        with tqdm(total=4, desc=name, file=kernel, ascii=" #", mininterval=0) as bar:
            for _ in range(4):
                bar.update()
    progress.cell_started(2, 2, "What was seen")


@pytest.mark.parametrize(("every", "states"), [(0.0, 6), (3600.0, 1)])
def test_in_a_log_a_bar_is_some_lines_and_always_its_last_state(every: float, states: int) -> None:
    log = io.StringIO()
    run_of_two_bars(TextProgress(log, every=every))
    written = log.getvalue()
    assert "\r" not in written and written.endswith("\n")
    lines = written.splitlines()
    assert [line.split()[0] for line in lines] == ["[1/2]", *["cells:"] * states, *["texts:"] * states, "[2/2]"]
    assert all("4/4" in lines[at] for at in (states, 2 * states))


def test_on_a_terminal_a_bar_is_drawn_as_it_comes() -> None:
    screen, terminal = os.openpty()
    with os.fdopen(terminal, "w", encoding="utf-8") as stream, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm")
        TextProgress(stream).kernel_wrote("\rcells: 1/4\rcells: 2/4")
        assert os.read(screen, 100).decode() == "\rcells: 1/4\rcells: 2/4"
    os.close(screen)


def test_lines_of_every_kind_of_ending_are_all_there_and_a_line_without_one_too() -> None:
    log = io.StringIO()
    progress = TextProgress(log, every=3600)
    for piece in ("a\nb\r", "\nc\r\n", "\n", "c\n", "d"):
        progress.kernel_wrote(piece)
    progress.cell_started(1, 1, "")
    assert log.getvalue() == "a\nb\nc\n\nc\nd\n[1/1] \n"


def test_what_has_no_end_when_the_run_has_ended_is_written_then() -> None:
    log = io.StringIO()
    with TextProgress(log, every=3600) as progress:
        progress.kernel_wrote("\rcells: 1/4\rcells: 2/4")
        progress.end_line()
        progress.kernel_wrote("out of mem")
        progress.kernel_wrote("ory")
    assert log.getvalue() == "cells: 2/4\nout of memory\n"
