"""Calibration: planted confidences, the definition spelled out value by value as the oracle, and what no table may do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.calibration import Calibration
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span

SURE = st.lists(st.tuples(st.floats(0, 1, allow_subnormal=False), st.booleans()), min_size=1, max_size=60)


def calibration(sure: list[tuple[float, bool]]) -> Calibration:
    return Calibration(np.array([one for one, _ in sure]), np.array([right for _, right in sure]))


@given(SURE, st.integers(1, 12))
def test_the_error_is_its_definition(sure: list[tuple[float, bool]], number: int) -> None:
    met = calibration(sure)
    table = met.bins(number)
    assert table["values"].sum() == len(sure)
    total = 0.0
    for low, high in zip(table["low"], table["high"], strict=True):
        inside = [(one, right) for one, right in sure if low < one <= high or (low == 0 and one == 0)]
        total += abs(sum(right for _, right in inside) - sum(one for one, _ in inside))
    # A value on a bin's edge may fall to either side in floating point; then only the bounds are checked.
    if not any(abs(one * number - round(one * number)) < 1e-9 and one for one, _ in sure):
        assert met.expected_error(number) == pytest.approx(total / len(sure))
    assert 0 <= met.expected_error(number) <= 1


def test_a_calibrated_model_has_no_error_and_a_boasting_one_has() -> None:
    random = np.random.default_rng(0)
    confidences = random.random(20_000)
    honest = Calibration(confidences, random.random(20_000) < confidences)
    boasting = Calibration(np.full(1000, 0.99), random.random(1000) < 0.6)
    assert honest.expected_error() < 0.02 and boasting.expected_error() == pytest.approx(0.39, abs=0.04)
    assert Calibration.of_all([honest, boasting]).bins()["values"].sum() == 21_000


def test_values_are_right_by_label_and_place() -> None:
    document = Document("a", "张伟在李娜", (Entity("姓名", 0, 2, "张伟"),))
    spans = (
        Span("张伟", 0, 2, confidence=0.9),
        Span("李娜", 3, 5, confidence=0.4),
        Span("王五", None, None, confidence=None, match="unaligned"),
        Span("在", 2, 3, confidence=0.0),
    )
    met = Calibration.from_pairs([(document, Extraction("a", document.text, (Field("姓名", spans),), "", False, ()))], ["姓名"])
    assert met.confidences.tolist() == [0.9, 0.4, 0.0] and met.right.tolist() == [True, False, False]
    assert met.bins().to_dict("list") == {
        "low": [0.0, 0.3, 0.8],
        "high": [0.1, 0.4, 0.9],
        "values": [1, 1, 1],
        "confidence": [0.0, 0.4, 0.9],
        "right": [0.0, 0.0, 1.0],
    }


def test_without_values_there_is_nothing_to_show() -> None:
    assert calibration([]).bins().empty and calibration([]).expected_error() == 0
    with pytest.raises(OptionError, match="0 bins"):
        calibration([]).bins(0)
