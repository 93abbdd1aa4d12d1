"""What every maker of values promises: splits that share nothing, safe numbers, clean text, and the same value for the same seed."""

from __future__ import annotations

import datetime
import re
from functools import cache
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.embedded.corpus import values
from seqgpt_lab.embedded.corpus.disjoint import open_class
from seqgpt_lab.embedded.corpus.kind import Make, Split
from seqgpt_lab.embedded.corpus.numbers import credit_check, id_check, passes_luhn
from seqgpt_lab.embedded.corpus.numerals import FINANCIAL, digits, numeral
from seqgpt_lab.errors import SeqGPTLabError

SPLITS: tuple[Split, ...] = get_args(Split)
MAKERS = values.OPEN_MAKERS + values.CLOSED_MAKERS
DRAWS = 300
RESERVED = re.compile(r"(?:^|[.@/])example\.(?:com|cn|org|net)(?:[/?]|$)")


def name_of(make: Make) -> str:
    return make.__name__


@cache
def draws(make: Make, split: Split, count: int = DRAWS) -> tuple[str, ...]:
    random = Random(f"{name_of(make)} {split}")
    return tuple(make(random, split) for _ in range(count))


@pytest.mark.parametrize("make", values.OPEN_MAKERS, ids=name_of)
def test_open_classes_share_no_value_between_splits(make: Make) -> None:
    train, dev, test = (set(draws(make, split)) for split in SPLITS)
    assert not train & dev
    assert not train & test
    assert not dev & test


@pytest.mark.parametrize("make", [make for make in values.OPEN_MAKERS if make is not values.meeting_room], ids=name_of)
def test_open_classes_are_varied(make: Make) -> None:
    assert len(set(draws(make, "train"))) > DRAWS // 2


@pytest.mark.parametrize("make", MAKERS, ids=name_of)
def test_values_are_clean_in_every_split(make: Make) -> None:
    for split in SPLITS:
        for value in draws(make, split):
            assert value and value == value.strip(), repr(value)
            assert not set(value) & set("，；。\t\n\r{}"), repr(value)


@pytest.mark.parametrize("make", MAKERS, ids=name_of)
@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
@settings(max_examples=10, deadline=None)
def test_same_seed_same_value(make: Make, seed: int, split: Split) -> None:
    assert make(Random(seed), split) == make(Random(seed), split)


@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
@settings(max_examples=200, deadline=None)
def test_identity_numbers_are_nobodys(seed: int, split: Split) -> None:
    number = values.id_number(Random(seed), split)
    assert re.fullmatch(r"\d{17}[\dX]", number)
    datetime.date.fromisoformat(f"{number[6:10]}-{number[10:12]}-{number[12:14]}")
    assert number[17] != id_check(number[:17])


@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
@settings(max_examples=200, deadline=None)
def test_bank_cards_fail_luhn(seed: int, split: Split) -> None:
    number = values.bank_card(Random(seed), split).replace(" ", "")
    assert re.fullmatch(r"\d{16,19}", number)
    assert not passes_luhn(number)


@given(seed=st.integers(0, 2**32), split=st.sampled_from(SPLITS))
@settings(max_examples=200, deadline=None)
def test_tax_numbers_have_a_wrong_check_sign(seed: int, split: Split) -> None:
    number = values.tax_number(Random(seed), split)
    assert re.fullmatch(r"[0-9A-Z]{18}", number)
    assert number[17] != credit_check(number[:17])


def test_check_signs_agree_with_the_standards() -> None:
    # Worked out by hand: a single 1 leaves its weight, 2 and 7 for identity numbers, 3**16 % 31 = 28 for credit codes.
    assert id_check("0" * 6 + "1" + "0" * 10) == "X"
    assert id_check("1" + "0" * 16) == "5"
    assert passes_luhn("79927398713")
    assert not passes_luhn("79927398710")
    assert credit_check("0" * 16 + "1") == "3"


@pytest.mark.parametrize("split", ["dev", "test"])
@pytest.mark.parametrize("make", [values.email, values.url], ids=name_of)
def test_held_out_hosts_are_reserved_names(make: Make, split: Split) -> None:
    for value in draws(make, split):
        assert RESERVED.search(value), value


def test_train_emails_come_from_many_domains() -> None:
    assert len({value.split("@")[1] for value in draws(values.email, "train")}) > DRAWS // 2


def test_mobiles_are_plain_or_in_a_known_form() -> None:
    plain = 0
    for value in draws(values.mobile, "train"):
        number = re.sub(r"^\(?\+86\)?[ -]?", "", value)
        assert re.fullmatch(r"1[3-9]\d[ -]?(?:\d{4}|\*{4})[ -]?\d{4}", number), value
        plain += bool(re.fullmatch(r"\d{11}", value))
    assert 0.7 < plain / DRAWS < 0.9


@pytest.mark.parametrize("make", [values.money, values.unit_price], ids=name_of)
def test_money_carries_its_unit(make: Make) -> None:
    for value in draws(make, "train", 1000):
        assert re.search(r"[元圆￥¥$€块万亿]|RMB|USD|CNY", value), value


def test_ages_carry_their_unit() -> None:
    assert all(value.endswith("岁") for value in draws(values.age, "train"))


@pytest.mark.parametrize(
    ("number", "everyday", "financial"),
    [
        (0, "零", "零"),
        (2, "二", "贰"),
        (10, "十", "壹拾"),
        (15, "十五", "壹拾伍"),
        (110, "一百一十", "壹佰壹拾"),
        (305, "三百零五", "叁佰零伍"),
        (10500, "一万零五百", "壹万零伍佰"),
        (100000, "十万", "壹拾万"),
        (20305, "二万零三百零五", "贰万零叁佰零伍"),
        (500_000_020, "五亿零二十", "伍亿零贰拾"),
        (120_000_500, "一亿二千万零五百", "壹亿贰仟万零伍佰"),
    ],
)
def test_numerals(number: int, everyday: str, financial: str) -> None:
    assert numeral(number) == everyday
    assert numeral(number, FINANCIAL) == financial


def test_digits_are_read_one_by_one() -> None:
    assert digits("2024年") == "二〇二四年"


def test_a_maker_too_small_for_a_split_says_so() -> None:
    value = next(word for word in ("甲", "乙", "丙", "丁") if values.belongs(word, "train"))
    with pytest.raises(SeqGPTLabError, match=f"'test'.*{value}"):
        open_class(lambda random, split: value)(Random(0), "test")
