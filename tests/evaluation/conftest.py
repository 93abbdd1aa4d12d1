"""Pairs of a gold document and an extraction, hand-written in one line or drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest
from hypothesis import strategies as st

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span

Place = tuple[int, int]
Pair = tuple[Document, Extraction]
LABELS = ("姓名", "公司", "电话")


def pair(
    text: str,
    gold: Mapping[str, Sequence[Place]],
    answers: Mapping[str, Sequence[Place | str]],
    problems: Sequence[str] = (),
    truncated: bool = False,
    name: str = "a",
    kind: str | None = None,
) -> Pair:
    """Gold and answers as offsets a label; an answer given as a string is one that was not found in the text."""
    entities = [Entity(label, *place, text[slice(*place)]) for label, places in gold.items() for place in places]
    fields = []
    for label, values in answers.items():
        spans = [
            Span(value, None, None, match="unaligned") if isinstance(value, str) else Span(text[slice(*value)], *value) for value in values
        ]
        fields.append(Field(label, tuple(spans)))
    document = Document(name, text, tuple(entities), {} if kind is None else {"kind": kind})
    return document, Extraction(name, text, tuple(fields), "", truncated, tuple(problems))


@st.composite
def drawn_pairs(draw: st.DrawFn) -> list[Pair]:
    made = []
    for number in range(draw(st.integers(0, 4))):
        text = draw(st.text("甲乙丙", min_size=1, max_size=8))
        place = st.tuples(st.integers(0, len(text) - 1), st.integers(1, len(text))).filter(lambda both: both[0] < both[1])
        gold = {label: draw(st.lists(place, max_size=3, unique=True)) for label in draw(st.sets(st.sampled_from((*LABELS, "年龄"))))}
        answer = place | st.sampled_from(["丁", "戊己", "甲"])
        answers = {label: draw(st.lists(answer, max_size=4)) for label in draw(st.permutations(LABELS))[draw(st.integers(0, 3)) :]}
        problems = draw(st.sampled_from([(), ("parse: x",), ("unaligned: x",)]))
        made.append(pair(text, gold, answers, problems, draw(st.booleans()), f"d{number}", draw(st.sampled_from([None, "简历", "合同"]))))
    return made


@pytest.fixture(scope="session")
def make_pair() -> Callable[..., Pair]:
    return pair


@pytest.fixture(scope="session")
def pairs_strategy() -> st.SearchStrategy[list[Pair]]:
    return drawn_pairs()


@pytest.fixture(scope="session")
def labels() -> tuple[str, ...]:
    return LABELS
