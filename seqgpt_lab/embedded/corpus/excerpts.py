"""Shows a part of a document, or none of it, among sentences that hold nothing: what a window over a long text shows. Asks no questions."""

from __future__ import annotations

import re
from random import Random

from seqgpt_lab.documents.document import Document, Entity

_ENDS = re.compile(r"(?<=[。！？!?；;\n])")
_WHOLE_SHARE, _NOTHING_SHARE = 0.4, 0.3
_MOST_SENTENCES = 5
_JOINTS = ("\n", "\n", "", "\n\n")

# Sentences that name nobody, no organisation, no time that could be a date, no sum and no number: a subject in a place or manner, then
# what it does. Every pair makes sense enough to be read past.
_SUBJECTS = (
    "院子里的老槐树", "楼下的猫", "远处的山", "屋檐下的燕子", "桌上的茶", "窗外的雨", "街角的面馆", "河边的芦苇", "邻居家的狗",
    "巷口的路灯", "晒在阳台上的被子", "锅里的粥", "孩子们的笑声", "操场上的风筝", "田埂上的野花", "菜市场的吆喝声", "这段文字",
    "上面的说明", "这种做法", "大家的意见", "他们的想法", "这件小事", "这本旧书", "墙上的挂钟", "门口的石阶", "池塘里的荷叶", "山间的云",
    "柜子里的毛衣", "新买的拖鞋", "刚烤好的面包", "林子里的风", "路上的行人", "山坡上的羊群", "空气里的桂花香", "下一部分", "上述内容",
    "相关情况", "一般情形", "这类问题",
)  # fmt: skip
_PREDICATES = (
    "让人觉得安静", "慢慢地变了样子", "和从前差不多", "没有什么特别之处", "总是叫人想起小时候", "一会儿有一会儿没有", "比往常更好看",
    "谁也没有注意", "还要再等一等", "在阳光下显得很亮", "被风吹得东倒西歪", "听起来很远", "说来话长", "暂且不提", "不必多说", "与此无关",
    "仅供参考", "可以慢慢商量", "并不重要", "每个人都喜欢", "还是老样子", "看上去有些旧了", "给人留下很深的印象", "在雾里看不清楚",
    "一到冬天就不见了", "需要多加留意", "因人而异", "不再赘述", "已经说过很多遍", "也是常有的事",
)  # fmt: skip
_LEADS = ("", "", "", "", "不过，", "其实，", "当然，", "总的来说，", "另外，", "有时候，", "一般而言，", "说到底，", "说实话，", "照例，")
_STOPS = ("。", "。", "。", "，", "！", "；")


def plain_sentence(random: Random) -> str:
    """A sentence that holds nothing, now and then of two clauses."""
    clauses = [random.choice(_SUBJECTS) + random.choice(_PREDICATES) for _ in range(random.choice((1, 1, 2)))]
    return random.choice(_LEADS) + "，".join(clauses) + random.choice(_STOPS)


def plain_text(random: Random) -> str:
    """Up to five such sentences, or none."""
    return "".join(plain_sentence(random) for _ in range(random.randint(0, _MOST_SENTENCES)))


def excerpt(document: Document, random: Random) -> Document:
    """The whole document, some of its sentences in a row, or nothing of it, with plain text before and after. No value is cut."""
    text, gold = _part(document, random)
    before, after = plain_text(random), plain_text(random)
    if not text.strip():
        return Document(document.id, before + after or plain_sentence(random), (), document.meta)
    joint = random.choice(_JOINTS)
    lead = f"{before}{joint}" if before else ""
    moved = tuple(entity.moved(len(lead)) for entity in gold)
    return Document(document.id, f"{lead}{text}{joint if after else ''}{after}", moved, document.meta)


def places_between_sentences(document: Document) -> list[int]:
    """Code points where a text may be cut or something put in: its start, its end, and behind each sentence, but in no value."""
    places = [0, len(document.text), *(match.start() for match in _ENDS.finditer(document.text))]
    return [place for place in places if not any(entity.start < place < entity.end for entity in document.gold)]


def _part(document: Document, random: Random) -> tuple[str, tuple[Entity, ...]]:
    """Text and gold of the part that is shown; gold in document order."""
    roll = random.random()
    if roll < _NOTHING_SHARE:
        return "", ()
    if roll < _NOTHING_SHARE + _WHOLE_SHARE:
        return document.text, document.gold
    start, end = sorted(random.sample(sorted(set(places_between_sentences(document))), k=2))
    inside = [entity for entity in document.gold if start <= entity.start and entity.end <= end]
    return document.text[start:end], tuple(entity.moved(-start) for entity in inside)
