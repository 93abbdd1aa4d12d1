"""Personal data in texts and pages: nothing planted may be left, and nothing else may be taken for it."""

from __future__ import annotations

import base64
import html
import re
import secrets
from urllib.parse import quote

import pandas
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.extraction.highlight import highlight
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.reports.figures import label_scores
from seqgpt_lab.reports.masked_page import mask_page
from seqgpt_lab.reports.masking import Masker
from seqgpt_lab.studies.display import table

DIGITS = st.text("0123456789", min_size=8, max_size=8)
PHONES = st.builds(lambda head, tail: f"1{head}{tail}", st.sampled_from(["38", "59", "76", "99"]), DIGITS)
SPLIT_PHONES = st.builds(lambda number, gap: f"{number[:3]}{gap}{number[3:7]}{gap}{number[7:]}", PHONES, st.sampled_from("- "))
IDS = st.builds(
    lambda region, year, month, day, tail: f"{region}{year}{month:02}{day:02}{tail}",
    st.sampled_from(["110101", "320583", "650102"]),
    st.integers(1930, 2024),
    st.integers(1, 12),
    st.integers(1, 28),
    st.sampled_from(["1234", "004X", "112x"]),
)
CARDS = st.builds(
    lambda head, tail: f"{head}{tail}",
    st.sampled_from(["62220202", "62284801", "40000000"]),
    st.text("0123456789", min_size=8, max_size=11),
)
SPLIT_CARDS = CARDS.map(lambda number: " ".join(number[place : place + 4] for place in range(0, len(number), 4)))
MAILS = st.builds(
    lambda name, host: f"{name}@{host}",
    st.from_regex(r"[a-z][a-z0-9._]{1,8}[a-z]", fullmatch=True),
    st.sampled_from(["x.cn", "mail.example.com"]),
)
PLANTED = PHONES | SPLIT_PHONES | IDS | CARDS | SPLIT_CARDS | MAILS
AROUND = st.sampled_from(["", "电话", "，联系", ":", "(", ")", "/", "\n", '"', "。"])


@given(st.lists(st.tuples(AROUND, PLANTED, st.sampled_from(["，", "。", "\n", ")", " 转", "<"])), min_size=1, max_size=4))
def test_no_phone_id_card_or_mail_is_left_in_a_sentence(pieces: list[tuple[str, str, str]]) -> None:
    masked = Masker().mask("".join(map("".join, pieces)))
    assert not [value for _, value, _ in pieces if value in masked]
    assert not re.search(r"\d{5}|@", masked)


@given(PHONES | IDS | CARDS, st.data(), st.sampled_from(["\n", "\r\n", " \n  "]))
def test_a_number_that_the_end_of_a_line_cuts_is_masked_as_the_whole_one(number: str, data: st.DataObject, line_end: str) -> None:
    place = data.draw(st.integers(1, len(number) - 1))
    masked = Masker().mask(f"我的电话{number[:place]}{line_end}{number[place:]}。\n再写一遍：{number}\n12")
    assert number not in re.sub(r"\s", "", masked)
    if len(number) == 11:
        first, second = re.findall(r"\[[^]]+\]", masked)
        assert first == second and re.findall(r"\d+", re.sub(r"\[[^]]+\]", "", masked)) == ["12"]


@given(PLANTED, PLANTED)
def test_the_same_value_has_the_same_mask_and_another_has_another(first: str, second: str) -> None:
    left, middle, right = Masker().mask(f"{first}，{second}，{first}").split("，")
    assert left == right
    assert (left == middle) == (re.sub("[- ]", "", first).lower() == re.sub("[- ]", "", second).lower())


@pytest.mark.parametrize(
    "text",
    [
        *("0.9238095238095239", "1.3800001111234567e-05", "13.812345678", "2024-03-15 14:22:33.123", "20240315-142233-123-9f3a12"),
        *("138****1234", "[1/9] 480 documents", "16,473,206,784 bytes", "8 × 1024 × 4096", "bos 1, eos 2, pad 3", "金额: 120,000.00元"),
        *("110000199", "123456789012", "合同编号 HT-2024-000123", "0  0.1234567\n1  0.7654321", "1024\n2048\n4096\n8192", "f1\n0.987\n"),
    ],
)
def test_other_numbers_stay(text: str) -> None:
    assert Masker().mask(text) == text


