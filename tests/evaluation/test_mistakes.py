"""Every kind of mistake by example, and the law that each wrong or missing value is explained exactly once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents import Document
from seqgpt_lab.errors import DocumentError
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.mistakes import KINDS, Mistake, classify, count
from seqgpt_lab.extraction.extraction import Extraction

Pair = tuple[Document, Extraction]
Make = Callable[..., Pair]
TEXT = "甲乙丙丁戊己庚辛"
AB = ("A", "B")

# gold, answers, and the mistakes as (kind, label, gold texts, answered texts)
CASES = {
    "nothing wrong": ({"A": [(0, 2)]}, {"A": [(0, 2)]}, []),
    "missed": ({"A": [(0, 2)]}, {"A": []}, [("missed", "A", ["甲乙"], [])]),
    "no field at all": ({"A": [(0, 2)]}, {}, [("missed", "A", ["甲乙"], [])]),
    "spurious": ({}, {"A": [(0, 2)]}, [("spurious", "A", [], ["甲乙"])]),
    "elsewhere": ({"A": [(0, 2)]}, {"A": [(4, 6)]}, [("missed", "A", ["甲乙"], []), ("spurious", "A", [], ["戊己"])]),
    "repeated": ({"A": [(0, 2)]}, {"A": [(0, 2), (0, 2)]}, [("spurious", "A", [], ["甲乙"])]),
    "repeated without a place": ({"A": [(0, 2)]}, {"A": [(0, 2), "甲乙"]}, [("spurious", "A", [], ["甲乙"])]),
    "hallucinated": ({"A": [(0, 2)]}, {"A": ["王"]}, [("missed", "A", ["甲乙"], []), ("hallucinated", "A", [], ["王"])]),
    "wrong label": ({"A": [(0, 2)]}, {"B": [(0, 2)]}, [("wrong label", "B", ["甲乙"], ["甲乙"])]),
    "swapped": (
        {"A": [(0, 2)], "B": [(4, 6)]},
        {"A": [(4, 6)], "B": [(0, 2)]},
        [("wrong label", "A", ["戊己"], ["戊己"]), ("wrong label", "B", ["甲乙"], ["甲乙"])],
    ),
    "right under one label, extra under another": ({"A": [(0, 2)]}, {"A": [(0, 2)], "B": [(0, 2)]}, [("spurious", "B", [], ["甲乙"])]),
    "too long": ({"A": [(1, 3)]}, {"A": [(0, 3)]}, [("too long", "A", ["乙丙"], ["甲乙丙"])]),
    "too short": ({"A": [(0, 3)]}, {"A": [(0, 2)]}, [("too short", "A", ["甲乙丙"], ["甲乙"])]),
    "shifted and shorter": ({"A": [(0, 4)]}, {"A": [(3, 5)]}, [("too short", "A", ["甲乙丙丁"], ["丁戊"])]),
    "shifted": ({"A": [(0, 2)]}, {"A": [(1, 3)]}, [("too long", "A", ["甲乙"], ["乙丙"])]),
    "touching is not overlapping": ({"A": [(0, 2)]}, {"A": [(2, 4)]}, [("missed", "A", ["甲乙"], []), ("spurious", "A", [], ["丙丁"])]),
    "split": ({"A": [(0, 5)]}, {"A": [(3, 5), (0, 2)]}, [("split", "A", ["甲乙丙丁戊"], ["甲乙", "丁戊"])]),
    "split, the pieces given in order": ({"A": [(0, 5)]}, {"A": [(0, 2), (3, 5)]}, [("split", "A", ["甲乙丙丁戊"], ["甲乙", "丁戊"])]),
    "one piece given twice": (
        {"A": [(0, 5)]},
        {"A": [(0, 2), (0, 2)]},
        [("too short", "A", ["甲乙丙丁戊"], ["甲乙"]), ("spurious", "A", [], ["甲乙"])],
    ),
    "merged": ({"A": [(0, 2), (3, 5)]}, {"A": [(0, 5)]}, [("merged", "A", ["甲乙", "丁戊"], ["甲乙丙丁戊"])]),
    "around one and part of another": (
        {"A": [(0, 2), (3, 6)]},
        {"A": [(0, 4)]},
        [("too long", "A", ["甲乙"], ["甲乙丙丁"]), ("missed", "A", ["丁戊己"], [])],
    ),
    "around one and nowhere near another": (
        {"A": [(0, 1), (6, 8)]},
        {"A": [(0, 2)]},
        [("too long", "A", ["甲"], ["甲乙"]), ("missed", "A", ["庚辛"], [])],
    ),
    "values of two labels are not merged": (
        {"A": [(0, 2)], "B": [(3, 5)]},
        {"A": [(0, 5)]},
        [("too long", "A", ["甲乙"], ["甲乙丙丁戊"]), ("missed", "B", ["丁戊"], [])],
    ),
    "largest common part first": (
        {"A": [(2, 6)]},
        {"A": [(0, 3), (3, 8)]},
        [("spurious", "A", [], ["甲乙丙"]), ("too long", "A", ["丙丁戊己"], ["丁戊己庚辛"])],
    ),
    "pieces of another label do not split": (
        {"A": [(0, 4)]},
        {"B": [(0, 2), (2, 4)]},
        [("missed", "A", ["甲乙丙丁"], []), ("spurious", "B", [], ["甲乙"]), ("spurious", "B", [], ["丙丁"])],
    ),
    "labels nobody asked": ({"C": [(0, 2)]}, {"D": [(0, 2)]}, []),
}


def told(mistakes: list[Mistake]) -> list[tuple[str, str, list[str], list[str]]]:
    return [(one.kind, one.label, [entity.text for entity in one.gold], [span.text for span in one.predicted]) for one in mistakes]


@pytest.mark.parametrize("name", CASES)
def test_each_kind_by_example(make_pair: Make, name: str) -> None:
    gold, answers, expected = CASES[name]
    mistakes = classify(*make_pair(TEXT, gold, answers, name="文件"), AB)
    assert told(mistakes) == expected
    assert all(mistake.document_id == "文件" for mistake in mistakes)


def test_a_missing_value_is_put_down_to_the_cut_or_to_the_unreadable_answer(make_pair: Make) -> None:
    gold: dict[str, list[tuple[int, int]]] = {"A": [(0, 2)], "B": [(4, 6)]}
    answers: dict[str, list[tuple[int, int]]] = {"A": [(0, 1)]}
    parse = ("parse: line 2",)
    kinds = [
        [mistake.kind for mistake in classify(*make_pair(TEXT, gold, answers, problems, truncated), AB)]
        for problems, truncated in [((), False), (parse, False), ((), True), (parse, True), (("unaligned: x",), False)]
    ]
    assert kinds == [
        ["too short", "missed"],
        ["too short", "malformed"],
        ["too short", "truncated"],
        ["too short", "truncated"],
        ["too short", "missed"],
    ]


def test_an_extraction_of_another_document_is_refused(make_pair: Make) -> None:
    with pytest.raises(DocumentError):
        classify(make_pair(TEXT, {}, {}, name="a")[0], make_pair(TEXT, {}, {}, name="b")[1], AB)


def test_counts_show_every_kind_even_those_that_did_not_occur(make_pair: Make) -> None:
    mistakes = classify(*make_pair(TEXT, {"A": [(0, 2), (3, 5)], "B": [(6, 7)]}, {"A": [(0, 5)]}), AB)
    frame = count(mistakes).set_index("kind")
    assert list(frame.index) == list(KINDS)
    assert list(frame.loc["merged"]) == [1, 1, 2] and list(frame.loc["missed"]) == [1, 0, 1]
    assert frame["mistakes"].sum() == 2
    assert count([])["mistakes"].sum() == 0


@given(data=st.data())
def test_each_false_positive_and_negative_is_explained_exactly_once(
    pairs_strategy: st.SearchStrategy[list[Pair]], labels: tuple[str, ...], data: st.DataObject
) -> None:
    pairs = data.draw(pairs_strategy)
    scores = Scores.from_pairs(pairs, labels)
    mistakes = [mistake for pair in pairs for mistake in classify(*pair, labels)]
    positives = Counter(mistake.label for mistake in mistakes for _ in mistake.predicted)
    negatives = Counter(entity.label for mistake in mistakes for entity in mistake.gold)
    for label, counts in scores.strict.per_label.items():
        assert (positives[label], negatives[label]) == (counts.false_positives, counts.false_negatives)
    assert all(mistake.gold or mistake.predicted for mistake in mistakes)
    assert sum(mistake.kind == "hallucinated" for mistake in mistakes) == scores.invented
    by_document = {document.id: Counter(entity for entity in set(document.gold)) for document, _ in pairs}
    for mistake in mistakes:
        by_document[mistake.document_id].subtract(mistake.gold)
    assert all(left >= 0 for counter in by_document.values() for left in counter.values()), "a gold value was explained twice"
    frame = count(mistakes)
    assert frame["false_positives"].sum() == scores.strict.micro.false_positives
    assert frame["false_negatives"].sum() == scores.strict.micro.false_negatives


def holds(mistake: Mistake, text: str) -> bool:
    """Whether a mistake is what its kind says, by the places alone."""
    gold = [(entity.start, entity.end) for entity in mistake.gold]
    # One without a place is nowhere, and so neither inside nor across a value.
    given = [(-1, -1) if span.start is None or span.end is None else (span.start, span.end) for span in mistake.predicted]
    if mistake.kind in ("spurious", "hallucinated"):
        return len(given) == 1 and not gold and (mistake.predicted[0].text not in text) == (mistake.kind == "hallucinated")
    if mistake.kind in ("missed", "malformed", "truncated"):
        return len(gold) == 1 and not given
    if mistake.kind == "wrong label":
        return gold == given and len(gold) == 1 and mistake.gold[0].label != mistake.label
    if any(entity.label != mistake.label for entity in mistake.gold):
        return False
    outer, inner = (given, gold) if mistake.kind == "merged" else (gold, given)
    if mistake.kind in ("merged", "split"):
        covers = len(outer) == 1 and all(outer[0][0] <= start and end <= outer[0][1] for start, end in inner)
        return covers and len(set(inner)) == len(inner) >= 2 and inner == sorted(inner)
    ((first, last),), ((start, end),) = gold, given
    shorter = end - start < last - first
    return max(first, start) < min(last, end) and shorter == (mistake.kind == "too short")


@given(data=st.data())
def test_each_mistake_is_what_its_kind_says(
    pairs_strategy: st.SearchStrategy[list[Pair]], labels: tuple[str, ...], data: st.DataObject
) -> None:
    for document, extraction in data.draw(pairs_strategy):
        mistakes = classify(document, extraction, labels)
        assert not [one for one in mistakes if not holds(one, document.text)]


@given(data=st.data())
def test_a_document_has_no_mistakes_exactly_when_its_record_is_exact(
    pairs_strategy: st.SearchStrategy[list[Pair]], labels: tuple[str, ...], data: st.DataObject
) -> None:
    for document, extraction in data.draw(pairs_strategy):
        exact = Scores.from_pairs([(document, extraction)], labels).strict.exact_record_rate == 1.0
        assert exact == (classify(document, extraction, labels) == [])
