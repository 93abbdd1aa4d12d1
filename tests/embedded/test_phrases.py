"""Values written by hand: clean enough to be filled into any template and written in an answer, and really used in training."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from seqgpt_lab.embedded.corpus import phrases
from seqgpt_lab.embedded.corpus.kinds import KINDS, TRAINED_KINDS

LISTS = sorted((Path(phrases.__file__).parent / "phrases").glob("*.txt"))
FIELDS = {
    "problems": ("chat_log", "问题"),
    "products": ("purchase_contract", "产品"),
    "topics": ("meeting_notice", "会议主题"),
    "places": ("general_prose", "地名"),
    "bodies": ("general_prose", "组织机构"),
    "foreign_names": ("general_prose", "人物名"),
}


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_lines_are_values(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 2000 and len(set(lines)) == len(lines)
    for line in lines:
        assert line == line.strip() and 2 <= len(line) <= 24, line
        assert not set(line) & set("，,、；;。\t{}[]|=◆◇@"), line


@pytest.mark.parametrize("name", FIELDS)
def test_training_values_hold_them_and_held_out_values_do_not(name: str) -> None:
    kind, field = FIELDS[name]
    make = next(each for each in TRAINED_KINDS if each.name == kind).field(field).make
    written = set((LISTS[0].parent / f"{name}.txt").read_text(encoding="utf-8").splitlines())
    drawn = [make(Random(seed), "train") for seed in range(1500)]
    assert sum(value in written for value in drawn) > 300
    if kind in {each.name for each in KINDS}:
        assert not {make(Random(seed), split) for seed in range(1500) for split in ("dev", "test")} & set(drawn)


def test_every_list_has_its_field() -> None:
    assert {path.stem for path in LISTS} == set(FIELDS)
