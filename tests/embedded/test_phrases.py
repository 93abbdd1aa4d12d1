"""Values written by hand: clean enough to be filled into any template and written in an answer, and really used in training."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import pytest

from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.embedded.corpus import phrases
from seqgpt_lab.embedded.corpus.kinds import KINDS, TRAINED_KINDS
from seqgpt_lab.resources import bundled

LISTS = {path.stem: path for path in sorted((Path(phrases.__file__).parent / "phrases").glob("*.txt"))}
FIELDS = {
    "problems": ("chat_log", "问题"),
    "products": ("purchase_contract", "产品"),
    "topics": ("meeting_notice", "会议主题"),
    "places": ("general_prose", "地名"),
    "bodies": ("general_prose", "组织机构"),
    "foreign_names": ("general_prose", "人物名"),
    "titles": ("business_prose", "职位"),
}

OPEN_LABELS = set(
    "姓名 公司 毕业院校 收件人 寄件人 购买方 销售方 会议主题 主持人 参会人员 联系人 供应商 采购方 产品 物品 "
    "借款人 担保人 客户姓名 问题 患者姓名 医生 收货地址 会议地点".split()
)


def lines_of(name: str) -> list[str]:
    return LISTS[name].read_text(encoding="utf-8").splitlines()


def drawn(name: str, times: int) -> list[str]:
    """Training values of the field that a list is for."""
    kind, field = FIELDS[name]
    make = next(each for each in TRAINED_KINDS if each.name == kind).field(field).make
    return [make(Random(seed), "train") for seed in range(times)]


@pytest.mark.parametrize("name", LISTS)
def test_lines_are_values(name: str) -> None:
    lines = lines_of(name)
    assert len(lines) >= 2000 and len(set(lines)) == len(lines)
    for line in lines:
        assert line == line.strip() and 2 <= len(line) <= 24, line
        assert not set(line) & set("，,、；;。\t{}[]|=◆◇@"), line


@pytest.mark.parametrize("name", FIELDS)
def test_training_draws_them(name: str) -> None:
    written = set(lines_of(name))
    assert sum(value in written for value in drawn(name, 1500)) > 300


def test_training_draws_no_open_value_of_the_held_out_documents() -> None:
    """Of the fields whose values are never shared by two splits; in any kind, under any field."""
    held_out = {
        entity.text
        for kind in KINDS
        for split in ("dev", "test")
        for document in load_documents(bundled("documents", f"{kind.name}.{split}.jsonl"))
        for entity in document.gold
        if entity.label in OPEN_LABELS
    }
    assert len(held_out) > 1000
    for name in FIELDS:
        assert not held_out & set(drawn(name, 4 * len(lines_of(name))))


def test_no_title_was_taken_from_the_prose_that_the_model_is_measured_on() -> None:
    """The grammar of titles makes some of these too (总经理), as it did before there was a list."""
    prose = load_documents(bundled("prose", "business_prose.jsonl"))
    measured = {entity.text for document in prose for entity in document.gold if entity.label == "职位"}
    assert len(measured) > 20 and not measured & set(lines_of("titles"))


def test_the_data_card_names_where_the_addresses_in_the_prose_lie() -> None:
    prose = load_documents(bundled("prose", "business_prose.jsonl"))
    ends = {found.group(1) for document in prose for found in re.finditer(r"@[a-z0-9.-]*(\.[a-z]+)", document.text)}
    card = bundled("README.md").read_text(encoding="utf-8")
    assert ends == {".example", ".test"} and all(f"`{end}`" in card for end in ends)


def test_every_list_has_its_field() -> None:
    assert LISTS.keys() == FIELDS.keys()
