"""Turns a synthetic document into questions and right answers: which labels to ask, and what each phrase means there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.corpus.evidence import called, may_hold, unmarked
from seqgpt_lab.embedded.corpus.kind import FAMILIES, FieldSpec, Kind

MOST_LABELS = 6
_NUMBER = "number"
_BREAKS = re.compile(r"[\n\t]+")
_POSITIONS = frozenset(("甲方", "乙方"))
# Wordings that mean one of a field's several values: who buys and who receives are both customers.
_ONE_OF_THEM: Mapping[str, tuple[str, ...]] = {"客户姓名": ("收货人", "收件人", "买家姓名", "buyer name")}
# Fields of several kinds that a value of one may be an answer to, beside those that have one maker.
_ALIKE = tuple(
    frozenset(names.split())
    for names in ("产品 物品 项目名称", "数量 件数", "银行卡号 银行账号", "放款银行 开户行", "期限 交货期 质保期", "问题 症状")
)


@dataclass(frozen=True, slots=True)
class Question:
    """Labels asked of a text, and the completion a perfect model writes. task: 抽取 or 分类."""

    text: str
    task: str
    labels: tuple[str, ...]
    answer: str


def meaning(phrase: str, kind: Kind) -> set[str]:
    """Names of the fields of `kind` that a label asks for: a family phrase means the whole family, others one field or none."""
    for family, phrases in FAMILIES.items():
        if phrase in phrases:
            return {spec.name for spec in kind.fields if spec.family == family}
    return {spec.name for spec in kind.fields if phrase == spec.name or phrase in spec.phrases}


def values(document: Document, names: set[str]) -> list[str]:
    """Distinct values of the fields in text order, as an answer writes them."""
    ordered = sorted(document.gold, key=lambda entity: entity.start)
    return list(dict.fromkeys(written(entity.text) for entity in ordered if entity.label in names))


def written(value: str) -> str:
    """A value as an answer writes it: line breaks and tabs inside it taken out."""
    return _BREAKS.sub("", value)


def answer(labels: Sequence[str], document: Document, kind: Kind) -> str:
    """The completion about these labels, a line each."""
    return "".join(answer_line(label, values(document, meaning(label, kind))) for label in labels)


def answer_line(label: str, found: Iterable[str]) -> str:
    """`label: value\\tvalue`, or `None` without values, and a newline; a value that is found again is written once."""
    return f"{label}: {chr(9).join(dict.fromkeys(found)) or 'None'}\n"


def ask(document: Document, kind: Kind, kinds: Sequence[Kind], random: Random) -> Question:
    """A random question about the document: the canonical labels, or one to six present, absent, vague and reworded ones."""
    if random.random() < 0.04:
        return classify(document, kind, kinds, random)
    labels = _canonical(kind, random) if random.random() < 0.45 else _mixed(document, kind, kinds, random)
    return Question(document.text, "抽取", tuple(labels), answer(labels, document, kind))


def classify(document: Document, kind: Kind, kinds: Sequence[Kind], random: Random) -> Question:
    """Which of some kinds the document is."""
    differing = list({other.name: other for other in kinds if other is not kind}.values())  # some kinds are there twice
    others = random.sample(differing, k=min(random.randint(1, 5), len(differing)))
    right = random.choice((kind.title, *kind.title_phrases))
    labels = [right, *(random.choice((other.title, *other.title_phrases)) for other in others)]
    random.shuffle(labels)
    return Question(document.text, "分类", tuple(labels), f"{right}\n")


def _canonical(kind: Kind, random: Random) -> list[str]:
    """The kind's own labels, split evenly as prompts split them; one part."""
    if len(kind.labels) <= MOST_LABELS:
        return list(kind.labels)
    half = -(-len(kind.labels) // 2)
    return list(random.choice((kind.labels[:half], kind.labels[half:])))


def _mixed(document: Document, kind: Kind, kinds: Sequence[Kind], random: Random) -> list[str]:
    count = random.choice((1, 2, 3, 4, 4, 5, 5, 6, 6, 6))
    present = {entity.label for entity in document.gold}
    labels: list[str] = []
    for _ in range(count):
        roll = random.random()
        if roll < 0.54:
            labels.append(_wording(random.choice(sorted(present)), document, kind, random) if present else kind.labels[0])
        elif roll < 0.74:
            labels.append(random.choice(FAMILIES[_family(document, kind, random)]))
        elif roll < 0.90:
            labels.append(_wording(random.choice(kind.fields).name, document, kind, random))
        else:
            labels.append(_foreign(document, kind, kinds, random))
    return _without_doubles(labels, kind)


def _family(document: Document, kind: Kind, random: Random) -> str:
    """Two times in three a family with several values in the document, where there is one: lists are what a model learns last.

    None of which the text may hold a value that is not marked, such as the clock times before the lines of a chat.
    """
    rest = unmarked(document)
    families = [family for family in FAMILIES if not may_hold(rest, family)]
    counts = Counter(kind.field(entity.label).family for entity in document.gold)
    several = [family for family in families if counts[family] > 1]
    return random.choice(several if several and random.random() < 2 / 3 else families)


def _wording(name: str, document: Document, kind: Kind, random: Random) -> str:
    """A field's own name half of the time, else one of its other phrases.

    None by which the text calls another field's value. Which party is 甲方 is only for the text to say: now the buyer, now the seller.
    """
    if random.random() < 0.5:
        return name
    wording = random.choice((name, *kind.field(name).phrases))
    told = called(document, wording)
    unsure = told or (wording in _POSITIONS and wording in document.text)
    if wording in _ONE_OF_THEM.get(name, ()) and len(values(document, {name})) > 1:
        return name
    return name if unsure and name not in told else wording


def _foreign(document: Document, kind: Kind, kinds: Sequence[Kind], random: Random) -> str:
    """A label of another kind that this document plainly has no value for: no field and no family in common, nor one that is alike.

    Numbers are told apart by what they number, so that of a text with an order's number another kind's 身份证号 is asked too, half of
    the times: a model that never meets one beside the other takes any long number for the one it is asked for.
    """
    specs = [kind.field(name) for name in sorted({entity.label for entity in document.gold})]
    present = {spec.family for spec in specs} - {None}
    ours = {name for spec in kind.fields for name in (spec.name, *spec.phrases, *spec.keys)}
    theirs = [spec for other in kinds if other is not kind for spec in other.fields if spec.name not in ours]
    numbers = [spec for spec in theirs if spec.family == _NUMBER]
    strangers = [spec for spec in theirs if spec.family not in present]
    asked = numbers if _NUMBER in present and random.random() < 0.5 else strangers
    rest = unmarked(document)
    told = rest if may_hold(rest, _NUMBER) else ""  # 税号 and a number that nobody marked may well be a 纳税人识别号
    makers = {spec.make for spec in specs}
    alike = frozenset().union(*(names for names in _ALIKE if any(spec.name in names for spec in specs)))
    asked = [spec for spec in asked if spec.make not in makers and spec.name not in alike and not (told and _named(spec, told))]
    taken = " ".join(name for spec in specs for name in (spec.name, *spec.phrases))  # 账号 of a text with a 银行账号 is no stranger
    phrases = [phrase for spec in asked for phrase in (spec.name, *spec.phrases) if phrase not in ours and phrase not in taken]
    return random.choice(phrases) if phrases else kind.labels[0]


def _named(spec: FieldSpec, text: str) -> bool:
    """Whether a text uses one of the words that ask for a field."""
    return any(name in text for name in (spec.name, *spec.phrases))


def _without_doubles(labels: list[str], kind: Kind) -> list[str]:
    """Each meaning asked once: two wordings of one field would be a duplicate label to a reader."""
    kept: dict[frozenset[str], str] = {}
    for label in labels:
        kept.setdefault(frozenset(meaning(label, kind)) or frozenset({label}), label)
    return list(kept.values())
