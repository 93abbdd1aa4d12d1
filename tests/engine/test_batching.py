from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.engine.batching import plan_batches
from seqgpt_lab.engine.decode import Request
from seqgpt_lab.errors import OptionError

LENGTHS = st.lists(st.integers(1, 60), max_size=50)


def requests(lengths: list[int]) -> list[Request]:
    return [Request((7,) * length) for length in lengths]


@given(LENGTHS, st.integers(1, 9), st.integers(1, 200))
def test_every_request_is_in_one_batch_that_keeps_to_its_size_and_budget(lengths: list[int], batch_size: int, token_budget: int) -> None:
    batches = list(plan_batches(requests(lengths), batch_size=batch_size, token_budget=token_budget))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert 1 <= len(batch) <= batch_size
        padded = max(lengths[index] for index in batch) * len(batch)
        assert padded <= token_budget or len(batch) == 1


@given(LENGTHS, st.integers(1, 9), st.integers(1, 200))
def test_longest_prompts_come_first_and_equals_keep_their_order(lengths: list[int], batch_size: int, token_budget: int) -> None:
    order = [index for batch in plan_batches(requests(lengths), batch_size=batch_size, token_budget=token_budget) for index in batch]
    assert [(-lengths[index], index) for index in order] == sorted((-length, index) for index, length in enumerate(lengths))


@given(LENGTHS, st.integers(1, 9), st.integers(1, 200))
def test_a_batch_is_as_full_as_the_limits_allow(lengths: list[int], batch_size: int, token_budget: int) -> None:
    batches = list(plan_batches(requests(lengths), batch_size=batch_size, token_budget=token_budget))
    for batch in batches[:-1]:
        one_more = lengths[batch[0]] * (len(batch) + 1)
        assert len(batch) == batch_size or one_more > token_budget


@pytest.mark.parametrize(("batch_size", "token_budget"), ((0, 10), (10, 0)))
def test_limits_below_one_are_refused(batch_size: int, token_budget: int) -> None:
    with pytest.raises(OptionError, match=f"batch_size {batch_size} and token_budget {token_budget}"):
        list(plan_batches(requests([1]), batch_size=batch_size, token_budget=token_budget))