@pytest.mark.parametrize(
    "number",
    [
        *(
            "010—62345678",
            "021–62345678",
            "010-6234 5678",
            "0755-8888-6666",
            "(0755) 8888-6666",
            "０１０－６２３４—５６７８",
            "021·62345678",
        ),
        *("138–1234–5678", "138—1234—5678", "138‑1234‑5678", "138−1234−5678", "138·1234·5678"),
        *("+86（138）12345678", "(138)1234-5678", "+86 138-1234-5678"),
        *("4008001234", "8008101234", "400-8888-123", "400 888 8888", "400–888–8888", "4006668888"),
        *("008613812345678", "0086-138-1234-5678", "0086（138）12345678"),
    ],
)
def test_phones_as_people_write_them_are_masked_whole(number: str) -> None:
    assert Masker().mask(f"电话{number}，请致电") == "电话[phone 1]，请致电"
    plain = re.sub("[^0-9]", "", number.translate({code: code - 0xFEE0 for code in range(0xFF10, 0xFF1A)}))
    assert Masker({"电话": [plain.removeprefix("00").removeprefix("86")]}).mask(f"{number}，{plain}") == "[电话 1]，[电话 1]"


@pytest.mark.parametrize(
    ("abroad", "within"),
    [
        *(("+86-755-26712345", "0755-26712345"), ("+86 10 6234 5678", "010-62345678"), ("0086 21 62345678", "(021)6234 5678")),
        *(("+86 (10) 6234-5678", "01062345678"), ("+86 (0)10 6234 5678", "010 6234 5678"), ("＋86－755－2671－2345", "0755 2671 2345")),
        *(("+862162345678", "021-62345678"), ("+86 0755 26712345", "0755-26712345"), ("+86 (0755) 2671 2345", "0755-26712345")),
    ],
)
def test_a_number_as_it_is_called_from_abroad_is_masked_as_the_same(abroad: str, within: str) -> None:
    assert Masker().mask(f"电话{abroad}，{within}。") == "电话[phone 1]，[phone 1]。"


@pytest.mark.parametrize("gaps", ["", " ", "-"])
def test_an_id_number_in_groups_is_masked_whole(gaps: str) -> None:
    grouped = gaps.join(("110101", "1990", "0307", "451X"))
    assert Masker().mask(f"证件{grouped}，11010119900307451x。") == "证件[ID number 1]，[ID number 1]。"


@pytest.mark.parametrize(
    "text",
    [
        *("2019—2020年", "2024—03—15", "150–200元", "2023–2024–2025", "第138—1390页", "6234-5678", "2019-2020", "1.5—2.5", "·35岁·本科"),
        *("注册资本4000000000元", "4001234567元", "¥4001234567", "￥4008001234", "4008001234.50", "8008101234 bytes", "4,008,001,234"),
        *("合同编号：021-2024-0315", "订单 023-2024-0012", "HT-0755-6024-1012", "收文（135）20240315", "沪字(151)2023 0012"),
        *("rows 800 1024 512", "400 1200 300", "RMB4008123456", "4001234567美元", "4001234567 tokens"),
        *("+86 1234", "+86 300 4000", "温度+86 10 2 30", "86 10 6234 5678", "123456 1990 1307 4514"),
        *("40080012345", "订单4028001234", "0101 2345 6789", "01-2345-6789", "012-6234-5678", "5000000000", "8001234567"),
    ],
)
def test_dates_sums_and_ranges_are_no_phones(text: str) -> None:
    assert Masker().mask(text) == text


def test_a_name_with_a_middle_dot_keeps_its_place() -> None:
    assert Masker({"姓名": ["玛丽·居里"]}).mask("她叫玛丽·居里，A·B—C") == "她叫[姓名 1]，A·B—C"


