"""Which labels can be asked, how they may be typed, and what a label-set file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqgpt_lab.errors import LabelError
from seqgpt_lab.extraction.labels import Label, LabelSet

WORDS = st.text(st.characters(exclude_characters=",，、→>", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
LABELS = st.builds(Label, WORDS, WORDS | st.just(""), st.lists(WORDS, max_size=3).map(tuple), st.booleans(), st.booleans())
SETS = st.lists(LABELS, min_size=1, max_size=8, unique_by=(lambda label: label.field, lambda label: label.phrase))


def written(directory: Path, text: str) -> Path:
    path = directory / "labels.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "typed",
    [
        "姓名,公司,手机号",
        "姓名，公司，手机号",
        "姓名, 公司 ，\u3000手机号",
        "姓名\n公司\r\n手机号\n",
        ",姓名,,公司，,手机号,",
        "姓名、公司、手机号",
        "姓名 公司\u3000 手机号",
        ["姓名", "公司", "手机号"],
        pd.Series(["姓名", "公司", "手机号"]),
        np.array(["姓名", "公司", "手机号"]),
        dict.fromkeys(["姓名", "公司", "手机号"]).keys(),
    ],
)
def test_labels_may_be_typed_in_many_ways(typed: Any) -> None:
    labels = LabelSet.of(typed)
    assert labels.names == ("姓名", "公司", "手机号") and labels.to_yaml() == LabelSet.of("姓名,公司,手机号").to_yaml()


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ({"姓名": "name"}, "the labels are a dict; give a string with commas, or a list"),
        ({"姓名", "年龄"}, "the labels are a set"),
        (None, "the labels are a NoneType"),
        (["姓名", 5], "the label 5 is a int"),
        ([("姓名", "name")], "the label .* is a tuple"),
        (pd.DataFrame({"姓名": ["张伟"]}), "the labels are a DataFrame"),
    ],
)
def test_what_would_lose_phrases_or_their_order_is_refused(labels: Any, told: str) -> None:
    with pytest.raises(LabelError, match=told):
        LabelSet.of(labels)


@settings(deadline=None, max_examples=50)
@given(words=st.lists(WORDS, min_size=1, unique=True), separator=st.sampled_from([",", "，", "\n", "\r\n", " ， ", ", "]))
def test_any_words_between_commas_or_lines_are_labels_in_their_order(words: list[str], separator: str) -> None:
    assert LabelSet.of(separator.join(words)) == LabelSet.of(words) == LabelSet(tuple(Label(word) for word in words))


def test_a_blank_inside_a_name_belongs_to_it() -> None:
    assert LabelSet.of("job title, 联系 电话").phrases == ("job title", "联系 电话")


def test_blanks_separate_only_beside_chinese_and_where_nothing_else_does() -> None:
    assert LabelSet.of("姓名 job title 年龄").names == ("姓名", "job title", "年龄")
    assert LabelSet.of("job title").names == ("job title",)


@pytest.mark.parametrize("typed", ["姓名,邮箱->email", "姓名 邮箱 => email", ["姓名", "邮箱→email"]])
def test_an_arrow_gives_a_field_a_phrase_of_its_own(typed: str | list[str]) -> None:
    labels = LabelSet.of(typed)
    assert (labels.names, labels.phrases) == (("姓名", "邮箱"), ("姓名", "email"))
    assert LabelSet.of([label.written for label in labels.labels]) == labels


def test_phrases_and_order_change_by_field_name() -> None:
    labels = LabelSet((Label("邮箱", synonyms=("email",)), Label("姓名", personal=True)), "x")
    changed = labels.reworded({"邮箱": "email"}).reordered(["姓名", "邮箱"])
    assert changed == LabelSet((Label("姓名", personal=True), Label("邮箱", "email", ("email",))), "x")
    with pytest.raises(LabelError, match=r"no fields \['电话'\]"):
        labels.reworded({"电话": "x"})
    with pytest.raises(LabelError, match="name every field once"):
        labels.reordered(["姓名"])


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(labels=SETS, name=WORDS)
def test_what_is_saved_is_loaded_again(tmp_path: Path, labels: list[Label], name: str) -> None:
    LabelSet(tuple(labels), name).save(tmp_path / "labels.yaml")
    assert LabelSet.load(tmp_path / "labels.yaml") == LabelSet(tuple(labels), name)


def test_a_label_set_is_taken_as_it_is() -> None:
    labels = LabelSet((Label("公司", "供应商"),), "采购")
    assert LabelSet.of(labels) is labels


def test_the_phrase_is_the_field_unless_given() -> None:
    labels = LabelSet((Label("公司"), Label("电话", "手机号")))
    assert (labels.names, labels.phrases) == (("公司", "电话"), ("公司", "手机号"))


@pytest.mark.parametrize("typed", ["", " \n ", ",，,", []])
def test_no_labels_are_refused_with_advice(typed: str | list[str]) -> None:
    with pytest.raises(LabelError, match="name at least one"):
        LabelSet.of(typed)


@pytest.mark.parametrize("typed", ["姓名,公司,姓名", ["姓名", "姓名"], "姓名，姓名 "])
def test_a_label_given_twice_is_named(typed: str | list[str]) -> None:
    with pytest.raises(LabelError, match="姓名 are given twice"):
        LabelSet.of(typed)


def test_two_fields_cannot_share_a_phrase() -> None:
    with pytest.raises(LabelError, match="phrases 手机号 are given twice"):
        LabelSet((Label("电话", "手机号"), Label("手机号")))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("姓名,公司", "the ASCII comma"),
        ("姓名，公司", "the full-width comma"),
        ("姓名\t公司", "a tab"),
        ("姓名\n公司", "a line break"),
        ("姓名\r公司", "a line break"),
        ("", "empty"),
        ("  ", "empty"),
        (" 姓名", "begins or ends with white space; write '姓名'"),
        ("姓名\u3000", "begins or ends with white space"),
        ("姓\x00名", "control character"),
        ("姓\x7f名", "control character"),
        ("姓\x85名", "control character"),
        ("姓\ud800名", "half a character"),
        ("\ufeff姓名", r"'\\ufeff姓名' contains .* nobody sees"),
        ("姓名\u200b", r"'姓名\\u200b' contains .* nobody sees"),
        ("\u200b", "nobody sees"),
        ("\u061c姓名", "nobody sees"),
    ],
)
def test_a_name_with_a_separator_or_worse_says_what_is_wrong(name: str, what: str) -> None:
    with pytest.raises(LabelError, match=what):
        LabelSet.of([name])


def test_joiners_that_words_and_emoji_are_written_with_may_be_asked() -> None:
    assert LabelSet.of("نام\u200cخانوادگی,👨\u200d👩\u200d👧").names == ("نام\u200cخانوادگی", "👨\u200d👩\u200d👧")


@pytest.mark.parametrize("label", [lambda bad: Label("好", bad), lambda bad: Label("好", "", ("好", bad))])
def test_phrases_and_synonyms_are_held_to_the_same_rules(label: type[Label]) -> None:
    with pytest.raises(LabelError, match="the ASCII comma"):
        label("a,b")


def test_a_tab_in_a_typed_list_is_refused_not_guessed() -> None:
    with pytest.raises(LabelError, match="a tab"):
        LabelSet.of("姓名\t年龄,公司")


@pytest.mark.parametrize("name", ["甲方:乙方", "[GEN]", "</s>", "输出:", "None", "𠮷😀", "ZIP code", "手机号(11位)"])
def test_odd_names_that_can_be_asked_are_accepted(name: str) -> None:
    assert LabelSet.of([name]).names == (name,)


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(labels=SETS, name=WORDS)
def test_a_file_gives_back_every_field(tmp_path: Path, labels: list[Label], name: str) -> None:
    fields = [
        {"field": one.field, "phrase": one.phrase, "synonyms": list(one.synonyms), "multiple": one.multiple, "personal": one.personal}
        for one in labels
    ]
    path = written(tmp_path, yaml.safe_dump({"name": name, "fields": fields}, allow_unicode=True))
    assert LabelSet.load(path) == LabelSet(tuple(labels), name)


def test_a_file_may_leave_out_all_but_the_names(tmp_path: Path) -> None:
    path = written(tmp_path, "fields: [姓名, {field: 公司}, {field: 电话, phrase: null, synonyms: null}]\n")
    assert LabelSet.load(str(path)) == LabelSet((Label("姓名"), Label("公司"), Label("电话")))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("fields: [姓名", "not YAML"),
        ("fields: [2024-13-45]", "not YAML"),
        ("fields:\n\t- 姓名", "not YAML"),
        ("", "a list called 'fields'"),
        ("- 姓名", "a list called 'fields'"),
        ("fields: 姓名", "a list called 'fields'"),
        ("labels: [姓名]", "a list called 'fields'"),
        ("fields: [姓名]\nlables: x", r"unknown keys \['lables'\]"),
        ("fields: [{field: 姓名, phrases: x}]", r"field 1: unknown keys \['phrases'\].*known are"),
        ("fields: [姓名, 35]", "field 2: 35 is not a name"),
        ("fields: [{phrase: 姓名}]", "field 1: .* is not a name or a mapping with 'field'"),
        ("fields: [{field: 姓名, phrase: 35}]", "phrase is 35"),
        ("fields: [{field: 姓名, synonyms: 名字}]", "synonyms are '名字'"),
        ("fields: [{field: 姓名, synonyms: [1]}]", r"synonyms are \[1\]"),
        ("fields: [{field: 姓名, multiple: 3}]", "multiple is 3; write true or false"),
        ("fields: [{field: 姓名, personal: 'yes'}]", "personal is 'yes'"),
        ("fields: []", "no labels were given"),
        ("fields: [姓名, 姓名]", "姓名 are given twice"),
        ("fields: ['姓名,公司']", "the ASCII comma"),
        ("fields: [姓名]\nfields: [公司]", "this key stands there already(?s:.)*line 2"),
        ("name:\nfields: [姓名]", "'name' is"),
    ],
)
def test_a_file_that_is_wrong_says_where(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(LabelError, match=what):
        LabelSet.load(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match=r"nowhere\.yaml cannot be read: No such file"):
        LabelSet.load(tmp_path / "nowhere.yaml")
    with pytest.raises(LabelError, match="cannot be read"):
        LabelSet.load(tmp_path)
    with pytest.raises(LabelError, match=r"give the path of a \.yaml file"):
        LabelSet.load(Path("姓名,年龄"))


def test_a_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.yaml"
    path.write_bytes("fields: [姓名]".encode("gb18030"))
    with pytest.raises(LabelError, match="not YAML in UTF-8"):
        LabelSet.load(path)
