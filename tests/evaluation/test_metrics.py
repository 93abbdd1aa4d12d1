"""Scores against numbers worked out by hand, a brute-force count, and laws every score must keep."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents import Document
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.evaluation.counts import Counts
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span

Pair = tuple[Document, Extraction]
Pairs = st.SearchStrategy[list[Pair]]
Make = Callable[..., Pair]
AB = ("A", "B")


def perfect(document: Document, labels: tuple[str, ...]) -> Extraction:
    fields = [
        Field(label, tuple(Span(entity.text, entity.start, entity.end) for entity in document.gold if entity.label == label))
        for label in labels
    ]
    return Extraction(document.id, document.text, tuple(fields))


def test_numbers_worked_out_by_hand(make_pair: Make) -> None:
    pairs = [
        # A: 1 right, 1 beside it wrong, 1 missing. B: absent, and said so.
        make_pair("甲乙丙丁", {"A": [(0, 1), (1, 2)]}, {"A": [(0, 1), (2, 4)], "B": []}, name="1"),
        # A: absent, but invented. B: right.
        make_pair("甲乙丙丁", {"B": [(3, 4)]}, {"A": ["戊"], "B": [(3, 4)]}, problems=("parse: x",), name="2"),
        # A: nothing wanted or given. B: said absent, but is there. Cut.
        make_pair("甲乙丙丁", {"B": [(0, 2)], "C": [(0, 1), (1, 2)]}, {"A": [], "B": [], "D": [(0, 1)]}, truncated=True, name="3"),
    ]
    scores = Scores.from_pairs(pairs, AB)
    assert scores.strict.per_label == {"A": Counts(1, 2, 1), "B": Counts(1, 0, 1)}
    assert scores.strict.micro == Counts(2, 2, 2)
    assert (scores.strict.micro.precision, scores.strict.micro.recall, scores.strict.micro.f1) == (0.5, 0.5, 0.5)
    assert scores.strict.per_label["A"].f1 == pytest.approx(2 / 5)
    assert scores.strict.macro.f1 == pytest.approx((2 / 5 + 2 / 3) / 2)
    assert scores.strict.macro.labels == 2
    assert scores.strict.exact_records == 0
    assert scores.absent == Counts(2, 1, 1)
    assert (scores.absent.precision, scores.absent.recall) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert (scores.values, scores.invented, scores.hallucination_rate) == (4, 1, 0.25)
    assert (scores.parse_failure_rate, scores.truncated_share) == (pytest.approx(1 / 3), pytest.approx(1 / 3))
    assert scores.gold_not_asked == {"C": 2} and scores.answers_not_asked == {"D": 1}


def test_saying_absent_wrongly_lowers_precision_and_not_saying_it_lowers_recall(make_pair: Make) -> None:
    wrongly_absent = Scores.from_pairs([make_pair("甲乙", {"A": [(0, 1)]}, {"A": [], "B": []})], AB).absent
    assert (wrongly_absent.precision, wrongly_absent.recall) == (0.5, 1.0)
    wrongly_given = Scores.from_pairs([make_pair("甲乙", {}, {"A": [(0, 1)], "B": []})], AB).absent
    assert (wrongly_given.precision, wrongly_given.recall) == (1.0, 0.5)


def test_strings_are_compared_as_sets_wherever_they_stand(make_pair: Make) -> None:
    # The text reads the same at 0 and at 2: another place, the same string.
    scores = Scores.from_pairs([make_pair("甲乙甲", {"A": [(0, 1)]}, {"A": [(2, 3), (2, 3)]})], ["A"])
    assert scores.strict.micro == Counts(0, 2, 1) and scores.strict.exact_record_rate == 0.0
    assert scores.string.micro == Counts(1, 0, 0) and scores.string.exact_record_rate == 1.0


def test_an_approximate_match_is_right_by_place_and_wrong_as_a_string(make_pair: Make) -> None:
    document, _ = make_pair("（甲）", {"A": [(0, 3)]}, {})
    extraction = Extraction("a", "（甲）", (Field("A", (Span("(甲)", 0, 3, None, "approximate"),)),))
    scores = Scores.from_pairs([(document, extraction)], ["A"])
    assert scores.strict.micro == Counts(1, 0, 0) and scores.string.micro == Counts(0, 1, 1)
    assert scores.invented == 0


def test_an_unaligned_value_is_a_false_positive_and_invented_only_if_the_text_lacks_it(make_pair: Make) -> None:
    scores = Scores.from_pairs([make_pair("甲乙", {"A": [(0, 1)]}, {"A": [(0, 1), "甲", "丙"]})], ["A"])
    assert scores.strict.micro == Counts(1, 2, 0)
    assert (scores.values, scores.invented) == (3, 1)


def test_a_repeated_answer_is_wrong_and_a_gold_value_marked_twice_counts_once(make_pair: Make) -> None:
    scores = Scores.from_pairs([make_pair("甲乙", {"A": [(0, 1), (0, 1)]}, {"A": [(0, 1), (0, 1)]})], ["A"])
    assert scores.strict.micro == Counts(1, 1, 0)


def test_nothing_wanted_and_nothing_given_is_perfect_and_one_sided_nothing_is_zero() -> None:
    assert [getattr(Counts(), name) for name in ("precision", "recall", "f1")] == [1.0, 1.0, 1.0]
    assert [getattr(Counts(0, 3, 0), name) for name in ("precision", "recall", "f1")] == [0.0, 0.0, 0.0]
    assert [getattr(Counts(0, 0, 3), name) for name in ("precision", "recall", "f1")] == [0.0, 0.0, 0.0]


def test_labels_that_never_occur_do_not_raise_the_macro_average(make_pair: Make) -> None:
    scores = Scores.from_pairs([make_pair("甲乙", {"A": [(0, 1)]}, {"A": [(1, 2)]})], AB)
    assert (scores.strict.macro.f1, scores.strict.macro.labels) == (0.0, 1)
    assert scores.strict.per_label["B"].f1 == 1.0


def test_scores_of_no_documents_are_defined() -> None:
    scores = Scores.from_pairs([], AB)
    assert scores.documents == 0 and scores.strict.micro.f1 == scores.strict.macro.f1 == scores.strict.exact_record_rate == 1.0
    assert scores.hallucination_rate == scores.parse_failure_rate == scores.truncated_share == 0.0


def test_kinds_are_scored_apart_and_documents_without_one_are_not_lost(make_pair: Make) -> None:
    right, wrong = {"A": [(0, 1)]}, {"A": [(1, 2)]}
    pairs = [
        make_pair("甲乙", right, right, name="1", kind="简历"),
        make_pair("甲乙", right, wrong, name="2", kind="合同"),
        make_pair("甲乙", right, right, name="3", kind="合同"),
        make_pair("甲乙", right, wrong, name="4"),
    ]
    scores = Scores.from_pairs(pairs, ["A"])
    assert {kind: (one.documents, one.strict.micro.f1) for kind, one in scores.by_kind.items()} == {
        "简历": (1, 1.0),
        "合同": (2, 0.5),
        "(no kind)": (1, 0.0),
    }
    frame = scores.kinds_frame()
    assert list(frame["kind"]) == ["简历", "合同", "(no kind)"] and list(frame["micro_f1"]) == [1.0, 0.5, 0.0]
    assert Scores.from_pairs(pairs[3:], ["A"]).by_kind == {}
    assert list(Scores.from_pairs(pairs[3:], ["A"]).kinds_frame().columns) == list(frame.columns)


def test_frame_and_dict_hold_every_label_in_the_users_order(make_pair: Make) -> None:
    scores = Scores.from_pairs([make_pair("甲乙", {"A": [(0, 1)]}, {"A": [(0, 1)]}, kind="简历")], ["B", "A"])
    frame = scores.to_frame().set_index("label")
    assert list(frame.index) == ["B", "A"]
    assert frame.loc["A", "support"] == 1 and frame.loc["A", "f1"] == 1.0 and frame.loc["A", "string_f1"] == 1.0
    told = scores.to_dict()
    assert json.loads(json.dumps(told)) == told
    assert list(told["strict"]["per_label"]) == ["B", "A"]
    assert told["by_kind"]["简历"]["strict"]["micro"]["f1"] == 1.0


def test_pairs_that_do_not_belong_together_are_refused(make_pair: Make) -> None:
    document, extraction = make_pair("甲乙", {}, {})
    with pytest.raises(DocumentError, match=r"⟪b⟫.*⟪a⟫"):
        Scores.from_pairs([(document, replace(extraction, document_id="b"))], ["A"])
    with pytest.raises(DocumentError, match="another text"):
        Scores.from_pairs([(document, replace(extraction, text="甲"))], ["A"])


@pytest.mark.parametrize("wrong", [[], ["A", "A"], "AB"])
def test_labels_that_cannot_be_scored_are_refused(wrong: list[str]) -> None:
    with pytest.raises(LabelError):
        Scores.from_pairs([], wrong)


@given(data=st.data())
def test_counts_agree_with_a_brute_force_count(pairs_strategy: Pairs, labels: tuple[str, ...], data: st.DataObject) -> None:
    pairs = data.draw(pairs_strategy)
    scores = Scores.from_pairs(pairs, labels)
    for label in labels:
        gold: Counter[object] = Counter()
        given: Counter[object] = Counter()
        for document, extraction in pairs:
            gold.update((document.id, entity.start, entity.end) for entity in document.gold if entity.label == label)
            spans = [span for one in extraction.fields if one.label == label for span in one.spans]
            given.update((document.id, span.start, span.end) for span in spans)
        both = (gold & given).total()
        assert scores.strict.per_label[label] == Counts(both, given.total() - both, gold.total() - both)
        gold_texts = {(d.id, entity.text) for d, _ in pairs for entity in d.gold if entity.label == label}
        given_texts = {(d.id, span.text) for d, e in pairs for one in e.fields if one.label == label for span in one.spans}
        both = len(gold_texts & given_texts)
        assert scores.string.per_label[label] == Counts(both, len(given_texts) - both, len(gold_texts) - both)
    assert scores.values == scores.strict.micro.true_positives + scores.strict.micro.false_positives
    absent = scores.absent
    assert absent.support + absent.false_positives + sum(
        any(entity.label == label for entity in document.gold) and any(one.label == label and one.spans for one in extraction.fields)
        for document, extraction in pairs
        for label in labels
    ) == len(pairs) * len(labels)


@given(data=st.data())
def test_a_perfect_extraction_scores_one_everywhere(pairs_strategy: Pairs, labels: tuple[str, ...], data: st.DataObject) -> None:
    pairs = [(document, perfect(document, labels)) for document, _ in data.draw(pairs_strategy)]
    scores = Scores.from_pairs(pairs, labels)
    for measure in (scores.strict, scores.string):
        assert measure.micro.f1 == measure.macro.f1 == measure.macro.precision == measure.exact_record_rate == 1.0
    assert scores.absent.f1 == 1.0 and scores.hallucination_rate == 0.0


@given(data=st.data())
def test_the_order_of_documents_and_labels_does_not_matter(pairs_strategy: Pairs, labels: tuple[str, ...], data: st.DataObject) -> None:
    pairs = data.draw(pairs_strategy)
    shuffled = Scores.from_pairs(data.draw(st.permutations(pairs)), data.draw(st.permutations(labels)))
    scores = Scores.from_pairs(pairs, labels)
    assert shuffled.strict.macro.f1 == pytest.approx(scores.strict.macro.f1)
    assert replace(shuffled, by_kind={}) == replace(scores, by_kind={})
    assert shuffled.by_kind == scores.by_kind


@given(data=st.data())
def test_kinds_add_up_to_the_whole(pairs_strategy: Pairs, labels: tuple[str, ...], data: st.DataObject) -> None:
    scores = Scores.from_pairs(data.draw(pairs_strategy), labels)
    if scores.by_kind:
        kinds = scores.by_kind.values()
        assert sum((one.strict.micro for one in kinds), Counts()) == scores.strict.micro
        assert sum((one.absent for one in kinds), Counts()) == scores.absent
        assert sum(one.documents for one in kinds) == scores.documents
        assert sum(one.strict.exact_records for one in kinds) == scores.strict.exact_records
