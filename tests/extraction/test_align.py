"""Where values are found in a text: planted ones exactly there, rewritten ones too, missing ones nowhere."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal, SupportsIndex

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seqgpt_lab.extraction.align import Aligner
from seqgpt_lab.extraction.spans import Match, Span

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
BLANKS = " \n\u3000\t"
FILLERS = st.text("甲乙丙，。：（-😀\x00" + BLANKS, min_size=1, max_size=6)
VALUES = st.text("ab12%张伟云𠮷👨é", min_size=1, max_size=6)
PLANTED = st.lists(VALUES, min_size=1, max_size=6, unique=True).filter(
    lambda values: not any(one != other and plain(one) in plain(other) for one in values for other in values)
)


def plain(text: str) -> str:
    """Half-width and without white space, worked out another way than the code does."""
    half = (chr(ord(character) - 0xFEE0) if "！" <= character <= "～" else character for character in text)
    return "".join(half).translate({ord(blank): None for blank in BLANKS})


def wide(text: str) -> str:
    return "".join(chr(ord(character) + 0xFEE0) if "!" <= character <= "~" else character for character in text)


def places(spans: Sequence[Span]) -> list[tuple[int, int] | str]:
    return [span.match if span.start is None or span.end is None else (span.start, span.end) for span in spans]


def place(text: str, *values: str) -> list[tuple[int, int] | str]:
    return places(Aligner(text).place([(value, None) for value in values]))


@st.composite
def planted(draw: st.DrawFn) -> tuple[str, list[tuple[str, int, int]]]:
    """A text, and values at [start, end) in it that occur nowhere else."""
    text, found = draw(FILLERS), []
    for value in draw(st.lists(st.sampled_from(draw(PLANTED)), min_size=1, max_size=10)):
        found.append((value, len(text), len(text) + len(value)))
        text += value + draw(FILLERS)
    return text, found


@QUICK
@given(drawn=planted())
def test_planted_values_are_found_exactly_where_they_are(drawn: tuple[str, list[tuple[str, int, int]]]) -> None:
    text, found = drawn
    spans = Aligner(text).place([(value, number / 10) for number, (value, _, _) in enumerate(found)])
    assert spans == tuple(Span(value, start, end, number / 10, "exact") for number, (value, start, end) in enumerate(found))


@QUICK
@given(drawn=planted(), data=st.data())
def test_places_do_not_depend_on_the_order_of_different_values(drawn: tuple[str, list[tuple[str, int, int]]], data: st.DataObject) -> None:
    text, found = drawn
    shuffled = data.draw(st.permutations(found))
    assert set(place(text, *(value for value, _, _ in shuffled))) == {(start, end) for _, start, end in found}


@QUICK
@given(before=FILLERS, value=VALUES, after=FILLERS, data=st.data())
def test_other_width_and_white_space_are_approximate(before: str, value: str, after: str, data: st.DataObject) -> None:
    blanks = [data.draw(st.sampled_from(["", "", *BLANKS, " \n"])) for _ in value[1:]]
    spread = "".join(character + blank for character, blank in zip(value, [*blanks, ""], strict=True))
    as_written = data.draw(st.sampled_from([spread, wide(spread)]))
    (span,) = Aligner(before + as_written + after).place([(value, 0.5)])
    match: Match = "exact" if as_written == value else "approximate"
    assert span == Span(value, len(before), len(before) + len(as_written), 0.5, match)


@QUICK
@given(drawn=planted(), value=VALUES)
def test_a_value_that_is_not_there_is_kept_and_unaligned(drawn: tuple[str, list[tuple[str, int, int]]], value: str) -> None:
    missing = value + "丁"
    assert Aligner(drawn[0]).place([(missing, 0.25)]) == (Span(missing, None, None, 0.25, "unaligned"),)


SOUP = st.text(st.sampled_from("aA１1 \n张㎏kg⑪①½…..ﬁ㈱(株)ǅßSs\x00😀"), max_size=30)


def compatible(text: str) -> str:
    parts = (unicodedata.normalize("NFKC", character).casefold() for character in text)
    return "".join("".join(parts).split())


@QUICK
@given(text=SOUP, values=st.lists(SOUP.map(str.strip).filter(bool), max_size=12))
@example(text="①⑪1", values=["11", "1", "1", "1"])
@example(text="Aaaa", values=["aa", "aa", "aa"])
@example(text="重㎏", values=["g", "k", "kg"])
def test_every_place_holds_its_value_and_no_place_is_given_twice(text: str, values: list[str]) -> None:
    spans = Aligner(text).place([(value, None) for value in values])
    assert [span.text for span in spans] == values
    taken = [(span.start, span.end) for span in spans if span.match != "unaligned"]
    assert len(set(taken)) == len(taken)
    for span in spans:
        if span.match == "unaligned":
            assert text.count(span.text) < sum(compatible(value) == compatible(span.text) for value in values)
        else:
            found = text[span.start : span.end]
            assert (found == span.text) == (span.match == "exact")
            assert compatible(found) == compatible(span.text)


def test_a_repeated_value_takes_successive_places_then_none() -> None:
    assert place("张伟和张伟", "张伟", "张伟", "张伟") == [(0, 2), (3, 5), "unaligned"]


def test_places_of_one_value_do_not_overlap() -> None:
    """Neither exact ones nor those that merely read alike: nothing is mentioned twice at one place."""
    assert place("哈哈哈", "哈哈", "哈哈") == [(0, 2), "unaligned"]
    assert place("哈 哈 哈", "哈哈", "哈哈") == [(0, 3), "unaligned"]
    assert place("ａａａａ", "aa", "aa", "aa") == [(0, 2), (2, 4), "unaligned"]


def test_labels_do_not_take_places_from_one_another() -> None:
    aligner = Aligner("张伟")
    assert places(aligner.place([("张伟", None)])) == places(aligner.place([("张伟", None)])) == [(0, 2)]


def test_exact_places_come_before_approximate_ones() -> None:
    assert place("１２ 和 12", "12", "12", "12") == [(5, 7), (0, 2), "unaligned"]
    assert place("上海\n云智，上海云智", "上海云智", "上海云智") == [(6, 10), (0, 5)]


def test_characters_that_nobody_sees_do_not_hide_a_value() -> None:
    aligner = Aligner("\ufeff张\u200b伟\u200b，在云\u00ad智")
    assert [aligner.place([(value, None)])[0] for value in ("张伟", "云智", "\u200d")] == [
        Span("张伟", 1, 4, None, "approximate"),
        Span("云智", 7, 10, None, "approximate"),
        Span("\u200d", None, None, None, "unaligned"),
    ]


def test_no_piece_of_a_text_with_accents_without_end_is_normalised_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ordering the accents of one letter takes time with the square of their number."""
    normalize, lengths = unicodedata.normalize, []

    def counted(form: Literal["NFKD"], text: str) -> str:
        lengths.append(len(text))
        return normalize(form, text)

    monkeypatch.setattr(unicodedata, "normalize", counted)
    assert place("Cafe" + "\u0301\u0323" * 500 + "，ＣＡＦÉ", "cafe\u0301", "ＣＡＦÉ") == [(1005, 1009), "unaligned"]
    assert lengths and max(lengths) < 40


