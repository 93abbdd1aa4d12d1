"""What is asked of a text agrees with its own words: no label by which it calls another value, none whose value it may hold unmarked."""

from __future__ import annotations

from random import Random

import pytest

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.corpus.evidence import called, may_hold, unmarked
from seqgpt_lab.embedded.corpus.kind import FAMILIES
from seqgpt_lab.embedded.corpus.kinds import TRAINED_KINDS
from seqgpt_lab.embedded.corpus.questions import ask, classify

KINDS = {kind.name: kind for kind in TRAINED_KINDS}


def document(text: str, **values: str) -> Document:
    gold = tuple(Entity(field, text.index(value), text.index(value) + len(value), value) for field, value in values.items())
    return Document("d", text, gold)


def asked(kind: str, of: Document, times: int = 600) -> set[str]:
    """All labels of many questions about a document."""
    random = Random(3)
    return {label for _ in range(times) for label in ask(of, KINDS[kind], TRAINED_KINDS, random).labels}


@pytest.mark.parametrize(
    "text",
    [
        "甲方：天天厂\n乙方：地地厂",
        "甲方（卖方）天天厂，乙方（买方）地地厂",
        "天天厂（甲方）供货，地地厂（以下简称“乙方”）付款",
        "天天厂，甲方；地地厂，乙方。",
    ],
)
def test_a_text_says_itself_which_party_is_which(text: str) -> None:
    reversed_roles, usual = document(text, 供应商="天天厂", 采购方="地地厂"), document(text, 采购方="天天厂", 供应商="地地厂")
    assert called(usual, "甲方") == {"采购方"} and called(usual, "乙方") == {"供应商"}
    assert {"甲方", "乙方"} <= asked("purchase_contract", usual)
    assert not {"甲方", "乙方"} & asked("purchase_contract", reversed_roles)


def test_parties_are_not_asked_for_where_the_text_leaves_open_who_they_are() -> None:
    unclear, silent = "甲方付款，乙方供货。天天厂、地地厂盖章", "天天厂供货，地地厂付款"
    assert not {"甲方", "乙方"} & asked("purchase_contract", document(unclear, 供应商="地地厂", 采购方="天天厂"))
    assert {"甲方", "乙方"} <= asked("purchase_contract", document(silent, 供应商="天天厂", 采购方="地地厂"))


def test_who_receives_is_not_asked_for_with_who_buys_in_the_answer() -> None:
    text = "收货栏：王芳，付款栏：李雷"
    both = Document("d", text, (Entity("客户姓名", 4, 6, "王芳"), Entity("客户姓名", 11, 13, "李雷")))
    wordings = {"收货人", "收件人", "买家姓名", "buyer name"}
    assert not wordings & asked("chat_log", both)
    assert wordings <= asked("chat_log", document("收货人：王芳", 客户姓名="王芳"))


@pytest.mark.parametrize(
    ("kind", "field", "wordings"),
    [
        ("delivery_form", "物品", "产品|产品名称|商品名称|product|标的物|项目名称|开票内容"),
        ("invoice", "项目名称", "产品|货物|物品|item|goods|product"),
        ("purchase_contract", "数量", "总件数|包裹数量|下单件数|how many"),
        ("purchase_contract", "质保期", "期限|term|贷款期限"),
        ("loan_form", "银行卡号", "账号|银行账户|bank account"),
        ("invoice", "银行账号", "银行卡|account number|bank card"),
        ("loan_form", "放款银行", "开户银行|银行名称|bank name"),
        ("meeting_notice", "会议主题", "title"),
    ],
)
def test_what_a_text_has_under_another_kinds_name_is_not_called_absent(kind: str, field: str, wordings: str) -> None:
    labels = asked(kind, document("在此：某某一二", **{field: "某某一二"}))
    assert not labels & set(wordings.split("|"))
    assert len(labels) > 40, "many others are asked for"


def test_no_family_is_asked_for_of_which_a_text_may_hold_more_than_is_marked() -> None:
    letter = document("传感器编号 TX-70913，订单SO-123456，税号 91330106MA2H1WQY8P，热线400-820-6193", 订单号="SO-123456")
    assert not asked("business_prose", letter) & {*FAMILIES["number"], *FAMILIES["phone"], "税号", "纳税人识别号"}
    chat = document("[19:33] 顾客：2024年1月2日买的", 下单日期="2024年1月2日")
    assert not asked("chat_log", chat) & set(FAMILIES["date"])
    plain = document("顾客：2024年1月2日买的，2024年1月2日", 下单日期="2024年1月2日")
    assert set(FAMILIES["date"]) <= asked("chat_log", plain)


@pytest.mark.parametrize(
    ("family", "value"),
    [("date", "3月5日"), ("money", "￥12"), ("money", "3.5万元"), ("percent", "5%"), ("phone", "13812345678"), ("number", "HT-2024-001")],
)
def test_figures_are_seen_but_where_they_are_marked(family: str, value: str) -> None:
    text = f"是{value}，对，{value}。"
    assert may_hold(text, family)
    assert not may_hold(unmarked(document(text, 某=value)), family)
    assert not may_hold("没有3个，也没有B2", family)


def test_no_kind_is_offered_twice() -> None:
    random, kind = Random(1), KINDS["resume"]
    questions = [classify(document("x"), kind, TRAINED_KINDS, random) for _ in range(1000)]
    assert all(len(set(question.labels)) == len(question.labels) for question in questions)