@given(st.binary(min_size=20, max_size=20) | st.binary(min_size=32, max_size=32), st.integers(0, 2**24 - 1), st.datetimes())
def test_fingerprints_runs_and_times_stay(digest: bytes, tail: int, moment: object) -> None:
    text = f"commit {digest.hex()[:-1]}a run 20240315-142233-123-{tail:06x} at {moment}"
    assert Masker().mask(text) == text


NAMES = st.text("张王李赵伟芳娜敏静", min_size=1, max_size=4)


@given(st.lists(NAMES, min_size=1, max_size=5), st.text("张王李赵伟芳娜敏静，在", max_size=30))
def test_no_value_of_a_personal_field_is_left_however_they_overlap(names: list[str], text: str) -> None:
    masked = Masker({"姓名": names}).mask(text)
    assert not [name for name in names if name in re.sub(r"\[姓名 \d+\]", "|", masked)]
    assert Masker({"姓名": names}).mask("产品") == "产品"


def test_values_are_found_in_other_spellings() -> None:
    masker = Masker({"姓名": ["张伟", "Ann Lee"], "工号": ["A12", "42"], "电话": ["13812345678"]})
    text = (
        '张伟 {"name": "\\u5f20\\u4f1f"} /people/%E5%BC%A0%E4%BC%9F Ann\u00a0Lee Ａnn　Lee A12 BA123 42 0.42 142 '
        "１３８１２３４５６７８ 138-1234-5678"
    )
    masked = masker.mask(text)
    for left in ("张伟", "5f20", "%E5", "Ann", "nn　", " 42 ", "1234", "１３８"):
        assert left not in masked
    assert "BA123" in masked and "0.42" in masked and " 142 " in masked
    assert masked.count("[姓名 1]") == 3 and masked.count("[姓名 2]") == 2 and masked.count("[电话 1]") == 2
    assert Masker({"姓名": ["姓名"]}).mask("姓名") == "姓名"


def test_invisible_signs_and_capitals_hide_no_value() -> None:
    masker = Masker({"姓名": ["张伟", "Zhang Weiming", "李\u200b娜", "May"]})
    text = "张\u00ad伟，ZHANG WEIMING，zhang weiming，李娜，138\u200b0013\u200b8000，\u202d13800138000\u202c，May may"
    assert masker.mask(text) == "[姓名 1]，[姓名 2]，[姓名 2]，[姓名 3]，[phone 1]，\u202d[phone 1]\u202c，[姓名 4] may"


@pytest.mark.parametrize("sign", ["\u061c", "\u2066", "\u2067", "\u2068", "\u2069", "\u206f", "\u3164", "\ufe00", "\U000e0100"])
def test_no_sign_that_unicode_calls_invisible_hides_a_value(sign: str) -> None:
    masked = Masker({"姓名": ["张伟", f"李{sign}娜"]}).mask(f"张{sign}伟，{sign}李娜{sign}，1380{sign}0138000")
    assert masked == f"[姓名 1]，{sign}[姓名 2]{sign}，[phone 1]"


def test_a_value_is_found_as_python_and_xml_write_it() -> None:
    masker = Masker({"姓名": ["张伟", "𠮷娜"]})
    for value in ("张伟", "𠮷娜"):
        written = (ascii(value), repr(value.encode()), value.encode("ascii", "xmlcharrefreplace").decode(), quote(value).lower())
        assert {re.sub("[b']", "", masker.mask(text)) for text in written} == {masker.mask(value)}


def test_signs_alone_are_nobodys_and_leave_the_text_readable() -> None:
    assert Masker({"姓名": ["-", "，", "."]}).mask("2024-03-15，1.5") == "2024-03-15，1.5"


def test_what_a_message_quotes_is_masked_whole_and_a_known_value_as_itself() -> None:
    message = f"says {quoted('李娜娜')}, reads {quoted('客户李')}, of {quoted('张伟, 13812345678')}, {quoted('')}, {quoted('李娜娜')}"
    assert Masker({"姓名": ["李娜娜"]}).mask(message) == "says [姓名 1], reads [quoted 1], of [quoted 2], ⟪⟫, [姓名 1]"


def page(body: str) -> str:
    return f"<html><head><title>t</title></head><body><main>{body}</main></body></html>"


