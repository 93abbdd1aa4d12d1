"""Texts to measure speed with: of the length asked for, other ones each round."""

from __future__ import annotations

import pytest

from seqgpt_lab.errors import OptionError
from seqgpt_lab.studies.sources import find_sources
from seqgpt_lab.studies.workloads import Texts
from tests.checkpoints import write_random_checkpoint


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Texts:
    return Texts(write_random_checkpoint(tmp_path_factory.mktemp("model")), find_sources(kinds=["resume", "invoice"], split="dev"))


def test_documents_near_a_length_are_the_nearest_and_none_comes_twice(texts: Texts) -> None:
    workload = texts.near("near", batch=4, tokens=115, each=5, rounds=2)
    tasks = [task for turn in workload.rounds for task in turn]
    assert [len(turn) for turn in workload.rounds] == [5, 5, 5]
    assert len({task.document.id for task in tasks}) == 15
    farthest = max(abs(texts.prompt_tokens(task) - 115) for task in tasks)
    everything = texts.near("all", batch=4, tokens=115, each=20, rounds=1)
    nearer = [task for turn in everything.rounds for task in turn if abs(texts.prompt_tokens(task) - 115) < farthest]
    assert len(nearer) <= 15


def test_the_nearest_are_as_many_as_there_are(texts: Texts) -> None:
    assert [task.document.id for task in texts.nearest(115, 3)] == [
        task.document.id for turn in texts.near("near", batch=1, tokens=115, each=1, rounds=2).rounds for task in turn
    ]
    assert len(texts.nearest(115, 10_000)) == 60


@pytest.mark.parametrize("tokens", (100, 256, 1024))
def test_texts_are_cut_to_length_and_differ_from_round_to_round(texts: Texts, tokens: int) -> None:
    workload = texts.of_length("long", batch=3, tokens=tokens, rounds=2)
    made = [task for turn in workload.rounds for task in turn]
    assert all(tokens - 4 <= texts.prompt_tokens(task) <= tokens for task in made)
    assert len({task.document.text for task in made}) == 9


def test_more_texts_than_documents_are_other_texts_all_the_same(texts: Texts) -> None:
    workload = texts.of_length("many", batch=50, tokens=90, rounds=2)  # of twice thirty documents
    assert len({task.document.text for turn in workload.rounds for task in turn}) == 150


def test_one_text_a_round_is_asked_with_every_label_set(texts: Texts) -> None:
    workload = texts.one_text_many_labels("many", tokens=300, rounds=1)
    for turn in workload.rounds:
        assert len({task.document.text for task in turn}) == 1
        assert [task.labels.name for task in turn] == ["resume", "invoice"]
    assert workload.rounds[0][0].document.text != workload.rounds[1][0].document.text


def test_what_cannot_be_made_is_said(texts: Texts) -> None:
    with pytest.raises(OptionError, match="4000 documents are needed for 3 rounds of 1000 and a warm-up, there are"):
        texts.near("near", batch=1, tokens=115, each=1000, rounds=3)
    with pytest.raises(OptionError, match="a prompt of 5 tokens leaves no room"):
        texts.of_length("short", batch=1, tokens=5, rounds=1)
    with pytest.raises(OptionError, match="no documents"):
        Texts("tiny", [])
    with pytest.raises(OptionError, match="labels is 7; a prompt asks for 1 to 6"):
        Texts("tiny", [], labels=7)
