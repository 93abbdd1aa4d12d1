"""What a reader sees of a highlighted text, and what must never reach the page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.extraction.highlight import INK, PALETTE, highlight
from seqgpt_lab.extraction.spans import Field, Span


class Page(HTMLParser):
    """The text box as a reader sees it: pieces with the captions and colours over them, and everything else."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.marks: list[tuple[str, str, str]] = []
        self.captions: list[str] = []
        self.rest = ""
        self.tags: list[str] = []
        self.feed(page)
        self.close()
        assert not self.open, "unclosed tags"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append((tag, dict(attrs)))
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tag, attributes = self.open[-1]
        if not any(one.get("class") == "seqgpt-text" for _, one in self.open):
            self.rest += data + "\n"
        elif tag == "small":
            self.captions.append(data)
        else:
            self.text += data
            if tag == "mark":
                self.marks.append((data, attributes["title"] or "", attributes["style"] or ""))


def field(label: str, *spans: tuple[str, int, int]) -> Field:
    return Field(label, tuple(Span(text, start, end) for text, start, end in spans))


def test_values_are_marked_named_and_coloured_by_the_order_of_labels() -> None:
    page = Page(highlight("张伟，35岁", [field("年龄", ("35", 3, 5)), field("姓名", ("张伟", 0, 2))]))
    assert page.text == "张伟，35岁"
    assert [(text, title) for text, title, _ in page.marks] == [("张伟", "姓名: 张伟"), ("35", "年龄: 35")]
    assert page.captions == ["姓名", "年龄"]
    assert PALETTE[1] in page.marks[0][2] and PALETTE[0] in page.marks[1][2]


def test_overlapping_values_are_both_visible_where_they_overlap() -> None:
    page = Page(
        highlight(
            "北京大学第三医院",
            [field("单位", ("北京大学第三医院", 0, 8)), field("学校", ("北京大学", 0, 4)), field("编号", ("学第三", 3, 6))],
        )
    )
    assert page.text == "北京大学第三医院"
    assert [text for text, _, _ in page.marks] == ["北京大", "学", "第三", "医院"]
    assert [[label for label in ("单位", "学校", "编号") if f"{label}: " in title] for _, title, _ in page.marks] == [
        ["单位", "学校"], ["单位", "学校", "编号"], ["单位", "编号"], ["单位"],
    ]  # fmt: skip
    assert [[colour for colour in PALETTE[:3] if colour in style] for _, _, style in page.marks] == [
        [*PALETTE[:2]], [*PALETTE[:3]], [PALETTE[0], PALETTE[2]], [PALETTE[0]],
    ]  # fmt: skip
    assert page.captions == ["学校", "编号", "单位"]


def test_two_labels_on_one_place_keep_both_captions() -> None:
    page = Page(highlight("张伟", [field("姓名", ("张伟", 0, 2)), field("联系人", ("张伟", 0, 2))]))
    assert page.captions == ["姓名", "联系人"] and len(page.marks) == 1


def test_the_legend_lists_absent_labels_and_flags_values_that_are_not_in_the_text() -> None:
    lost = Field("电话", (Span("110", None, None, match="unaligned"), Span("张", None, None, match="unaligned")))
    page = Page(highlight("张伟", [field("姓名", ("张伟", 0, 2)), Field("公司"), lost]))
    assert "公司: not found" in page.rest
    assert "⚠ 电话: 110 (not in the text)" in page.rest
    assert "⚠ 电话: 张 (not placed in the text)" in page.rest
    assert "姓名" in page.rest


def test_a_span_beyond_the_text_is_flagged_and_does_not_break_the_page() -> None:
    page = Page(highlight("张伟", [field("姓名", ("张伟", 1, 9))]))
    assert page.text == "张伟" and page.marks == []
    assert "⚠ 姓名: 张伟" in page.rest