def everything_in(masked: str) -> str:
    """All that the file says: its source, its texts without marks, and what is embedded in it."""
    soup = BeautifulSoup(masked, "html.parser")
    embedded = [base64.b64decode(found).decode("utf-8", "replace") for found in re.findall(r"base64,([A-Za-z0-9+/=]+)", masked)]
    return "\n".join([html.unescape(masked), soup.get_text(), *embedded])


@settings(deadline=None, max_examples=50)
@given(st.text("张伟李娜在公司，", min_size=2, max_size=12), st.data())
def test_a_marked_text_gives_away_no_value_whatever_marks_cut_it(text: str, data: st.DataObject) -> None:
    place = st.integers(0, len(text) - 1).flatmap(lambda start: st.tuples(st.just(start), st.integers(start + 1, len(text))))
    places = data.draw(st.lists(place, max_size=3))
    gold = data.draw(place)
    fields = [
        Field("姓名", tuple(Span(text[slice(*one)], *one) for one in places[:2])),
        Field("公司", tuple(Span(text[slice(*one)], *one) for one in places[2:])),
    ]
    masked, _ = mask_page(page(highlight(text, fields)), {"姓名": [text[slice(*gold)]]})
    shown = BeautifulSoup(masked, "html.parser")
    for caption in shown.find_all("small"):
        caption.extract()
    (body,) = shown.select(".seqgpt-text")
    left = re.sub(r"\[姓名 \d+\]", "|", body.get_text())
    for value in (text[slice(*gold)], *(text[slice(*one)] for one in places[:2])):
        assert value not in left or not any(map(str.isalnum, value))


def test_nothing_planted_is_left_anywhere_in_a_page() -> None:
    planted = {"姓名": ["谢翠", "汪桐西"], "手机号": ["18895620652"], "邮箱": ["caoguo@office.example.cn"]}
    others = ["110101199003071234", "6222020200012345678", "6222 0202 0001 2345 678", "021-58812345", "13900001111", "x.y@z.example.com"]
    values = [*(value for found in planted.values() for value in found), *others]
    frame = pandas.DataFrame({"label": values, "f1": [0.5] * len(values), "support": [3] * len(values)})
    parts = [
        label_scores(frame)._repr_html_(),
        "".join(
            f'<p title="{value}"><a href="mailto:{value}" aria-label="{value}">{value[:2]}<b>{value[2:]}</b></a></p>' for value in values
        ),
        "".join(
            f'<img alt="{value}" src="data:image/svg+xml;base64,{base64.b64encode(f"<svg><text>{value}</text></svg>".encode()).decode()}">'
            for value in values
        ),
        "".join(f'<a download="x" href="data:text/csv,{html.escape(value)}">x</a><!-- {value} -->' for value in values),
    ]
    masked, count = mask_page(page("".join(parts)), planted)
    said = everything_in(masked)
    assert [value for value in values if value in said] == []
    assert count == len(values) - 1  # the card is written in two ways
    assert "0.500" in said and re.search(r"<path [^>]*d=\"[^\"]*M \d", masked)


def test_a_value_that_a_line_of_a_figure_cuts_is_masked() -> None:
    for lead in range(8, 20):
        frame = pandas.DataFrame({"label": ["文" * lead + "欧阳谢翠 Ann Lee 在"], "f1": [0.5], "support": [3]})
        masked, count = mask_page(page(label_scores(frame)._repr_html_()), {"姓名": ["欧阳谢翠", "Ann Lee"]})
        said = everything_in(masked)
        assert count == 2 and not [part for part in ("欧", "阳", "谢", "翠", "Ann", "Lee") if part in said]


def test_what_the_page_itself_shows_of_a_personal_field_is_masked_everywhere() -> None:
    marked = highlight("欧阳锋在云智", [Field("姓名", (Span("欧阳锋", 0, 3, 0.9), Span("洪七公", None, None, match="unaligned")))])
    tall = "<table><tr><th>label</th><th>gold</th><th>predicted</th></tr><tr><td>姓名</td><td>黄蓉 | 郭靖</td><td></td></tr></table>"
    wide = "<table><tr><th>姓名</th><th>公司</th></tr><tr><td>周伯通</td><td>云智</td></tr></table>"
    masked, _ = mask_page(page(f"{marked}{tall}{wide}<p>欧阳锋、洪七公、黄蓉、郭靖、周伯通</p>"), {"姓名": []})
    said = everything_in(masked)
    assert [name for name in ("欧阳锋", "洪七公", "黄蓉", "郭靖", "周伯通") if name in said] == []
    assert said.count("云智") >= 4


