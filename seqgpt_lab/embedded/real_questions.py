"""Turns an annotated real text into questions and right answers, asking for what is absent only where that is certain."""

from __future__ import annotations

from collections.abc import Set
from random import Random

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.annotated import AnnotatedSet, unknown_labels
from seqgpt_lab.embedded.contacts import CONTACT_PHRASES, may_have_contacts, with_contact, without_cues
from seqgpt_lab.embedded.corpus.kind import FAMILIES
from seqgpt_lab.embedded.corpus.questions import Question, answer_line, written

_CONTACT_SHARE = 0.35
_PHONES = frozenset(FAMILIES["phone"])
_SAME_THING = {"联系人": "人名", "单位": "组织机构"}  # in a text whose people and organisations are all marked, these are some of them


def real_document(source: AnnotatedSet, document: Document, random: Random) -> Document:
    """The text as it is, or with a sentence of contacts put in; not where it has phones of its own: 电话 would mean both."""
    if random.random() >= _CONTACT_SHARE or any(_PHONES & set(source.wordings(entity.label)) for entity in document.gold):
        return document
    mixed = with_contact(document, random)
    known = source.phrases.keys() - unknown_labels(document) if source.exhaustive else frozenset()
    gold = tuple(_named(entity, known) for entity in mixed.gold)
    return Document(mixed.id, mixed.text, tuple(entity for entity in gold if entity.label != "单位"), mixed.meta)


def _named(entity: Entity, known: Set[str]) -> Entity:
    label = _SAME_THING.get(entity.label, "")
    return Entity(label, entity.start, entity.end, entity.text) if label in known else entity


def ask_real(source: AnnotatedSet, document: Document, random: Random) -> Question:
    """One to five labels that the text has, and up to two that it certainly has not, in random order and wordings.

    A wording is asked once, and for every label that it can mean; a label whose wordings are all asked for others is left out.
    """
    there = list(dict.fromkeys(entity.label for entity in document.gold))
    present = random.sample(there, k=min(len(there), random.choice((1, 2, 2, 3, 4, 5))))
    absent = certainly_absent(source, document)
    some = random.sample(absent, k=min(len(absent), random.choice((0, 1, 1, 2)) if present else 2))
    phrases: list[str] = []
    for label in [*present, *some]:
        if free := [phrase for phrase in _wordings(source, label) if phrase not in phrases]:
            phrases.append(random.choice(free))
    random.shuffle(phrases)
    lines = "".join(answer_line(phrase, _values(source, document, phrase)) for phrase in phrases)
    return Question(document.text, "抽取", tuple(phrases), lines)


def _values(source: AnnotatedSet, document: Document, phrase: str) -> list[str]:
    return [written(entity.text) for entity in document.gold if phrase in _wordings(source, entity.label)]


def certainly_absent(source: AnnotatedSet, document: Document) -> list[str]:
    """Labels of which the text has no value: the set's own where all are marked, and contacts where nothing unmarked looks like one.

    None that shares a wording with one that the text has or may have: asked in that wording it would be called absent wrongly.
    """
    there = {entity.label for entity in document.gold} | unknown_labels(document)
    taken = {phrase for label in there for phrase in _wordings(source, label)}
    own = [label for label in source.phrases if label not in there] if source.exhaustive else []
    absent = own + _absent_contacts(document, there & CONTACT_PHRASES.keys())
    return [label for label in absent if taken.isdisjoint(_wordings(source, label))]


def _absent_contacts(document: Document, put_in: set[str]) -> list[str]:
    """put_in: the contacts of a sentence that was put in; its cue words (`手机号：`) say nothing of the rest of the text."""
    marked = {at for entity in document.gold if entity.label in put_in for at in range(entity.start, entity.end)}
    rest = "".join(character for at, character in enumerate(document.text) if at not in marked)
    if may_have_contacts(without_cues(rest) if put_in else rest):
        return []
    return sorted(CONTACT_PHRASES.keys() - put_in - {"联系人"})  # a person may stand anywhere, unmarked


def _wordings(source: AnnotatedSet, label: str) -> tuple[str, ...]:
    return source.phrases.get(label) or CONTACT_PHRASES.get(label) or (label,)