@pytest.mark.parametrize("sign", ["\u034f", "\u2068", "\u3164", "\ufe00", "\U000e0100"])
def test_no_sign_that_unicode_calls_invisible_hides_a_value(sign: str) -> None:
    assert Aligner(f"我是张{sign}伟").place([("张伟", None)]) == (Span("张伟", 2, 5, None, "approximate"),)


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("在 Cafe\u0301 见", "Café", (2, 7)),
        ("在 Café 见", "Cafe\u0301", (2, 6)),
        ("Nguye\u0302\u0303n", "Nguyễn", (0, 8)),
        ("Vie\u0302\u0323t", "Việt", (0, 6)),  # accents in another order than Unicode's
        ("Viê\u0323t", "Vie\u0323\u0302t", (0, 5)),
        ("ｶﾞｽ", "ガス", (0, 3)),
        ("ｽﾊﾟ", "スパ", (0, 3)),
        ("\u1112\u1161\u11ab\u1100\u116e\u11a8", "한국", (0, 6)),
        ("o\u0302\u0303\u0308\u0323\u0331\u0328", "ộ\u0331\u0328\u0303\u0308", (0, 7)),  # a letter with six accents
        # Upper and lower case are not always one letter each.
        ("STRASSE", "Straße", (0, 7)),
        ("ΟΔΟΣ", "οδος", (0, 4)),
        # Half a letter is another one.
        ("Café", "Cafe", "unaligned"),
        ("CAFE\u0301", "Cafe", "unaligned"),
        ("ガス", "カス", "unaligned"),
        ("ｶﾞｽ", "カ", "unaligned"),
        ("ﾊﾟｽ", "ハ", "unaligned"),
        ("각", "가", "unaligned"),
    ],
)
def test_letters_are_found_however_their_accents_are_encoded(text: str, value: str, wanted: tuple[int, int] | str) -> None:
    (span,) = Aligner(text).place([(value, None)])
    assert places([span]) == [wanted] and span.match in ("approximate", "unaligned")


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("13800，3个", "3", [(6, 7), (1, 2), "unaligned"]),
        ("Wang Wanger, Wang", "Wang", [(0, 4), (13, 17), (5, 9)]),
        ("A13 3B 3", "3", [(7, 8), (2, 3), (4, 5)]),
        ("价格1,280元，运费280元", "280", [(11, 14), (4, 7), "unaligned"]),
        ("利率3.5%，期限5年", "5", [(9, 10), (4, 5), "unaligned"]),
        # Chinese has no blanks between words, so there the first place is as good as any.
        ("张伟明，张伟", "张伟", [(0, 2), (4, 6), "unaligned"]),
        ("Cafe\u0301，Cafe", "Cafe", [(6, 10), (0, 4), "unaligned"]),
        # Approximate places prefer whole words too.
        ("AB12x ab12", "aB12", [(6, 10), (0, 4), "unaligned"]),
    ],
)
def test_whole_words_come_first(text: str, value: str, wanted: list[tuple[int, int] | str]) -> None:
    assert place(text, value, value, value) == wanted