@pytest.mark.parametrize(
    ("text", "spans", "elsewhere"),
    [
        ("致欧阳\n锋先生", [Span("欧阳锋", 1, 5, 0.9, "approximate")], "欧阳\n锋"),  # written otherwise than the text has it
        ("致玛丽 · 居里女士", [Span("玛丽 · 居里", 1, 8, 0.9)], "玛丽 · 居里"),  # holds what separates labels in a title
        ("致某人", [Span("洪七公", None, None, 0.9, "unaligned")] * 2, "洪七公"),  # counted where it is flagged
        ("致欧阳锋 (not in the text)", [Span("欧阳锋 (not in the text)", 1, 22, 0.9)], "欧阳锋 (not in the text)"),
    ],
)
def test_a_marked_value_is_masked_whatever_it_is_made_of(text: str, spans: list[Span], elsewhere: str) -> None:
    masked, _ = mask_page(page(f"{highlight(text, [Field('姓名', tuple(spans))])}<p>{elsewhere}到了</p>"), {"姓名": []})
    said = everything_in(masked)
    assert not [part for part in re.findall(r"[欧阳锋玛丽居里洪七公]", said) if part]
    assert "到了" in said and "致" in said


def test_a_label_with_a_colon_in_its_name_is_masked_too() -> None:
    marked = highlight("致欧阳锋", [Field("甲方: 姓名", (Span("欧阳锋", 1, 4),))])
    assert "欧阳锋" not in everything_in(mask_page(page(marked), {"甲方: 姓名": []})[0])


def test_marked_texts_of_pages_that_earlier_versions_made_are_masked_by_what_people_read() -> None:
    marked = highlight("欧阳锋在云智", [Field("姓名", (Span("欧阳锋", 0, 3, 0.9), *[Span("洪七公", None, None, match="unaligned")] * 2))])
    old = re.sub(r' data-(?:label|value|found)-\d+="[^"]*"', "", marked)
    said = everything_in(mask_page(page(f"{old}<p>欧阳锋、洪七公</p>"), {"姓名": []})[0])
    assert old != marked and not [name for name in ("欧阳锋", "洪七公") if name in said]


def test_a_page_that_has_masks_gives_another_value_another_mask() -> None:
    once, _ = mask_page(page("<p>张伟、谢翠、13812345678</p>"), {"姓名": ["张伟"]})
    assert "<p>[姓名 1]、[姓名 2]、[phone 1]</p>" in mask_page(once, {"姓名": ["张伟", "谢翠"]})[0]


@pytest.mark.parametrize("text", ["x" * 1_000_000, ("x" * 49 + "\n") * 20_000, "1" * 1_000_000])
def test_a_long_text_without_blanks_is_searched_in_seconds(text: str) -> None:
    assert Masker().mask(f"{text} a.b@c.example") == f"{text} [e-mail 1]"  # took the better part of an hour


def test_a_page_of_thousands_of_values_is_masked_in_seconds() -> None:
    values = [secrets.token_hex(6) for _ in range(3000)]
    body = "".join(f"<p>{value} 的文本，没有别的。</p>" for value in values)
    masked, count = mask_page(page(body), {"工号": values})
    assert count == 3000 and not [value for value in values if value in masked]


def test_how_many_values_a_field_has_is_no_value_of_it() -> None:
    """The tables of what is read, and of scores by label: a single personal field made every 1 of the page a name."""
    read = pandas.DataFrame({"kind": ["resume"], "documents": [12], "gold values": [1], "fields": ["姓名"]})
    scored = pandas.DataFrame({"label": ["姓名", "手机号"], "gold values": [1, 0], "F1": [1.0, 0.0]})
    page = table(read).html + table(scored).html
    assert mask_page(page, {"姓名": [], "手机号": []})[1] == 0
