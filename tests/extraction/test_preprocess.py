"""What each preprocessing step does to a text, and that offsets lead back to the original after any combination of them."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents import Document
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.cleaning import UNMAPPED_PROBLEM, CleaningExtractor, restored
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.preprocess import STEPS, WHAT_STEPS_DO, Cleaned, clean
from seqgpt_lab.extraction.spans import Field, Span

# Characters that some step or other changes, drops, joins or splits, and plain ones.
HARD = "張伟电話萬與0O5l1曰日间问年月：:，,（(【)> \t\u3000\n\r\u2028\ufffd\u200b\ue000□Ａ９ｶﾞ·*\x00\ud800😀后後发髮乾干"
TEXTS = st.text(st.sampled_from(HARD) | st.characters(), max_size=30)
COMBINATIONS = st.lists(st.sampled_from(sorted(STEPS)), max_size=6)


@pytest.mark.parametrize(
    ("step", "text", "wanted"),
    [
        ("join_lines", "上海 \r\n  云智\n\n公司", "上海云智公司"),
        ("lines_to_spaces", "上海 \r\n  云智\n \n公司", "上海 云智 公司"),
        ("strip_spaces", "张 伟\u3000 35\n岁", "张伟35\n岁"),
        ("single_spaces", "张  伟 35\t\t岁", "张 伟 35 岁"),
        ("half_width", "ＡＢ１２，（５％）：\u3000½ﬁ￣。", "AB12,(5%): ½ﬁ￣。"),
        ("full_width", "金额:5%,(含税)", "金额：5％，（含税）"),
        ("simplified", "聯繫電話：後天", "联系电话：后天"),
        ("traditional", "联系电话：后天", "聯繫電話：後天"),
        ("ocr_correction", "2O24年5月9曰，合同10O00元，月未，时问：1l8，OK", "2024年5月9日，合同10000元，月末，时间：118，OK"),
        ("ocr_correction", "1, 280元，35 万元", "1,280元，35万元"),
        ("ocr_correction", "1OO元，3OOO，2o〇8年，1ll8，1||8，5Oo", "100元，3OOO，2008年，1118，1||8，500"),
        ("remove_punctuation", "【贷款】5,000.00元（含税）_张·伟", "贷款500000元含税张伟"),
        ("remove_punctuation", "Cafe\u0301, हिन्दी\u0964☎\ufe0f 1\ufe0f\u20e3", "Cafe\u0301 हिन्दी 1"),
        ("remove_brackets", "【贷款】〔2024〕5号（含税）", "贷款20245号含税"),
        ("drop_garbage", "张\ufffd伟\u200b□\x00，138****1234", "张伟，138****1234"),
        ("drop_garbage", "\u2068张\u200d伟\u2069，\u202d138\u202c\u200e☎\ufe0f", "张伟，138☎"),
        ("email_quoting", "> 电话 138\r\nOn Monday, Li wrote:\r\n> 好", "电话 138\r\n好"),
        ("email_quoting", "> > 你好\n>电话 138\n在 2024年，张伟 写道：\n好 > 坏", "你好\n电话 138\n好 > 坏"),
    ],
)
def test_each_step_does_what_its_name_says(step: str, text: str, wanted: str) -> None:
    assert clean(text, [step]).text == wanted


def test_every_step_is_described() -> None:
    assert list(WHAT_STEPS_DO) == list(STEPS)


@settings(deadline=None, max_examples=250)
@given(text=TEXTS, steps=COMBINATIONS)
@example(text="签字", steps=["traditional"])
def test_offsets_survive_every_combination_of_steps(text: str, steps: list[str]) -> None:
    cleaned = clean(text, steps)
    starts, ends = cleaned.starts, cleaned.ends
    assert len(starts) == len(ends) == len(cleaned.text)
    assert all(0 <= start <= end <= len(text) for start, end in zip(starts, ends, strict=True))
    assert list(starts) == sorted(starts) and list(ends) == sorted(ends)
    for at, character in enumerate(cleaned.text):
        source = text[starts[at] : ends[at]]
        # Whatever stands for exactly one character of the original comes from it by this text's own steps.
        assert source == character or len(source) != 1 or _simplified(character) in _images(source, steps)


def _images(source: str, steps: Sequence[str]) -> set[str]:
    """What one character can become on its own, simplified: in a phrase OpenCC may give another traditional form (签: 簽, 籤)."""
    met = {source}
    for step in steps:
        met |= {clean(one, [step]).text for one in met}
    return {*map(_simplified, met), *" 0日末间1"}


def _simplified(text: str) -> str:
    return clean(text, ["simplified"]).text


@settings(deadline=None, max_examples=150)
@given(pieces=st.lists(st.tuples(st.text(st.sampled_from("甲乙丙丁35AB"), min_size=1, max_size=4), TEXTS), max_size=5), steps=COMBINATIONS)
def test_plain_words_are_found_again_in_the_original(pieces: list[tuple[str, str]], steps: list[str]) -> None:
    """Words that no step touches keep their places, whatever is around them."""
    text, places = "", []
    for word, around in pieces:
        places.append((len(text), len(text) + len(word)))
        text += word + around
    cleaned = clean(text, steps)
    back = {start: at for at, start in enumerate(cleaned.starts) if cleaned.ends[at] == start + 1}
    for start, end in places:
        if all(text[at] in "甲乙丙丁AB" for at in range(start, end)):
            assert cleaned.original_range(back[start], back[end - 1] + 1) == (start, end)


def test_what_was_dropped_inside_a_value_belongs_to_it_and_what_was_around_does_not() -> None:
    cleaned = clean("公司：上海\n云智 ，", ["join_lines", "strip_spaces", "remove_punctuation"])
    assert cleaned.text == "公司上海云智"
    assert cleaned.original_range(2, 6) == (3, 8)


def test_what_was_put_in_stands_for_what_it_replaced_or_for_nothing() -> None:
    assert clean("a \n b", ["lines_to_spaces"]).original_range(1, 2) == (1, 4)
    assert clean("（a） \n b", ["remove_brackets", "lines_to_spaces"]).original_range(1, 2) == (3, 6)
    inserted = Cleaned.of("ab").edited([(1, 1, "xx")])
    assert (inserted.text, inserted.original_range(1, 3), inserted.original_range(0, 2)) == ("axxb", None, (0, 1))
    ended = clean("ab ", ["strip_spaces"]).edited([(2, 2, "x")])
    assert (ended.text, ended.starts, ended.ends) == ("abx", (0, 1, 3), (1, 2, 3))
    assert Cleaned.of("").edited([(0, 0, "x")]).original_range(0, 1) is None
    with pytest.raises(OptionError, match=r"\[2, 2\) is no range"):
        inserted.original_range(2, 2)


def test_unknown_steps_and_a_bare_name_are_refused_with_the_names_there_are() -> None:
    with pytest.raises(OptionError, match=r"no preprocessing steps \['upper'\]; there are join_lines"):
        clean("x", ["join_lines", "upper"])
    with pytest.raises(OptionError, match=r"give a list"):
        clean("x", "join_lines")


@pytest.mark.parametrize("text", [" " * 300_000, "\n" * 100_000, "\t" * 100_000 + "x", "> " * 100_000, "在" * 100_000, "張" * 200_000])
def test_long_runs_take_no_more_than_seconds(text: str) -> None:
    started = time.perf_counter()
    clean(text, list(STEPS))
    assert time.perf_counter() - started < 20


class Scripted:
    """Finds these values wherever the text that it is shown holds them."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self.values, self.seen = values, list[str]()

    def extract(self, documents: Sequence[Document], labels: object, *, progress: object = None) -> list[Extraction]:
        self.seen += [document.text for document in documents]
        return [self._one(document) for document in documents]

    def _one(self, document: Document) -> Extraction:
        fields = []
        for label, values in self.values.items():
            places = [(value, document.text.find(value)) for value in values]
            fields.append(Field(label, tuple(Span(value, at, at + len(value)) for value, at in places if at >= 0)))
        return Extraction(document.id, document.text, tuple(fields))


