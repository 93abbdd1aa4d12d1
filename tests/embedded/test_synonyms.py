"""Replaced words: nothing but listed words changes, only within their group, and no group mixes what two fields are called."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.embedded.corpus import compose as compose_module
from seqgpt_lab.embedded.corpus import synonyms
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kind import FAMILIES, Kind
from seqgpt_lab.embedded.corpus.kinds import TRAINED_KINDS
from seqgpt_lab.embedded.corpus.synonyms import known_groups, read_groups, reworded

TABLE = Path(synonyms.__file__).parent / "synonyms.txt"
GROUPS = read_groups(["甲乙 丙丁 戊", "甲乙己 庚庚"])


@given(st.lists(st.sampled_from(("甲乙", "丙丁", "甲", "庚庚", "{甲乙}", "{丙丁#2}", "。")), max_size=12), st.integers(0, 99))
def test_every_known_word_is_replaced_within_its_group_and_nothing_else(parts: list[str], seed: int) -> None:
    template = "".join(parts)
    assert reworded(template, Random(seed), 0.0, GROUPS) == template
    found = reworded(template, Random(seed), 1.0, GROUPS)

    def neutral(text: str) -> str:
        """Each group by one mark; slots by another each."""
        for word, mark in (("{甲乙}", "1"), ("{丙丁#2}", "2"), ("甲乙己", "4"), ("庚庚", "4"), ("甲乙", "5"), ("丙丁", "5"), ("戊", "5")):
            text = text.replace(word, mark)
        return text

    assert neutral(found) == neutral(template)


def test_words_within_others_do_not_count_and_those_that_overlap_are_left() -> None:
    assert {reworded("丁甲乙己", Random(seed), 1.0, GROUPS) for seed in range(60)} == {"丁甲乙己", "丁庚庚"}
    assert {reworded("丙丁甲乙", Random(seed), 1.0, read_groups(["丙丁 子", "丁甲 丑"])) for seed in range(60)} == {"丙丁甲乙"}


def test_each_word_of_a_group_is_chosen_sometimes() -> None:
    assert {reworded("甲乙", Random(seed), 0.5, GROUPS) for seed in range(60)} == {"甲乙", "丙丁", "戊"}


def test_the_table_lists_each_word_once() -> None:
    lines = [line.split() for line in TABLE.read_text(encoding="utf-8").splitlines()]
    words = [word for line in lines for word in line]
    assert len(words) == len(set(words)) and all(len(line) > 1 for line in lines)
    assert all(len(word) > 1 and not {"{", "}", "[", "]", "|"} & set(word) for word in words)
    assert len(lines) > 500


def test_half_of_all_training_documents_may_be_reworded() -> None:
    kind, found = TRAINED_KINDS[1], []
    for groups in (known_groups(), {}):
        with patch.object(compose_module, "known_groups", return_value=groups):
            found.append([compose(kind, "train", Random(seed), 0).text for seed in range(200)])
    assert 40 < sum(mine != plain for mine, plain in zip(*found, strict=True)) < 110


every_kind = pytest.mark.parametrize("kind", TRAINED_KINDS, ids=[kind.name for kind in TRAINED_KINDS])


@every_kind
def test_no_group_holds_keys_that_templates_write_before_two_fields(kind: Kind) -> None:
    """Those that stand at least three times before a colon and a slot."""
    keys: dict[str, Counter[str]] = defaultdict(Counter)
    for key, name in re.findall(r"([一-鿿]{2,8})[：:] ?\{([^{}#]+)", "\n".join(kind.templates["train"])):
        keys[key][name] += 1
    known = {key: set(names) for key, names in keys.items() if names.total() >= 3}
    for group in set(known_groups().values()):
        for one, other in combinations([word for word in group if word in known], 2):
            assert known[one] & known[other], f"{one} stands before {known[one]}, {other} before {known[other]}"


@every_kind
def test_no_group_holds_what_two_fields_are_called(kind: Kind) -> None:
    called = {wording: spec.name for spec in kind.fields for wording in (spec.name, *spec.phrases, *spec.keys)}
    family = {phrase: name for name, phrases in FAMILIES.items() for phrase in phrases}
    for group in set(known_groups().values()):
        for meanings in (called, family):
            assert len({meanings[word] for word in group if word in meanings}) <= 1, group


def test_no_clock_time_becomes_a_date() -> None:
    """`结束时间：下午3点` may not become `终止日期：下午3点`: what is called a date is asked for as one."""
    kind = next(kind for kind in TRAINED_KINDS if kind.name == "meeting_notice")
    called = {key for name in ("会议时间", "结束时间") for key in (name, *kind.field(name).phrases, *kind.field(name).keys)}
    assert not [group for word, group in known_groups().items() if word in called and any("日期" in other for other in group)]
