"""Documents that cannot be scored are refused in the same words whoever asks, and what a score leaves out is told."""

from __future__ import annotations

import pytest

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.documents.quoting import QUOTED
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.evaluation.gold import check_gold, unscored

MARKED = [Document("1", "甲乙", (Entity("A", 0, 1, "甲"),)), Document("2", "丙丁", (Entity("B", 1, 2, "丁"),))]


def test_gold_for_one_field_suffices_and_what_it_leaves_out_is_told() -> None:
    check_gold(MARKED, ["A", "C"])
    assert unscored(MARKED, ["A", "C"], "test documents") == [
        "None of the test documents has gold for C: every value given there counts as wrong.",
        "No label asks for B, so the gold for it counts nowhere.",
    ]
    assert unscored(MARKED, ["B", "A"]) == []


def test_documents_without_gold_and_gold_for_other_fields_are_refused() -> None:
    with pytest.raises(DocumentError, match=r"none of the 1 test documents has gold, so nothing can be scored; give entities.*\(A, B\)"):
        check_gold([Document("1", "甲乙", ())], ["A", "B"], "test documents")
    with pytest.raises(LabelError, match=r"the documents in a\.jsonl have gold for .*the labels ask for \['C'\]") as refused:
        check_gold(MARKED, ["C"], "documents in a.jsonl")
    # What stands in a file is quoted, so that a page that may not show it can leave it out.
    assert [found["content"] for found in QUOTED.finditer(str(refused.value))] == ["['A', 'B']"]
    check_gold([], ["A"])
