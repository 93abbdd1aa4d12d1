"""Personal data in files that a page carries in its addresses, and in texts that elements cut."""

from __future__ import annotations

import base64
import io
import re

import pandas
import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.reports.inert import inert
from seqgpt_lab.reports.masked_page import mask_page

NAMES = {"姓名": ["张伟"]}


def link(kind: str, content: bytes) -> str:
    return f'<a download="list" href="data:{kind};base64,{base64.b64encode(content).decode()}">list</a>'


def sheet() -> bytes:
    content = io.BytesIO()
    pandas.DataFrame({"who": ["张伟"]}).to_excel(content, index=False)
    return content.getvalue()


def masked(body: str) -> BeautifulSoup:
    return BeautifulSoup(mask_page(f"<main>{inert(body)}</main>", NAMES)[0], "html.parser")


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", sheet()),
        ("application/octet-stream", "张伟".encode()),
        ("text/csv;charset=gbk", "张伟".encode("gbk")),
        ("text/csv", "张伟".encode("gbk")),
        ("text/csv;charset=utf-16", "张伟".encode("utf-16")),
        ("text/csv", "13812345678".encode("utf-16-le")),
        ("image/svg+xml", "<svg><text><tspan>张</tspan><tspan>伟</tspan></text></svg>".encode()),
        ("image/svg+xml", b"<svg><text>&#x5f20;&#20255;</text></svg>"),
    ],
)
def test_a_file_that_cannot_be_searched_is_left_out_and_the_page_says_so(kind: str, content: bytes) -> None:
    page = masked(link(kind, content))
    assert "base64" not in str(page)
    assert page.get_text() == "list[file left out: it cannot be searched for personal data]"


@pytest.mark.parametrize(
    "head", ["data:text/csv;base64", "DATA:text/csv;BASE64", " data:text/csv;charset=utf-8;base64", "data:application/json;base64"]
)
def test_a_text_that_is_embedded_is_masked_however_its_address_is_spelt(head: str) -> None:
    page = masked(f'<a download="x" href="{head},{base64.b64encode("张伟,1".encode()).decode()}">x</a>')
    assert base64.b64decode(str(page.select_one("a")["href"]).partition(",")[2]).decode() == "[姓名 1],1"  # type: ignore[index]
    assert "13812345678" not in str(masked('<a download="x" href="data:,13812345678">x</a>'))


def test_pictures_and_texts_without_personal_data_stay_as_they_are() -> None:
    kept = f'{link("text/csv", b"a,b")}<img src="data:image/png;base64,AA=="/><a href="https://x.example" rel="noopener noreferrer">x</a>'
    assert str(masked(kept).main) == str(BeautifulSoup(f"<main>{kept}</main>", "html.parser").main)


@pytest.mark.parametrize("name", ["label", "big", "cite", "time", "small", "data", "dfn", "tt", "x-any", "button"])
def test_a_value_is_masked_whatever_element_cuts_it(name: str) -> None:
    page = masked(f"<p><{name}>张</{name}>伟，<{name}>138123</{name}>45678</p><p>张</p><p>伟</p>")
    assert re.fullmatch(r"\[姓名 1\]，\[phone 1\]张伟", page.get_text())


def test_a_number_that_a_line_break_cuts_is_masked_and_a_cdata_section_too() -> None:
    assert masked("电话138123<br>45678").get_text() == "电话[phone 1]"
    assert masked("<svg><text><![CDATA[张伟]]></text></svg>").get_text() == "[姓名 1]"
    assert mask_page("<svg><text><![CDATA[张伟]]></text></svg>", NAMES)[1] == 1