@pytest.mark.parametrize(
    ("text", "value", "wanted"),
    [
        ("👨‍👩‍👧张伟😀", "张伟", (5, 7)),
        ("a😀b", "😀", (1, 2)),
        ("𠮷野家，𠮷", "𠮷野家", (0, 3)),
        ("\x00张\x00伟", "张\x00伟", (1, 4)),
        ("电话：（０２１）１２３４", "(021)1234", (3, 12)),
        ("共 1 2 0 元", "120元", (2, 9)),
        ("EMAIL: A@Example.com", "a@example.com", (7, 20)),
        ("占地80㎡。", "80m2", (2, 5)),
        ("①⑪1", "11", (1, 2)),
    ],
)
def test_offsets_are_code_points(text: str, value: str, wanted: tuple[int, int]) -> None:
    assert place(text, value) == [wanted]


@pytest.mark.parametrize(("text", "value"), [("重㎏", "g"), ("第⑪条", "1"), ("…", "."), ("", "x"), ("x", "xx")])
def test_a_part_of_one_character_is_no_place(text: str, value: str) -> None:
    assert place(text, value) == ["unaligned"]


class Counting(str):
    """A text that counts how often it is searched and how often it is walked through."""

    searched = 0
    walked = 0

    def find(self, value: str, start: SupportsIndex | None = None, end: SupportsIndex | None = None, /) -> int:
        self.searched += 1
        return super().find(value, start, end)

    def __iter__(self) -> Iterator[str]:
        self.walked += 1
        return super().__iter__()


@pytest.mark.parametrize("piece", ["1，", "11"])
def test_a_thousand_repeats_in_a_long_text_are_found_in_one_sweep(piece: str) -> None:
    text = Counting(piece * 50_000)
    spans = Aligner(text).place([("1", None)] * 1000)
    assert all(span.match == "exact" for span in spans)
    assert text.searched <= 100_001


def test_a_thousand_values_that_are_not_there_cost_a_search_each() -> None:
    text = Counting("张伟，３５岁。\n" * 12_000)
    spans = Aligner(text).place([(f"李{number}", None) for number in range(1000)] * 2)
    assert all(span.match == "unaligned" for span in spans)
    assert (text.searched, text.walked) == (1000, 1)
