from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents import Document
from seqgpt_lab.errors import DocumentError
from seqgpt_lab.evaluation.evaluate import Evaluation
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.outcome_file import read_outcomes, write_outcomes
from seqgpt_lab.evaluation.resampling import Outcomes
from seqgpt_lab.extraction.extraction import Extraction

Pair = tuple[Document, Extraction]


def evaluation(pairs: list[Pair], labels: tuple[str, ...]) -> Evaluation:
    documents, extractions = tuple(zip(*pairs, strict=True)) or ((), ())
    return Evaluation(Scores.from_pairs(pairs, labels), tuple(extractions), (), tuple(documents))


@given(data=st.data())
@settings(max_examples=25)
def test_what_was_read_comes_back_and_scores_the_same(
    data: st.DataObject, pairs_strategy: st.SearchStrategy[list[Pair]], labels: tuple[str, ...]
) -> None:
    pairs = data.draw(pairs_strategy.filter(lambda found: len(found) >= 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "outcomes.jsonl"
        write_outcomes(path, {"简历": evaluation(pairs, labels)})
        found = read_outcomes(path)["简历"]
        assert [entry.name for entry in Path(folder).iterdir()] == ["outcomes.jsonl"]
    assert found.labels == labels
    assert [extraction for _, extraction in found.pairs] == [extraction for _, extraction in pairs]
    assert [(one.id, one.text, one.gold) for one, _ in found.pairs] == [(one.id, one.text, one.gold) for one, _ in pairs]
    assert np.array_equal(found.outcomes("x").counts, Outcomes.from_pairs("x", pairs, labels).counts)


def test_a_broken_file_is_named(tmp_path: Path, make_pair: Callable[..., Pair]) -> None:
    path = tmp_path / "outcomes.jsonl"
    with pytest.raises(DocumentError, match="cannot be read"):
        read_outcomes(path)
    write_outcomes(path, {"a": evaluation([make_pair("张伟", {"姓名": [(0, 2)]}, {})], ("姓名",))})
    lines = path.read_text().splitlines()
    for content in ("", "{}", "\n".join([json.dumps({"format": 9}), *lines[1:]]), "\n".join([lines[0], lines[1][:-9]])):
        path.write_text(content)
        with pytest.raises(DocumentError, match="does not hold the outcomes"):
            read_outcomes(path)
