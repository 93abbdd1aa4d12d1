from __future__ import annotations

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.reports.inert import inert

PIECES = [
    *(
        "<p>",
        "</p>",
        "<b",
        ">",
        "text",
        "<!--",
        "-->",
        "<script>",
        "</script>",
        "<style>",
        "</style>",
        "<img src=http://x/y>",
        "<svg>",
        "</svg>",
    ),
    *(
        "<svg/onload=a()>",
        "<a href=javascript:a()>",
        "<a href=' java\tscript:a()'>",
        "<math href=http://x>",
        "<iframe srcdoc='<b>'>",
        "&lt;",
    ),
    *(
        "<p style='background:url( http://x)'>",
        "<p style=\"background:URL('//x')\">",
        "<base href=//x>",
        "<meta http-equiv=refresh>",
        "<![CDATA[",
    ),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_nothing_that_runs_or_loads_is_left_of_any_mixture(html: str) -> None:
    found = BeautifulSoup(inert(html), "html.parser")
    assert not found.find_all(["script", "iframe", "base", "meta", "link", "object", "embed"])
    for tag in found.find_all(True):
        assert not [name for name in tag.attrs if name.startswith("on") or name == "src"]
        assert "script:" not in "".join(str(tag.get("href", "")).split())
        assert "//x" not in str(tag.get("style", ""))
        assert tag.name == "a" or "http" not in str(tag.get("href", ""))


@pytest.mark.parametrize(
    "html",
    [
        *(
            '<img src="{}">',
            '<img SRC="{}">',
            '<input type="image" src="{}">',
            '<video poster="{}">',
            '<object data="{}"></object>',
        ),
        *(f'<img alt="" src="data:image/png;base64,AA==" {name}="{{}}">' for name in ("srcset", "SRCSET", "longdesc")),
        *('<table background="{}"><tr><td background="{}">1</td></tr></table>', '<body background="{}">', '<a ping="{}">x</a>'),
        *('<form action="{}"><button formaction="{}">x</button></form>', '<picture><source srcset="{} 2x"></picture>'),
        *('<blockquote cite="{}">x</blockquote>', '<link rel="stylesheet" href="{}">', '<svg><use href="{}#a"></use></svg>'),
        *('<svg><image href="{}"></image></svg>', '<svg><image xlink:href="{}"></image></svg>', '<svg><feImage href="{}"></svg>'),
        *('<style>@import "{}";</style>', "<style>@IMPORT url({});</style>", "<style>p { background: url({}) }</style>"),
        *('<svg><style>@import "{}";</style></svg>', "<p style=\"background: url('{}')\">x</p>", '<p style="background: URL( {} )">x</p>'),
        *('<p style="background: url({}">', "<style>p { background: url({}</style>", "<style>p { background: image-set('{}' 1x</style>"),
        *(r'<p style="background: u\72l({})">x</p>', r'<p style="background: \000055\rl({})">x</p>', r'<style>@\69mport "{}";</style>'),
        *('<svg><rect fill="url({}#a)" filter="url({}#b)" /></svg>', "<svg><rect CLIP-PATH=\"url('{}')\" /></svg>"),
        *("<p style=\"background: image-set('{}' 1x)\">x</p>", '<audio src="{}"></audio>', '<embed src="{}">', '<frame src="{}">'),
        *('<iframe src="{}"></iframe>', '<script src="{}"></script>', '<base href="{}">', '<meta http-equiv="refresh" content="0;url={}">'),
    ],
)
def test_no_way_of_loading_something_from_a_host_is_left(html: str) -> None:
    for address in ("https://host.example/x", "//host.example/x"):
        assert "host.example" not in inert(f"<div>{html.replace('{}', address)}</div>")


@pytest.mark.parametrize(
    ("html", "left"),
    [
        *((f'<a href="{address}">x</a>', "<a>x</a>") for address in ("data:text/html,<b>", "JavaScript:a()", "java\nscript:a()")),
        ('<a xlink:href="javascript:a()">x</a>', "<a>x</a>"),
        ('<svg><image href="data:text/html,x"></image></svg>', "<svg><image/></svg>"),
        ('<svg><use href="data:image/svg+xml,x#a"></use></svg>', "<svg><use></use></svg>"),
        ('<input src="data:text/html,x"/>', "<input/>"),
        ('<p onclick="a()" ONMOUSEOVER="a()">x</p>', "<p>x</p>"),
        ('<img alt="曲线" src="curve.png"/>', "<em>[picture left out, it is not embedded: 曲线]</em>"),
    ],
)
def test_what_a_browser_would_run_is_removed_and_the_rest_of_the_element_stays(html: str, left: str) -> None:
    assert inert(html) == left


@given(st.text(alphabet=st.characters(exclude_characters="<&>\r\x00", exclude_categories=["Cs"])))
def test_plain_text_comes_through(text: str) -> None:
    """Letters stand around it, for the reader of the test makes one blank of a text that holds blanks only."""
    assert BeautifulSoup(inert(f"<p>a{text}z</p>"), "html.parser").get_text() == f"a{text}z"


def test_what_a_cdata_section_holds_becomes_text_and_no_tag() -> None:
    # What a browser makes of it outside of SVG: a comment up to the first ">", and tags after that.
    left = inert('<p><![CDATA[a><meta http-equiv="refresh" content="0;url=http://x"><img src="http://x/y">]]></p>')
    assert "<meta" not in left and "<img" not in left and "<!" not in left
    assert BeautifulSoup(left, "html.parser").get_text().startswith("a><meta")


def test_what_is_harmless_stays() -> None:
    kept = (
        '<figure><svg viewbox="0 0 1 1"><path clip-path="url(#p1)" d="M 0 0" style="fill: currentColor"></path></svg></figure>'
        '<a download="a.csv" href="data:text/csv;base64,YQ==">Data</a><a href="https://example.org/paper">paper</a><a href="#s">s</a>'
        r'<p style="font-family: \65b0; background: url(data:image/png;base64,AA==)">x</p>'
        '<table class="dataframe"><tbody><tr><td>1</td></tr></tbody></table><img alt="" src="data:image/png;base64,AA=="/>'
    )
    assert inert(kept) == kept