def test_approximate_matches_and_confidence_are_told() -> None:
    page = Page(highlight("（甲）", [Field("方", (Span("(甲)", 0, 3, 0.876, "approximate"),))]))
    assert page.marks[0][1] == "方: (甲) (confidence 0.88, approximate match)"
    assert page.captions == ["≈方"]


def test_everything_from_outside_is_escaped() -> None:
    evil = "<script>alert('1')</script>&\"'><img src=x onerror=y>"
    spans = (Span(evil, 0, len(evil)), Span(evil + "!", None, None, match="unaligned"))
    page = Page(highlight(evil, [Field(evil, spans), Field(evil + "?")], [evil]))
    assert page.text == evil
    assert set(page.tags) <= {"div", "mark", "small", "span"}
    assert page.marks[0][1] == f"{evil}: {evil}"
    assert Page(highlight(evil, [Field("甲", (Span("甲", 0, len(evil), 0.9, "approximate"),))])).text == evil


def test_line_breaks_are_kept() -> None:
    page = highlight("第一行\n第二行\n\r\n第三", [field("行", ("一行\n第二", 1, 6))])
    assert Page(page).text == "第一行\n第二行\n\r\n第三"
    assert "white-space:pre-wrap" in page


def test_lone_surrogates_and_control_characters_are_drawn() -> None:
    page = highlight(
        "a\ud800\x00\x07\x7fb", [Field("\udc00", (Span("\ud800", 1, 2), Span("\udfff", None, None, match="unaligned")))], ["\ud800"]
    )
    page.encode("utf-8")
    assert Page(page).text == "a\ufffd\u2400\u2407\u2421b"


def test_nothing_is_loaded_from_elsewhere_and_nothing_needs_a_style_sheet() -> None:
    page = highlight("张伟", [field("姓名", ("张伟", 0, 2))])
    assert not re.search(r"http|url\(|src=|href=|<style|<script|\bid=", page)


@pytest.mark.parametrize("colour", PALETTE)
def test_ink_on_every_colour_has_the_contrast_that_wcag_aa_asks_for(colour: str) -> None:
    def luminance(code: str) -> float:
        parts = [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert (luminance(colour) + 0.05) / (luminance(INK) + 0.05) >= 4.5


def test_more_labels_than_colours_still_look_different() -> None:
    labels = [field(f"标{order}", ("字", order, order + 1)) for order in range(40)]
    styles = [style for _, _, style in Page(highlight("字" * 40, labels)).marks]
    assert len(set(styles[:32])) == 32 and styles[32:] == styles[:8]


def test_the_legend_counts_the_places_of_a_label_that_has_several() -> None:
    page = Page(highlight("张伟和李娜，35岁", [field("姓名", ("张伟", 0, 2), ("李娜", 3, 5)), field("年龄", ("35", 6, 8))]))
    assert page.rest.split("\n") == ["姓名 × 2", "年龄", ""]


@given(st.data())
def test_any_spans_leave_the_text_whole_and_every_placed_one_captioned(data: st.DataObject) -> None:
    text = data.draw(st.text("甲乙\n<&> ", max_size=12))
    fields = []
    for label in ("一", "二", "三"):
        starts = data.draw(st.lists(st.integers(0, len(text) - 1), max_size=3, unique=True)) if text else []
        ends = [data.draw(st.integers(start + 1, len(text))) for start in starts]
        fields.append(field(label, *((text[start:end], start, end) for start, end in zip(starts, ends, strict=True))))
    page = Page(highlight(text, fields))
    assert page.text == text
    assert sorted(page.captions) == sorted(one.label for one in fields for _ in one.spans)
    assert page.rest.count("not found") == sum(not one.spans for one in fields)


def test_a_value_that_is_given_again_and_again_is_flagged_once() -> None:
    page = highlight("张伟", [Field("职位", (Span("张", None, None, match="unaligned"),) * 23)])
    assert page.count("seqgpt-unaligned") == 1 and "⚠ 职位: 张 (not placed in the text) × 23" in page
