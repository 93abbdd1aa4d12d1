"""The synthetic corpus as training and the bundled files see it: offsets hold, answers are what the text says, splits stay apart."""

from __future__ import annotations

import re
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.embedded import bundle
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.kind import FAMILIES, Kind
from seqgpt_lab.embedded.corpus.kinds import KINDS, TRAINED_KINDS
from seqgpt_lab.embedded.corpus.noise import NOISES, apply, corrupt
from seqgpt_lab.embedded.corpus.questions import answer, ask, meaning
from seqgpt_lab.embedded.corpus.template import choose, fill, slots
from seqgpt_lab.extraction.answer import parse_answer
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.resources import bundled

every_kind = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
every_trained_kind = pytest.mark.parametrize("kind", TRAINED_KINDS, ids=[kind.name for kind in TRAINED_KINDS])


def test_fill_marks_each_slot_once_and_repeats_its_value() -> None:
    drawn = iter(["甲", "乙", "丙"])
    text, entities = fill("{人}和{人#2}见{人}，{地}", lambda field: next(drawn))
    assert text == "甲和乙见甲，丙"
    assert entities == [Entity("人", 0, 1, "甲"), Entity("人", 2, 3, "乙"), Entity("地", 6, 7, "丙")]


def test_a_value_that_the_text_takes_back_is_drawn_but_not_marked() -> None:
    drawn = iter(["甲", "乙", "乙", "丙"])
    text, entities = fill("不是{人!}，是{人}，{人!}不来，{人#2!}也不来", lambda field: next(drawn))
    assert text == "不是甲，是乙，甲不来，丙也不来"
    assert entities == [Entity("人", 5, 6, "乙")]
    assert slots("{人!}和{地#2!}") == {"人", "地"}


_TAKEN_BACK = re.compile(r"(?:不是|并非|[写打]成|误作|写作)\{([^{}#!]+)(?:#\d+)?\}[^{}。\n]{0,12}(?:是|应为)\{\1(?:#\d+)?\}")


@every_kind
def test_no_template_marks_what_it_says_is_not_so(kind: Kind) -> None:
    """`不是{产品}，是{产品#2}`: only one of the two is the product."""
    for template in kind.templates["train"]:
        one_way = re.sub(r"\[\[(.*?)(?:\|\|.*?)?\]\]", r"\1", template, flags=re.S)
        assert not _TAKEN_BACK.search(one_way), template


def test_choose_takes_one_alternative_of_each_group() -> None:
    found = {choose("[[a||b||]]-[[c||d]]", Random(seed)) for seed in range(60)}
    assert found == {"a-c", "a-d", "b-c", "b-d", "-c", "-d"}


@every_trained_kind
def test_every_wording_of_a_kind_means_one_thing(kind: Kind) -> None:
    family_phrases = {phrase for phrases in FAMILIES.values() for phrase in phrases}
    wordings = [wording for spec in kind.fields for wording in (spec.name, *spec.phrases)]
    assert len(wordings) == len(set(wordings))
    assert not {phrase for spec in kind.fields for phrase in spec.phrases} & family_phrases
    assert all(meaning(label, kind) for label in kind.labels)
    names = {spec.name for spec in kind.fields}
    sources = [template for templates in kind.templates.values() for template in templates]
    sources += [clause for spec in kind.fields for clause in spec.clauses]
    assert all(slots(source) <= names for source in sources)


def _runs(template: str, length: int = 12) -> set[str]:
    """All runs of `length` literal characters, slots and alternatives cut out."""
    pieces = re.split(r"\{[^}]*\}|\[\[|\]\]|\|\||\n", template)
    return {piece[at : at + length] for piece in pieces for at in range(len(piece) - length + 1)}


@every_kind
def test_held_out_templates_share_no_sentence_with_training(kind: Kind) -> None:
    clauses = [clause for spec in kind.fields for clause in spec.clauses]
    trained = set().union(*map(_runs, [*kind.templates["train"], *clauses]))
    for split in ("dev", "test"):
        for template in kind.templates[split]:
            assert not _runs(template) & trained


