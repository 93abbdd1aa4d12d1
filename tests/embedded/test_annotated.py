"""Annotated real texts in training: held-out parts stay out, answers are right by the gold, nothing uncertain is called absent."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from tokenizers import Tokenizer

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.annotated import LONGEST_TEXT, AnnotatedSet, AnnotatedSets, described_sets, split_of
from seqgpt_lab.embedded.batches import Batches, Pools
from seqgpt_lab.embedded.contacts import CONTACT_PHRASES, may_have_contacts, with_contact
from seqgpt_lab.embedded.corpus.kind import Split
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.embedded.real_questions import ask_real, certainly_absent, real_document
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.errors import DocumentError
from seqgpt_lab.extraction.answer import parse_answer

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
TEXT = "昨天王芳在苏州见了客户。后来她回了北京。"
GOLD = (Entity("人名", 2, 4, "王芳"), Entity("地点", 5, 7, "苏州"), Entity("地点", 17, 19, "北京"))


def record(identifier: str, text: str = TEXT, entities: tuple[Entity, ...] = GOLD, **more: object) -> str:
    marked = [{"label": each.label, "start": each.start, "end": each.end, "text": each.text} for each in entities]
    return json.dumps({"id": identifier, "text": text, "entities": marked, **more}, ensure_ascii=False)


@pytest.fixture()
def directory(tmp_path: Path) -> Path:
    """300 texts of one exhaustive set, of which three are not to be used."""
    folder = tmp_path / "aishell_ner"
    folder.mkdir()
    lines = [record(f"a-{number}", f"{TEXT}{number}") for number in range(298)]
    lines += [record("leaks", f"{TEXT}泄"), record("long", TEXT + "长" * LONGEST_TEXT, own_key=[1])]
    (folder / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "overlap_ids.txt").write_text("leaks\n", encoding="utf-8")
    return tmp_path


def people(exhaustive: bool) -> AnnotatedSet:
    document = Document("a", TEXT, GOLD)
    return AnnotatedSet("s", (document,), {"人名": ("姓名", "人物"), "地点": ("地名",), "组织机构": ("机构",)}, exhaustive, 1.0)


def test_splits_share_no_text_and_lose_none(directory: Path) -> None:
    splits = {split: AnnotatedSets.load(directory, split).sets[0].documents for split in SPLITS}
    ids = {split: {document.id for document in documents} for split, documents in splits.items()}
    assert not (ids["train"] & ids["dev"] or ids["train"] & ids["test"] or ids["dev"] & ids["test"])
    assert set().union(*ids.values()) == {f"a-{number}" for number in range(298)}
    assert all(split_of(identifier) == split for split, found in ids.items() for identifier in found)
    assert 15 < len(ids["test"]) < 50 and 15 < len(ids["dev"]) < 50


def test_a_text_lies_in_the_least_held_out_split_of_its_ids_with_the_gold_of_all(tmp_path: Path) -> None:
    """In whatever order the ids come; a text that two files have is known for the labels of both."""
    folder = tmp_path / "fewfc_finance_event"
    folder.mkdir()
    ids = {split: [name for name in map(str, range(90)) if split_of(name) == split] for split in SPLITS}
    base, trans = [], []
    for text, names in (("甲", ("train", "test")), ("乙", ("test", "test")), ("丙", ("test", "dev")), ("丁", ("dev", "train"))):
        first, second = (ids[name].pop() for name in names)
        base.append(record(first, text, (Entity("投资/sub", 0, 1, text),)))
        trans.append(record(second, text, (Entity("收购/sub-org", 0, 1, text),)))
    base += [record(ids["train"].pop(), "戊己", (Entity("投资/obj", at, at + 1, value),)) for at, value in enumerate("戊己")]
    for name, lines in (("test_base", base), ("test_trans", trans)):
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for split, texts in (("train", ["甲", "丁", "戊己"]), ("dev", ["丙"]), ("test", ["乙"])):
        (source,) = AnnotatedSets.load(tmp_path, split).sets
        assert [document.text for document in source.documents] == texts
        assert all(split_of(document.id) == split for document in source.documents)
        golds = [[(entity.label, entity.text) for entity in document.gold] for document in source.documents]
        assert golds == [
            [("投资/obj", "戊"), ("投资/obj", "己")] if text == "戊己" else [("投资/sub", text), ("收购/sub-org", text)] for text in texts
        ]
        absent = set(certainly_absent(source, source.documents[-1])) - CONTACT_PHRASES.keys()
        assert absent == ({"投资/sub"} if split == "train" else {"投资/obj"})


def test_what_is_there_and_what_is_not_is_told(directory: Path) -> None:
    found = AnnotatedSets.load(directory)
    told, _, lacking = found.summary().partition("; not there: ")
    assert told == f"aishell_ner {len(found.sets[0].documents)}"
    assert lacking.split(", ") == [name for name in described_sets()["sets"] if name != "aishell_ner"]
    every = AnnotatedSets([replace(found.sets[0], name=name) for name in described_sets()["sets"]])
    assert "not there" not in every.summary()


def test_a_directory_without_a_known_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DocumentError, match="aishell_ner"):
        AnnotatedSets.load(tmp_path)


@pytest.mark.parametrize(
    ("line", "told"),
    (
        ("{", "Expecting property name"),
        ('{"id": "x", "entities": []}', "'text' is missing"),
        ('{"id": 7, "text": "甲", "entities": []}', "'id' is ⟪7⟫, not a string"),
        ('{"id": "x", "text": "甲", "entities": [{"label": "人名"}]}', "missing 3 required"),
        ('{"id": "x", "text": "甲", "entities": [{"label": "人名", "start": 0, "end": 1, "text": "乙"}]}', "the text there reads ⟪甲⟫"),
        ('["x"]', "list indices"),
        (r'{"id": "x", "text": "甲\ud83d", "entities": []}', "surrogates not allowed"),
    ),
)
def test_a_line_that_is_no_annotated_text_is_named_with_its_file(directory: Path, line: str, told: str) -> None:
    path = directory / "aishell_ner" / "data.jsonl"
    path.write_text(f"{record('a')}\n\n{line}\n", encoding="utf-8")
    with pytest.raises(DocumentError, match=rf"data\.jsonl, line 3 is no annotated text: .*{re.escape(told)}.*; mend the line"):
        AnnotatedSets.load(directory)


def test_a_set_that_lacks_a_file_is_refused(finance: Path) -> None:
    (finance / "fewfc_finance_event" / "test_trans.jsonl").unlink()
    with pytest.raises(DocumentError, match=r"test_trans\.jsonl: there is no such file; complete the set"):
        AnnotatedSets.load(finance)


@pytest.mark.parametrize("name", ("data.jsonl", "overlap_ids.txt"))
def test_a_set_in_another_encoding_is_refused_with_the_way_out(directory: Path, name: str) -> None:
    path = directory / "aishell_ner" / name
    path.write_text(f"{path.read_text(encoding='utf-8')}\n人名", encoding="gb18030")
    with pytest.raises(DocumentError, match=rf"{re.escape(name)}: not UTF-8: byte .*; save the file as UTF-8 \(from GBK"):
        AnnotatedSets.load(directory)


def test_a_set_may_begin_with_a_byte_order_mark_and_end_its_lines_as_windows_does(directory: Path) -> None:
    path = directory / "aishell_ner" / "data.jsonl"
    plain = AnnotatedSets.load(directory).sets
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-8-sig", newline="\r\n")
    assert AnnotatedSets.load(directory).sets == plain


@pytest.mark.parametrize("exhaustive", (True, False))
def test_answers_are_the_gold_in_text_order_and_only_certain_absences_are_asked(exhaustive: bool) -> None:
    random, source = Random(0), people(exhaustive)
    asked: set[str] = set()
    for _ in range(300):
        document = real_document(source, source.documents[0], random)
        question = ask_real(source, document, random)
        answer = parse_answer(question.answer, question.labels)
        assert not answer.problems
        for phrase, values in zip(question.labels, answer.values, strict=True):
            found = [value.text for value in values if value.text != "None"]
            label = next((name for name, phrases in {**source.phrases, **CONTACT_PHRASES}.items() if phrase in phrases), phrase)
            assert found == [entity.text for entity in document.gold if entity.label == label]
            asked.add(phrase)
    assert {"地名", "姓名", "人物"} <= asked and ("机构" in asked) == exhaustive


SUED = "天猫被诉。"
SUED_GOLD = (Entity("起诉/obj-org", 0, 2, "天猫"),)
SENTENCED = "法院判天猫赔款。"
SENTENCED_GOLD = (Entity("判决/institution", 0, 2, "法院"), Entity("判决/obj-org", 3, 5, "天猫"))


@pytest.fixture()
def finance(tmp_path: Path) -> Path:
    """A set of two files, one of which marks 起诉 and the other 判决."""
    folder = tmp_path / "fewfc_finance_event"
    folder.mkdir()
    base = [record(f"b-{number}", f"{SUED}{number}", SUED_GOLD) for number in range(40)]
    base += [record(f"c-{number}", f"昨日投资{number}。", (Entity("投资/date", 0, 2, "昨日"),)) for number in range(40)]
    trans = [record(f"t-{number}", f"{SENTENCED}{number}", SENTENCED_GOLD) for number in range(40)]
    (folder / "test_base.jsonl").write_text("\n".join(base), encoding="utf-8")
    (folder / "test_trans.jsonl").write_text("\n".join(trans), encoding="utf-8")
    return tmp_path


def test_only_labels_that_a_texts_own_file_marks_are_called_absent(finance: Path) -> None:
    (source,) = AnnotatedSets.load(finance).sets
    absent = {document.text[:2]: set(certainly_absent(source, document)) - CONTACT_PHRASES.keys() for document in source.documents}
    assert absent == {"天猫": {"投资/date"}, "昨日": set(), "法院": set()}  # 起诉/obj-org has a wording in common with 判决/obj-org


def test_no_wording_is_asked_for_a_label_that_lacks_and_one_that_has_values(finance: Path) -> None:
    (source,), random = AnnotatedSets.load(finance).sets, Random(0)
    document = next(document for document in source.documents if document.text.startswith(SUED))
    both = Document("both", document.text, document.gold)  # every label of the set is known of this one
    assert "判决/obj-org" not in certainly_absent(source, both) and "判决/obj-per" in certainly_absent(source, both)
    for _ in range(400):
        question = ask_real(source, both, random)
        answer = parse_answer(question.answer, question.labels)
        found = {phrase: [value.text for value in values] for phrase, values in zip(question.labels, answer.values, strict=True)}
        assert found.pop("被告公司") == ["天猫"] and set(map(tuple, found.values())) <= {("None",), ()}


def test_a_wording_of_two_labels_is_asked_once_for_the_values_of_both() -> None:
    gold = (Entity("判决/sub-per", 0, 2, "王芳"), Entity("起诉/sub-per", 2, 4, "李雷"))
    source = AnnotatedSet("s", (), {"判决/sub-per": ("原告",), "起诉/sub-per": ("原告",)}, False, 1.0)
    questions = [ask_real(source, Document("a", "王芳李雷加微信", gold), Random(seed)) for seed in range(20)]
    assert {question.answer for question in questions} == {"原告: 王芳\t李雷\n"}


def test_an_inserted_sentence_moves_the_gold_with_it() -> None:
    random = Random(1)
    for _ in range(200):
        mixed = with_contact(Document("a", TEXT, GOLD), random)  # Document itself checks every offset
        assert [entity.text for entity in mixed.gold if entity.label == "地点"] == ["苏州", "北京"]
        assert {entity.label for entity in mixed.gold} & CONTACT_PHRASES.keys()


def test_a_phone_is_never_put_beside_one_that_a_label_for_both_asks_for() -> None:
    shop = Document("a", "老张面馆，电话010-62599886", (Entity("电话", 7, 19, "010-62599886"),))
    cards = AnnotatedSet("s", (shop,), {"电话": ("电话", "联系电话")}, False, 1.0)
    assert all(real_document(cards, shop, Random(seed)) == shop for seed in range(50))
    assert not all(real_document(cards, Document("b", "老张面馆"), Random(seed)).gold == () for seed in range(50))


def test_no_contact_is_called_what_a_set_has_a_label_for() -> None:
    """`被告李雷，身份证号…` put into a text of court news, and 被告 asked for as absent."""
    sets = described_sets()["sets"].values()
    phrases = {phrase for each in sets for label, wordings in each["labels"].items() for phrase in (label, *(wordings or ()))}
    for seed in range(600):
        mixed = with_contact(Document("a", TEXT, GOLD), Random(seed))
        within = {entity.end for entity in mixed.gold}  # a company's name may end in 公司
        for entity in (entity for entity in mixed.gold if entity.label == "联系人" and entity.start not in within):
            assert not [phrase for phrase in phrases - set(CONTACT_PHRASES["联系人"]) if mixed.text[: entity.start].endswith(phrase)]


@pytest.mark.parametrize(("text", "may"), [("请发邮件至a@b.cn", True), ("热线010-62599886", True), ("加微信聊", True), (TEXT, False)])
def test_contacts_are_called_absent_only_where_nothing_looks_like_one(text: str, may: bool) -> None:
    assert may_have_contacts(text) == may
    absent = certainly_absent(AnnotatedSet("s", (), {}, True, 1.0), Document("a", text))
    assert ("手机号" in absent) == (not may) and "联系人" not in absent


def test_batches_mix_real_texts_in_and_repeat(directory: Path, tokenizer: Tokenizer) -> None:
    recipe = Recipe(pool_rows=40, drill_pools=0, drill_after=0.0, real_share=0.5)
    first, again, without = (Batches(Pools(tokenizer, KINDS, recipe, real)) for real in [AnnotatedSets.load(directory)] * 2 + [None])
    rows = [[row.tolist() for _ in range(6) for row in batches.next().ids] for batches in (first, again, without)]
    assert rows[0] == rows[1]
    known = " ".join(map(str, tokenizer.encode("后来她回了北京").ids))
    shares = [sum(known in " ".join(map(str, row)) for row in found) / len(found) for found in rows]
    assert 0.2 < shares[0] < 0.8 and shares[2] == 0
