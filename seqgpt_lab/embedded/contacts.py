"""Puts sentences with names, phones, e-mails and numbers into real texts, which hardly have any; knows sentences, no questions."""

from __future__ import annotations

import re
from random import Random

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.corpus import values
from seqgpt_lab.embedded.corpus.excerpts import places_between_sentences
from seqgpt_lab.embedded.corpus.template import choose, fill

CONTACT_PHRASES: dict[str, tuple[str, ...]] = {
    "联系人": ("联系人", "联系人姓名", "contact"),
    "手机号": ("手机号", "手机号码", "手机", "移动电话", "mobile"),
    "座机": ("座机", "固定电话", "座机号码", "landline"),
    "邮箱": ("邮箱", "电子邮箱", "邮件地址", "e-mail", "email"),
    "身份证号": ("身份证号", "身份证号码", "身份证", "ID number"),
    "微信号": ("微信号", "微信", "wechat"),
}
_MAKE = {
    "联系人": values.person_name, "手机号": values.mobile, "座机": values.landline, "邮箱": values.email, "身份证号": values.id_number,
    "微信号": values.wechat, "单位": values.company,
}  # fmt: skip
# 单位 is there to be looked past: a company that stands beside a contact is asked for only where all companies of a text are marked.
_SENTENCES = (
    "[[如有疑问||如需了解详情||业务咨询||媒体垂询]]，请[[致电||联系||拨打]]{联系人}，[[电话||手机||手机号]]{手机号}。",
    "[[详情||咨询||更多信息]]请[[发邮件至||邮件联系||写信到]]{邮箱}。",
    "[[联系人||负责人||经办人||对接人]][[：||:||为||是]]{联系人}[[，||；|| ||（]]{手机号}[[）||]]。",
    "{联系人}[[的手机是||的手机号为||可拨||的联系方式：]]{手机号}，[[邮箱||邮件||e-mail]][[：||为||是|| ]]{邮箱}。",
    "[[据||另据]]{联系人}[[介绍||透露||称]]，[[有意者||合作方||读者]]可[[致电||拨打]]{手机号}[[或||，也可]]发邮件到{邮箱}。",
    "{联系人}（[[身份证||身份证号||公民身份号码]][[：||:||]]{身份证号}）[[已到场签字||当日在场||为本次经办人]]。",
    "[[借款人||当事人||申请人||法定代表人]]{联系人}，[[身份证号码||身份证号||公民身份号码]]{身份证号}，[[联系电话||电话]]{手机号}。",
    "[[办公电话||座机||传真及电话]][[：||:||]]{座机}，[[手机||移动电话]][[：||:||]]{手机号}。",
    "{单位}{联系人}[[留下的号码||登记的手机]]是{手机号}。",
    "[[投稿||应聘||报名]]邮箱{邮箱}，[[微信||微信号]]{微信号}。",
    "[[加微信||微信]]{微信号}[[或||，]][[打||拨打]]{手机号}找{联系人}。",
    "[[值班||热线||总机]]{座机}。",
    "身份证{身份证号}，{联系人}，{手机号}。",
    "我[[叫||是]]{联系人}，[[号码||电话||手机]]{手机号}[[，有事打我||]]。",
    "[[24小时||值班||紧急||投诉||订购||预约]][[电话||手机||联系方式||联络电话]][[：||:||是||为||]]{手机号}[[，||；||。]]",
    "[[遇||如遇]][[突发情况||问题||异常]]，[[可直接||请立即||随时]][[拨||打||拨打||联络||呼叫]]{手机号}。",
    "[[提醒||通知||请]][[大家||用户||住户||旅客]]留意，[[报修||挂失||求助||登记]][[电话||号码||手机]]{手机号}[[，24小时畅通||]]。",
    "Tel {手机号}  E-mail {邮箱}  {联系人}",
    "{邮箱} / {手机号}",
)  # fmt: skip
_CUES = re.compile("微信|电话|手机|邮箱")
_LOOKS_LIKE_CONTACT = re.compile(rf"[@＠]|\d[\d\- ]{{5,}}|{_CUES.pattern}")


def may_have_contacts(text: str) -> bool:
    """Whether a text could hold a phone, an e-mail or a long number that nobody marked: then none of these may be called absent."""
    return bool(_LOOKS_LIKE_CONTACT.search(text))


def without_cues(text: str) -> str:
    """The text without the words that announce a contact."""
    return _CUES.sub("", text)


def with_contact(document: Document, random: Random) -> Document:
    """The document with one such sentence between two of its own, at its start or at its end, marked under CONTACT_PHRASES' labels."""
    sentence, entities = fill(choose(random.choice(_SENTENCES), random), lambda name: _MAKE[name](random, "train"))
    text = document.text
    at = random.choice(places_between_sentences(document))
    joint = "" if at == 0 or text[at - 1] in "。！？!?；;\n" else random.choice(("。", "，", " ", "\n"))
    lead, shift = at + len(joint), len(joint) + len(sentence)
    inserted = [entity.moved(lead) for entity in entities]
    moved = [entity.moved(shift) if entity.start >= at else entity for entity in document.gold]
    gold = sorted([*moved, *inserted], key=lambda entity: entity.start)
    return Document(document.id, text[:at] + joint + sentence + text[at:], tuple(gold), document.meta)
