"""What a model may write, and what is made of it: values with their places, and a problem for whatever cannot be read."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqgpt_lab.extraction.answer import ABSENT, Answer, parse_answer

QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\t\n")
VALUES = st.text(CHARACTERS, min_size=1, max_size=8).map(str.strip).filter(lambda value: value not in ("", ABSENT))
PHRASES = st.text(CHARACTERS, min_size=1, max_size=5).map(str.strip).filter(bool)


def texts(answer: Answer) -> list[list[str]]:
    return [[value.text for value in values] for values in answer.values]


def line(name: str, values: list[str]) -> str:
    written = "\t".join(values) or ABSENT
    return f"{name}: {written}\n"


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("姓名: 张伟\n年龄: 35岁\n", [["张伟"], ["35岁"]]),
        ("姓名: 张伟\n年龄: 35岁", [["张伟"], ["35岁"]]),
        ("姓名：张伟\n年龄：35岁\n", [["张伟"], ["35岁"]]),
        ("姓名:张伟\r\n年龄:  35岁 \r\n", [["张伟"], ["35岁"]]),
        ("年龄: 35岁\n姓名: 张伟\n", [["张伟"], ["35岁"]]),
        ("姓名: 张伟\t李娜\t王五\n年龄: None\n", [["张伟", "李娜", "王五"], []]),
        ("姓名: 张伟 \t\t 李娜\t\n年龄: \tNone\n", [["张伟", "李娜"], []]),
        ("\n姓名: None\n\n年龄: None\n\n", [[], []]),
        ("姓名: 年龄: 35岁\n年龄: a:b：c\n", [["年龄: 35岁"], ["a:b：c"]]),
        ("姓名: Nonesuch\n年龄: none\n", [["Nonesuch"], ["none"]]),
        ("姓名: J. R.\u3000Smith\n年龄: 3 5\n", [["J. R.\u3000Smith"], ["3 5"]]),
    ],
)
def test_an_answer_that_can_be_read_has_no_problems(raw: str, wanted: list[list[str]]) -> None:
    answer = parse_answer(raw, ("姓名", "年龄"))
    assert texts(answer) == wanted and answer.problems == ()


@pytest.mark.parametrize(
    ("raw", "wanted", "problems"),
    [
        ("", [[], []], ["no answer for '姓名'", "no answer for '年龄'"]),
        ("姓名: 张伟\n", [["张伟"], []], ["no answer for '年龄'"]),
        ("张伟\n35岁", [[], []], ["the line ⟪张伟⟫", "the line ⟪35岁⟫", "no answer for '姓名'", "no answer for '年龄'"]),
        ("姓名: 张伟\n公司: 云智\n年龄: 35\n", [["张伟"], ["35"]], ["the line ⟪公司: 云智⟫ names none"]),
        ("姓名 张伟\n年龄: 35\n", [[], ["35"]], ["the line ⟪姓名 张伟⟫", "no answer for '姓名'"]),
        ("姓名: 张伟\n年龄: 35\n姓名: 李娜\n", [["张伟", "李娜"], ["35"]], ["'姓名' was answered more than once; all its values are kept"]),
        ("姓名: 张伟\n姓名: 张伟\n年龄: None\n", [["张伟", "张伟"], []], ["'姓名' was answered more than once"]),
        ("姓名:\n年龄: \t \n", [[], []], ["'姓名' was answered with nothing", "'年龄' was answered with nothing"]),
        ("姓名: None\t张伟\n年龄: 35\n", [["None", "张伟"], ["35"]], []),
    ],
)
def test_what_cannot_be_read_is_told_and_the_rest_is_kept(raw: str, wanted: list[list[str]], problems: list[str]) -> None:
    answer = parse_answer(raw, ("姓名", "年龄"))
    assert texts(answer) == wanted
    assert len(answer.problems) == len(problems)
    for told, expected in zip(answer.problems, problems, strict=True):
        assert told.startswith("parse: ") and expected in told


@pytest.mark.parametrize("raw", ["张伟\t李娜", "张伟\t李娜\n", "\n 张伟 \t李娜\n", "姓名: 张伟\t李娜", "姓名：张伟\t李娜"])
def test_one_label_may_be_answered_without_its_name(raw: str) -> None:
    answer = parse_answer(raw, ("姓名",))
    assert texts(answer) == [["张伟", "李娜"]] and answer.problems == ()


def test_a_bare_none_is_absent() -> None:
    assert parse_answer("None", ("姓名",)) == Answer(((),), ())


def test_only_the_first_bare_line_is_a_value() -> None:
    answer = parse_answer("张伟\n李娜\n", ("姓名",))
    assert texts(answer) == [["张伟"]]
    assert [problem for problem in answer.problems if "⟪李娜⟫" in problem]


@pytest.mark.parametrize("raw", ["好的\n姓名: 张伟\n", "姓名: 张伟\n好的\n"])
def test_a_bare_line_beside_a_named_one_is_no_value(raw: str) -> None:
    answer = parse_answer(raw, ("姓名",))
    assert texts(answer) == [["张伟"]]
    assert len(answer.problems) == 1 and "⟪好的⟫" in answer.problems[0]


@pytest.mark.parametrize("phrases", [("名", "名称", "名称:别名"), ("名称:别名", "名称", "名")])
def test_a_label_that_begins_another_takes_only_its_own_line(phrases: tuple[str, ...]) -> None:
    answer = parse_answer("名: 甲\n名称: 乙\n名称:别名: 丙\n", phrases)
    assert dict(zip(phrases, texts(answer), strict=True)) == {"名": ["甲"], "名称": ["乙"], "名称:别名": ["丙"]}
    assert answer.problems == ()


def test_a_label_is_not_read_as_a_pattern() -> None:
    assert texts(parse_answer("手机(11位): 138\n.*: x\n", ("手机(11位)", ".*"))) == [["138"], ["x"]]


@QUICK
@given(data=st.data())
def test_a_formatted_answer_gives_its_values_back(data: st.DataObject) -> None:
    # A name that continues another's after a colon could be either one's line, so names here have none.
    names = data.draw(st.lists(PHRASES.filter(lambda name: not set(name) & set(":：")), min_size=1, max_size=6, unique=True))
    values = [data.draw(st.lists(VALUES, max_size=4)) for _ in names]
    raw = "".join(map(line, names, values))
    answer = parse_answer(raw, names)
    assert texts(answer) == values and answer.problems == ()


@QUICK
@given(
    raw=st.text(st.sampled_from("姓名年龄: ：\t\n张None\r\u3000x"), max_size=60),
    phrases=st.sampled_from([("姓名",), ("姓名", "年龄"), ("年", "年龄")]),
)
def test_any_answer_is_read_and_every_value_stands_where_it_says(raw: str, phrases: tuple[str, ...]) -> None:
    answer = parse_answer(raw, phrases)
    assert len(answer.values) == len(phrases)
    assert all(problem.startswith("parse: ") for problem in answer.problems)
    values = [value for values in answer.values for value in values]
    assert all(raw[value.start : value.end] == value.text == value.text.strip() != "" for value in values)
    assert len({value.start for value in values}) == len(values)
    if raw.strip() and not answer.problems:
        assert sum(bool(part.strip()) for part in raw.split("\n")) == len(phrases)