def test_no_problem_of_a_held_out_chat_is_trained_on() -> None:
    make = next(kind for kind in KINDS if kind.name == "chat_log").field("问题").make
    train, dev, test = ({make(Random(seed), split) for seed in range(3000)} for split in ("train", "dev", "test"))
    assert not train & (dev | test)
    assert len(train) > 1000


@every_trained_kind
def test_documents_and_questions_agree(kind: Kind) -> None:
    random = Random(5)
    for index in range(60):
        document = compose(kind, "train", random, index)  # Document itself checks every offset
        question = ask(document, kind, KINDS, random)
        if question.task == "分类":
            assert question.answer.strip() in question.labels
            continue
        read = parse_answer(question.answer, question.labels)
        assert read.problems == ()
        for label, values in zip(question.labels, read.values, strict=True):
            wanted = {entity.text.replace("\n", "").replace("\t", "") for entity in document.gold if entity.label in meaning(label, kind)}
            assert {value.text for value in values} == {value.strip() for value in wanted}


@given(st.text(st.sampled_from("甲乙丙，。：（）,:() \n日0119华"), min_size=1, max_size=60), st.data())
def test_noise_keeps_entities_on_their_characters(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    document = Document("d", text, (Entity("x", start, end, text[start:end]),))
    for name, noise in NOISES.items():
        edit = noise(text, Random(data.draw(st.integers(0, 9))))
        noisy = apply(document, edit)
        for entity in noisy.gold:
            before, replaced = edit
            inserted = "".join(before[start + 1 : end])
            kept = "".join(replaced[start:end])
            assert sorted(entity.text) == sorted(inserted + kept), name


def test_corrupt_names_its_source_and_is_repeatable() -> None:
    document = Document("d", "姓名：张伟，电话：13800000000。", (Entity("姓名", 3, 5, "张伟"),))
    for source in ("typed", "pdf", "ocr"):
        first, again = (corrupt(document, source, Random(3)) for _ in range(2))
        assert first == again and first.meta["source"] == source


@every_kind
def test_bundled_documents_are_what_the_corpus_makes(kind: Kind) -> None:
    label_set = LabelSet.load(bundled("labels", f"{kind.name}.yaml"))
    assert label_set.names == kind.labels
    for split, count in bundle.SIZES.items():
        documents = load_documents(bundled("documents", f"{kind.name}.{split}.jsonl"))
        assert documents == list(bundle.documents(kind, split, count))
        assert {entity.label for document in documents for entity in document.gold} <= set(label_set.names)


def test_answers_say_none_for_what_is_absent() -> None:
    kind = KINDS[0]
    document = Document("d", "张伟", (Entity("姓名", 0, 2, "张伟"),))
    assert answer(["姓名", "年龄"], document, kind) == "姓名: 张伟\n年龄: None\n"


def test_other_numbers_are_asked_of_a_text_that_has_one_but_none_that_could_be_the_same() -> None:
    """A delivery's number is no identity number; a letter's identity number may be what a loan form calls 公民身份号码."""
    kinds = {kind.name: kind for kind in TRAINED_KINDS}
    random = Random(3)

    def asked(name: str, field: str, value: str) -> set[str]:
        document = Document("d", value, (Entity(field, 0, len(value), value),))
        drawn = [ask(document, kinds[name], TRAINED_KINDS, random) for _ in range(1500)]
        assert not [question for question in drawn if f"身份证号: {value}" in question.answer and field != "身份证号"]
        return {label for question in drawn for label in question.labels}

    of_a_delivery = " ".join(asked("delivery_form", "快递单号", "SF1234567890"))
    assert all(other in of_a_delivery for other in ("身份证", "银行", "合同"))
    assert not {"公民身份号码", "证件号码"} & asked("business_prose", "身份证号", "11010519800101123X")
