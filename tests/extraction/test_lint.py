"""What lint finds in labels, what it leaves alone, and that its fixes mend what it found."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from seqgpt_lab.errors import LabelError, OptionError
from seqgpt_lab.extraction.drafts import Draft, drafts_of
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.lint import CODES, Finding, fix_all, lint
from seqgpt_lab.extraction.wording import alike, folded, is_vague, missing_unit
from seqgpt_lab.resources import bundled

TEXTS = st.text(st.sampled_from("姓名时间事发電话金额关键信息的请多少abN :：,，、 \t\n[]<>\x00\ud800→->"), max_size=8)
DRAFTS = st.lists(st.builds(Draft, TEXTS, TEXTS | st.just(""), st.lists(TEXTS, max_size=2).map(tuple)), max_size=6)


def codes(labels: str | list[str]) -> list[tuple[str, str]]:
    return [(finding.code, finding.label) for finding in lint(labels)]


def after_fix(finding: Finding, labels: list[str]) -> list[str]:
    assert finding.fix
    return [draft.written for draft in finding.fix.apply(drafts_of(labels))]


@pytest.mark.parametrize("kind", sorted(path.stem for path in bundled("labels").glob("*.yaml")))
def test_the_bundled_label_sets_have_no_fault_but_amounts_without_a_unit(kind: str) -> None:
    assert not lint(LabelSet.load(bundled("labels", f"{kind}.yaml")), ignore=["unit"])


@pytest.mark.parametrize(
    ("labels", "code", "fixed", "reason"),
    [
        (["姓名", ""], "empty", ["姓名"], "nothing to ask"),
        (["姓\x00名"], "character", ["姓名"], "control character"),
        (["\ufeff姓\u200b名"], "character", ["姓名"], "zero-width"),
        (["姓名,年龄"], "separator", ["姓名", "年龄"], "several labels"),
        (["姓名、年龄;公司"], "separator", ["姓名", "年龄", "公司"], "several labels"),
        (["姓名\t年龄"], "separator", ["姓名", "年龄"], "several labels"),
        ([" 公司 "], "blank", ["公司"], "blanks around"),
        (["联系 电话"], "blank", ["联系电话"], "blanks around or inside"),
        (["姓名:"], "punctuation", ["姓名"], "how answers are written"),
        (["<b>姓名</b>"], "punctuation", ["姓名"], "meanings of their own"),
        (["姓名", "[GEN]"], "punctuation", ["姓名"], "meanings of their own"),
        (["姓名", "None"], "punctuation", ["姓名"], "None"),
        (["请提取合同的总价是多少"], "long", ["请提取合同的总价是多少→合同的总价"], "11 characters of at most 10"),
        (["公司", "公司"], "duplicate", ["公司"], "the same as 公司"),
        (["電話", "电话"], "duplicate", ["電話"], "the same as 電話"),
        (["ＩＤ", "id"], "duplicate", ["ＩＤ"], "the same as ＩＤ"),
        (["时间", "事发时间"], "near-duplicate", ["事发时间"], "general word for 事发时间"),
        (["job title", "title"], "near-duplicate", ["job title"], "general word for job title"),
        (["手机号", "手机号码"], "near-duplicate", ["手机号"], "another word for 手机号"),
        (["邮箱", "email"], "near-duplicate", ["邮箱"], "another word for 邮箱"),
        (["姓名", "关键信息"], "vague", ["姓名"], "does not say what"),
        (["重要内容", "姓名"], "vague", ["姓名"], "does not say what"),
        (["钱"], "vague", ["钱→金额"], "forms do not say 钱"),
        (["合同金额"], "unit", ["合同金额→合同金额（元）"], "names no unit"),
        (["净重"], "unit", ["净重→净重（公斤）"], "names no unit"),
    ],
)
def test_each_fault_is_named_with_its_reason_and_a_fix_that_mends_it(labels: list[str], code: str, fixed: list[str], reason: str) -> None:
    (finding,) = lint(labels)
    assert finding.code == code and reason in finding.reason
    assert after_fix(finding, labels) == fixed
    assert not lint([*fixed], ignore=["unit"])


def test_every_code_is_covered_above_and_can_be_ignored() -> None:
    labels = ["", "a\x00b", "甲,乙", " 丙", "丁:", "这是一个太长太长太长的标签", "丁", "丁", "时间", "事发时间", "其他", "金额"]
    assert {finding.code for finding in lint(labels)} == set(CODES)
    assert not lint(labels, ignore=CODES)
    with pytest.raises(OptionError, match="no lint codes"):
        lint(labels, ignore=["spelling"])


@pytest.mark.parametrize(
    "labels",
    ["姓名,年龄,公司", "供应商,采购方,交货期", "会议日期,会议时间", "联系人,联系电话", "job title,company name", "税额（元）,税率"],
)
def test_good_labels_are_left_alone(labels: str) -> None:
    assert codes(labels) == []


def test_a_field_whose_phrase_is_vague_is_asked_by_a_phrase_that_says_something() -> None:
    (finding,) = lint([Draft("其他", "关键信息", ("内容", "交货期"))])
    assert finding.fix and finding.fix.replacement == (Draft("其他", "交货期", ("内容", "交货期")),)


def test_synonyms_of_the_label_set_tell_near_duplicates() -> None:
    (finding,) = lint([Draft("甲方单位", synonyms=("需求部门",)), Draft("需求部门")])
    assert (finding.code, finding.place) == ("near-duplicate", 1)


@settings(deadline=None, max_examples=80)
@given(drafts=DRAFTS)
@example(drafts=[Draft("、", phrase=": ")])  # no separator that is refused, but a blank that is
def test_what_is_fixed_can_be_asked_and_only_faults_that_block_prevent_that(drafts: list[Draft]) -> None:
    findings = lint(drafts)
    if drafts:
        try:
            LabelSet.checked(drafts)
            refused = False
        except LabelError:
            refused = True
        assert refused == any(finding.blocking for finding in findings)
    fixed, left = fix_all(drafts)
    assert all(finding.fix is None and not finding.blocking for finding in left)
    assert not fixed or LabelSet.checked(fixed)


def test_ten_thousand_labels_and_one_very_long_label_take_seconds() -> None:
    started = time.perf_counter()
    assert not lint([f"标签{number}" for number in range(10_000)])
    assert [finding.code for finding in lint(["时间" * 50_000])] == ["long"]
    assert len(lint(["时间"] * 1_000)) == 999
    assert time.perf_counter() - started < 20


def test_words_are_known_in_any_script() -> None:
    assert folded("聯繫 電話") == "联系电话" and folded(" Job  Title ") == "job title"
    assert "email" in alike("電子郵箱") and "邮箱" not in alike("邮箱") and alike("什么都不是") == ()
    assert is_vague("other details") and is_vague("重要的信息") and not is_vague("联系信息") and not is_vague("data format")
    assert (missing_unit("含税单价"), missing_unit("面积"), missing_unit("美元金额"), missing_unit("姓名")) == (
        "元",
        "平方米",
        None,
        None,
    )


def test_a_finding_is_json_ready() -> None:
    (finding,) = lint(["姓名:"])
    assert finding.to_dict() == {
        "code": "punctuation",
        "place": 0,
        "label": "姓名:",
        "reason": finding.reason,
        "blocking": False,
        "fix": "write 姓名",
        "fixed": ["姓名"],
    }
