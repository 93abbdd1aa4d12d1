from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fontTools.ttLib import TTFont
from nbformat.v4 import new_markdown_cell, new_notebook

from seqgpt_lab.reports import fonts
from seqgpt_lab.reports.copies import copy_report
from seqgpt_lab.reports.page import render_page
from seqgpt_lab.reports.runs import Run

needs_font = pytest.mark.skipif(
    fonts._font_file() is None, reason="no font with Chinese on this machine: apt-get install fonts-wqy-microhei"
)


def characters_of(style: str) -> set[str]:
    found = re.search(r"base64,([A-Za-z0-9+/=]+)\)", style)
    assert found is not None
    with TTFont(io.BytesIO(base64.b64decode(found[1]))) as font:
        return set(map(chr, font.getBestCmap()))


@needs_font
def test_the_font_has_the_wide_characters_of_the_text_and_no_others() -> None:
    style = fonts.embedded_font("姓名: 张伟，abc 张")
    assert characters_of(style) == set("姓名张伟，")
    assert len(style) < 10_000 and "unicode-range" in style
    assert fonts.embedded_font("no Chinese") == ""


@needs_font
def test_a_page_carries_its_font_without_what_it_masks(make_run: Callable[..., Run]) -> None:
    page = render_page(new_notebook(cells=[new_markdown_cell("# 报告\n\n谢翠写的")]), make_run(parameters={}), {"名字": ["谢翠"]})
    assert characters_of(page) == set("报告写的名字")


@needs_font
def test_the_masked_copy_of_an_unmasked_page_has_a_font_without_what_it_masks(make_run: Callable[..., Run], tmp_path: Path) -> None:
    run = make_run(parameters={}, unmasked=True)
    page = render_page(new_notebook(cells=[new_markdown_cell("# 报告\n\n谢翠写的")]), run, None)
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    (tmp_path / "personal.json").write_text('{"名字": ["谢翠"]}', encoding="utf-8")
    (tmp_path / "site" / "reports").mkdir(parents=True)
    copy = tmp_path / "site" / str(copy_report(run, tmp_path / "site"))
    assert characters_of(page) == set("报告谢翠写的")
    assert characters_of(copy.read_text(encoding="utf-8")) == set("报告写的名字")


def test_without_a_font_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "_font_file", lambda: None)
    assert fonts.embedded_font("姓名") == ""