def test_a_cleaning_extractor_gives_values_of_the_original_text() -> None:
    scripted = Scripted({"公司": ["上海云智"], "电话": ["138"]})
    extractor = CleaningExtractor(scripted, ["join_lines", "simplified"])  # type: ignore[arg-type]
    (found,) = extractor.extract([Document("d", "上海\n雲智，電話138")], "公司,电话")
    assert scripted.seen == ["上海云智，电话138"]
    assert found.text == "上海\n雲智，電話138"
    assert [(span.text, span.start, span.end, span.match) for field in found.fields for span in field.spans] == [
        ("上海\n雲智", 0, 5, "approximate"),
        ("138", 8, 11, "exact"),
    ]
    with pytest.raises(OptionError, match="upper"):
        CleaningExtractor(scripted, ["upper"])  # type: ignore[arg-type]


def test_a_value_that_stands_for_nothing_is_said_to() -> None:
    cleaned = Cleaned.of("ab").edited([(1, 1, "x")])
    extraction = Extraction("d", "axb", (Field("A", (Span("x", 1, 2), Span("y", None, None, match="unaligned"))),))
    back = restored(extraction, cleaned)
    assert back.fields[0].spans[0].match == "unaligned"
    assert back.problems == (f"{UNMAPPED_PROBLEM} ⟪x⟫ stands for nothing in the text before preprocessing",)
