"""Excerpts of documents: what stands in them is marked as it was, no value is cut, and plain sentences hold nothing a reader would mark."""

from __future__ import annotations

import re
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.excerpts import excerpt, plain_sentence
from seqgpt_lab.embedded.corpus.kinds import KINDS
from seqgpt_lab.studies.long_documents import _FILLER


@given(st.integers(0, 2**32))
def test_an_excerpt_keeps_the_values_of_its_sentences_whole(seed: int) -> None:
    random = Random(seed)
    document = compose(random.choice(KINDS), "train", random, 0)
    shown = excerpt(document, random)
    assert shown.text.strip()
    assert all(shown.text[entity.start : entity.end] == entity.text for entity in shown.gold)
    # The part is one run of the document's text, so its values are the document's from one to another, at the same distances.
    if shown.gold:
        runs = [document.gold[at : at + len(shown.gold)] for at in range(len(document.gold) - len(shown.gold) + 1)]
        assert shown.gold in [tuple(entity.moved(shown.gold[0].start - run[0].start) for entity in run) for run in runs]


def test_all_none_some_and_whole_documents_come_up() -> None:
    random = Random(0)
    shares = []
    for _ in range(400):
        document = compose(random.choice(KINDS), "train", random, 0)
        if document.gold:
            shares.append(len(excerpt(document, random).gold) / len(document.gold))
    assert shares.count(0.0) > 40 and shares.count(1.0) > 120 and sum(0 < share < 1 for share in shares) > 40


def test_plain_sentences_hold_no_number_and_are_not_those_long_documents_are_measured_with() -> None:
    random = Random(1)
    sentences = [plain_sentence(random) for _ in range(2000)]
    assert not any(re.search(r"[0-9a-zA-Z@￥%]", sentence) for sentence in sentences)
    assert not any(part in sentence for part in "".join(_FILLER).replace("，", "。").split("。") if part for sentence in sentences)
