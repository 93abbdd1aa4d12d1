from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.engine.batching import longest_first, plan_parts
from seqgpt_lab.engine.requests import Request

LENGTHS = st.lists(st.integers(1, 60), max_size=50)


def requests(lengths: list[int]) -> list[Request]:
    return [Request((7,) * length) for length in lengths]


@given(LENGTHS)
def test_longest_prompts_come_first_and_equals_keep_their_order(lengths: list[int]) -> None:
    order = longest_first(requests(lengths))
    assert [(-lengths[index], index) for index in order] == sorted((-length, index) for index, length in enumerate(lengths))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5), st.integers(1, 9)), max_size=30))
def test_requests_that_share_a_text_stand_together_longest_text_first(cases: list[tuple[int, int, int]]) -> None:
    asked = [Request((text,) * (4 + text) + (8,) * end, shared_prefix=4 + text) for text, end, _ in cases]
    order = longest_first(asked)
    assert [cases[index][:2] for index in order] == sorted((case[:2] for case in cases), reverse=True), "and of one text the longest prompt"


# The text that a request shares with others, if any, how long that is, and how many ids come after it.
SHARING = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([3, 40, 400]), st.integers(1, 60)), max_size=50)


@given(SHARING, st.integers(1, 5), st.integers(1, 20))
def test_every_request_is_in_one_part_of_as_few_as_can_be_that_leave_no_replica_idle(
    cases: list[tuple[int, int, int]], replicas: int, most: int
) -> None:
    asked = [Request((text,) * size + (8,) * end, shared_prefix=size if text else 0) for text, size, end in cases]
    parts = plan_parts(asked, replicas=replicas, most=most)
    assert sorted(index for part in parts for index in part) == list(range(len(asked)))
    assert all(1 <= len(part) <= most for part in parts)
    assert min(replicas, len({(text, size) for text, size, _ in cases})) <= len(parts) <= -(-len(asked) // (most * replicas)) * replicas
    assert all(longest_first([asked[index] for index in part]) == list(range(len(part))) for part in parts)


@given(st.lists(st.integers(1, 900), min_size=1, max_size=50), st.integers(1, 5))
def test_no_replica_gets_more_than_one_prompt_more_than_another(lengths: list[int], replicas: int) -> None:
    """The longest and an answer, which counts as some more tokens."""
    work = [sum(lengths[index] + 100 for index in part) for part in plan_parts(requests(lengths), replicas=replicas, most=50)]
    assert len(lengths) < replicas or max(work) - min(work) <= max(lengths) + 100


def test_requests_about_one_text_go_to_one_replica_unless_they_are_more_than_its_share() -> None:
    asked = [Request((text,) * 300 + (8, end), shared_prefix=300) for end in range(2) for text in range(4)]
    parts = plan_parts(asked, replicas=2, most=50)
    assert sorted(sorted({asked[index].prompt_ids[0] for index in part}) for part in parts) == [[0, 2], [1, 3]]
    lone = [Request((7,) * 300 + (8, end), shared_prefix=300) for end in range(8)]
    assert all(part for part in plan_parts(lone, replicas=2, most=50)) and len(plan_parts(lone, replicas=2, most=50)) == 2


def test_what_is_too_much_of_one_text_for_a_replica_goes_on_together_at_the_next() -> None:
    """Twelve questions on a text are some one and a half of four replicas' shares: two compute the text, not all four."""
    asked = [Request((7,) * 300 + (8,), shared_prefix=300) for _ in range(12)] + [Request((9,) * 200) for _ in range(8)]
    parts = plan_parts(asked, replicas=4, most=50)
    assert len(parts) == 4 and sum(any(index < 12 for index in part) for part in parts) == 2
