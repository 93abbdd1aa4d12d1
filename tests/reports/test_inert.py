from __future__ import annotations

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
        '<table class="dataframe"><tbody><tr><td>1</td></tr></tbody></table><img alt="" src="data:image/png;base64,AA=="/>'
    )
    assert inert(kept) == kept
