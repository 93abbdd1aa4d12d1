"""Turns an annotated real text into questions and right answers, asking for what is absent only where that is certain."""

from __future__ import annotations

from random import Random

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.annotated import AnnotatedSet
from seqgpt_lab.embedded.contacts import CONTACT_PHRASES, may_have_contacts, with_contact, without_cues
from seqgpt_lab.embedded.corpus.questions import Question, answer_line, written

_CONTACT_SHARE = 0.35
_SAME_THING = {"联系人": "人名", "单位": "组织机构"}  # in a text whose people and organisations are all marked, these are some of them


def real_document(source: AnnotatedSet, document: Document, random: Random) -> Document:
    """The text as it is, or with a sentence of contacts put in."""
    if random.random() >= _CONTACT_SHARE:
        return document
    mixed = with_contact(document, random)
    gold = tuple(_named(entity, source) for entity in mixed.gold)
    return Document(mixed.id, mixed.text, tuple(entity for entity in gold if entity.label != "单位"), mixed.meta)


def _named(entity: Entity, source: AnnotatedSet) -> Entity:
    label = _SAME_THING.get(entity.label, "")
    return Entity(label, entity.start, entity.end, entity.text) if source.exhaustive and label in source.phrases else entity


def ask_real(source: AnnotatedSet, document: Document, random: Random) -> Question:
    """One to five labels that the text has, and up to two that it certainly has not, in random order and wordings."""
    answers: dict[str, list[str]] = {}
    for entity in document.gold:
        answers.setdefault(entity.label, []).append(written(entity.text))
    present = random.sample(list(answers), k=min(len(answers), random.choice((1, 2, 2, 3, 4, 5))))
    absent = certainly_absent(source, document)
    some = random.sample(absent, k=min(len(absent), random.choice((0, 1, 1, 2)) if present else 2))
    asked = {_wording(source, label, random): answers.get(label, ()) for label in [*present, *some]}
    phrases = list(asked)
    random.shuffle(phrases)
    lines = "".join(answer_line(phrase, asked[phrase]) for phrase in phrases)
    return Question(document.text, "抽取", tuple(phrases), lines)


def certainly_absent(source: AnnotatedSet, document: Document) -> list[str]:
    """Labels of which the text has no value: the set's own where all are marked, and contacts where nothing unmarked looks like one."""
    there = {entity.label for entity in document.gold} | set(document.meta.get("unknown", ()))
    own = [label for label in source.phrases if label not in there] if source.exhaustive else []
    return own + _absent_contacts(document, there & CONTACT_PHRASES.keys())


def _absent_contacts(document: Document, put_in: set[str]) -> list[str]:
    """put_in: the contacts of a sentence that was put in; its cue words (`手机号：`) say nothing of the rest of the text."""
    marked = {at for entity in document.gold if entity.label in put_in for at in range(entity.start, entity.end)}
    rest = "".join(character for at, character in enumerate(document.text) if at not in marked)
    if may_have_contacts(without_cues(rest) if put_in else rest):
        return []
    return sorted(CONTACT_PHRASES.keys() - put_in - {"联系人"})  # a person may stand anywhere, unmarked


def _wording(source: AnnotatedSet, label: str, random: Random) -> str:
    return random.choice(source.phrases.get(label) or CONTACT_PHRASES.get(label) or (label,))
