"""Offsets counted in another unit than code points are recognised, turned round, and named in the error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.jsonl import read_jsonl
from seqgpt_lab.documents.offsets import UNITS, in_code_points, part, recognise
from seqgpt_lab.errors import DocumentError

TEXT = "😀甲方：𠮷田商事，金额120元"


@given(st.text(st.characters(categories=["L", "N", "P", "So"]), min_size=1, max_size=30), st.data())
def test_every_place_is_found_again_in_every_unit(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    # The oracle: how long Python says the parts are once encoded.
    for unit, encoding, size in zip(UNITS, ("utf-32-le", "utf-16-le", "utf-8"), (4, 2, 1), strict=True):
        counted = [len(text[:place].encode(encoding)) // size for place in (start, end)]
        assert part(text, counted[0], counted[1], unit) == text[start:end]
        assert in_code_points(text, counted[0], counted[1], unit) == (start, end)
        assert recognise(text, counted[0], counted[1], text[start:end]) is not None


def test_places_outside_the_text_or_inside_a_character_are_none() -> None:
    for unit, length in zip(UNITS, (15, 17, 41), strict=True):
        inside = {(start, end) for start in range(-3, 45) for end in range(-3, 45) if in_code_points(TEXT, start, end, unit)}
        # Every place between two characters with every later one.
        assert len(inside) == len(TEXT) * (len(TEXT) + 1) // 2
        assert min(inside)[0] == 0 and max(end for _, end in inside) == length
    assert in_code_points(TEXT, 1, 3, "UTF-16 code units") is None


@pytest.mark.parametrize(
    ("start", "end", "named"),
    [(5, 10, "UTF-16 code units"), (13, 26, "UTF-8 bytes"), (4, 7, "add 1 to every end"), (2, 6, "code points, end exclusive")],
)
def test_the_error_says_what_the_offsets_seem_to_be(tmp_path: Path, start: int, end: int, named: str) -> None:
    with pytest.raises(DocumentError, match=named):
        Document("a", TEXT, (Entity("供应商", start, end, "𠮷田商事"),))
    record = {"text": TEXT, "entities": [{"label": "供应商", "start": start, "end": end, "text": "𠮷田商事"}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(record), encoding="utf-8")
    (problem,) = read_jsonl(tmp_path / "a.jsonl").problems
    assert named in problem.message


@pytest.mark.parametrize(("start", "end"), [(-3, -1), (-3, 13), (12, 12), (12, 11)])
def test_offsets_from_the_end_of_a_text_are_no_place_though_python_takes_them(start: int, end: int) -> None:
    with pytest.raises(DocumentError, match="offsets are code points, end exclusive"):
        Document("a", TEXT, (Entity("金额", start, end, TEXT[start:end] or "1"),))
