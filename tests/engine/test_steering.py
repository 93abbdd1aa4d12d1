"""Constraints and drafts: whatever is guessed, the answer is that of one masked choice a pass, as transformers makes it."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from seqgpt_lab.engine.decode import Decoder, decode
from seqgpt_lab.engine.drafting import PromptLookup
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.parallel import Shard
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import OptionError
from tests.engine.oracles import Oracle, load, random_requests
from tests.engine.rank_threads import RankThreads
from tests.engine.steering import RandomGuesses, RandomRules, slow_greedy

VOCABULARY, END = 1000, 2
Row = tuple[int, bool, bool]  # seed, constrained?, drafted?
ROWS = st.lists(st.tuples(st.integers(0, 40), st.booleans(), st.booleans()), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def model(oracle: Oracle) -> Bloom:
    return load(oracle.directory)


class Truth:
    """What the slow way writes for a seed, computed once."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.found: dict[tuple[int, bool], tuple[list[int], list[float], float | None]] = {}

    def __call__(self, seed: int, constrained: bool) -> tuple[list[int], list[float], float | None]:
        key = (seed, constrained)
        if key not in self.found:
            rules = RandomRules(seed, VOCABULARY, END) if constrained else None
            request = bare(seed)
            self.found[key] = slow_greedy(self.oracle, request.prompt_ids, request.max_new_tokens, rules, END)
        return self.found[key]


@pytest.fixture(scope="module")
def truth(oracle: Oracle) -> Truth:
    return Truth(oracle)


def bare(seed: int) -> Request:
    return random_requests(1, longest=14, most=11, seed=seed)[0]


def request(truth: Truth, row: Row) -> Request:
    seed, constrained, drafted = row
    return replace(
        bare(seed),
        constraint=RandomRules(seed, VOCABULARY, END) if constrained else None,
        drafts=RandomGuesses(seed, tuple(truth(seed, constrained)[0]), VOCABULARY) if drafted else None,
    )


def check(truth: Truth, rows: list[Row], found: list[Completion]) -> None:
    for (seed, constrained, _), completion in zip(rows, found, strict=True):
        ids, chances, end = truth(seed, constrained)
        assert list(completion.token_ids) == ids
        assert completion.token_probabilities == pytest.approx(chances, abs=1e-4)
        assert completion.end_probability == (end if end is None else pytest.approx(end, abs=1e-4))
        assert completion.finish_reason == ("length" if end is None else "stop")


@given(ROWS, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_garbage_guesses_and_random_rules_give_what_one_masked_choice_a_pass_gives(
    model: Bloom, truth: Truth, rows: list[Row], at_once: int
) -> None:
    requests = [request(truth, row) for row in rows]
    found: dict[int, Completion] = {}
    Decoder(model, rows=at_once).run(requests, lambda indices, done: found.update(zip(indices, done, strict=True)))
    check(truth, rows, [found[index] for index in range(len(rows))])


@pytest.mark.parametrize("world", (2, 4))
def test_ranks_agree_on_guesses_and_rules(oracle: Oracle, truth: Truth, world: int) -> None:
    """Ranks have constraints of their own, and some of them have none of the allowed ids."""
    rows = [(seed, bool(seed % 3), bool(seed % 2)) for seed in range(7)]
    pickled = pickle.dumps([request(truth, row) for row in rows])
    parts = [load(oracle.directory, shard=Shard(rank, world)) for rank in range(world)]
    for found in RankThreads(world).run(lambda rank: decode(parts[rank], pickle.loads(pickled))):
        check(truth, rows, found)


def test_right_guesses_save_passes(model: Bloom, truth: Truth) -> None:
    longest = max(range(40), key=lambda seed: len(truth(seed, False)[0]))
    ids = tuple(truth(longest, False)[0])
    assert len(ids) == 11
    plain, drafted = decode(model, [bare(longest)])[0], decode(model, [replace(bare(longest), drafts=Always(ids))])[0]
    assert (plain.timing.passes, drafted.timing.passes) == (11, 1), "the first pass already reads guesses behind the prompt"
    assert plain.token_ids == drafted.token_ids


def test_right_guesses_go_on_behind_ids_that_a_constraint_forces(model: Bloom, truth: Truth) -> None:
    """Of the runs that these rules force only the first id is a choice; guesses name the others too and are not to be out of step."""
    for seed in range(12):
        ids = tuple(truth(seed, True)[0])
        steered = replace(bare(seed), constraint=RandomRules(seed, VOCABULARY, END), drafts=Always(ids))
        (found,) = decode(model, [steered])
        assert found.token_ids == ids and found.timing.passes <= 1


class Always:
    """A drafter that knows the answer."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        self.ids = ids

    def start(self) -> Always:
        return self

    def propose(self, written: list[int], most: int) -> tuple[int, ...]:
        return self.ids[len(written) : len(written) + most]


def test_a_run_of_forced_ids_longer_than_a_pass_holds_may_be_told_once_only(model: Bloom) -> None:
    """After a part of the run this constraint forces nothing any more, though it still allows the next id alone."""
    ids = tuple(range(10, 40))
    (found,) = decode(model, [Request((5, 6), 30, constraint=ToldOnce(ids), drafts=Always(ids))])
    assert found.token_ids == ids and found.finish_reason == "length"


class ToldOnce:
    """The one answer it allows, of which it says after the first id that the rest is forced."""

    def __init__(self, ids: tuple[int, ...]) -> None:
        self.ids, self.count = ids, 0

    def start(self) -> ToldOnce:
        return ToldOnce(self.ids)

    def forced(self) -> tuple[int, ...]:
        return self.ids[1:] if self.count == 1 else ()

    def allowed(self) -> Tensor:
        return torch.tensor(self.ids[self.count : self.count + 1])

    def advance(self, token_ids: list[int]) -> None:
        self.count += len(token_ids)

    def rollback(self, count: int) -> None:
        self.count -= count


def test_a_constraint_that_allows_nothing_is_named(model: Bloom) -> None:
    with pytest.raises(OptionError, match="the constraint of request 0 allows nothing after 0 tokens"):
        decode(model, [Request((5, 6), 3, constraint=Nothing(0, VOCABULARY, END))])


class Nothing(RandomRules):
    def start(self) -> Nothing:
        return self

    def forced(self) -> tuple[int, ...]:
        return ()

    def allowed(self) -> Tensor:
        return torch.empty(0, dtype=torch.int64)


@pytest.mark.parametrize(("allowed", "forced"), (((7, VOCABULARY), ()), ((-1, 7), ()), ((7,), (8, VOCABULARY))))
def test_a_constraint_of_ids_that_the_model_has_not_is_named(model: Bloom, allowed: tuple[int, ...], forced: tuple[int, ...]) -> None:
    with pytest.raises(OptionError, match=rf"request 0 asks for token id (-1|{VOCABULARY}) after . tokens, outside .* \[0, {VOCABULARY}\)"):
        decode(model, [Request((5, 6), 6, constraint=Fixed(allowed, forced))])


@pytest.mark.parametrize("guess", (-1, VOCABULARY, 10**9))
def test_a_guess_that_the_model_has_not_is_a_wrong_guess(model: Bloom, guess: int) -> None:
    request = Request((5, 6), 6)
    guessed = decode(model, [replace(request, drafts=RandomGuesses(0, (guess,) * 6, VOCABULARY))])
    assert guessed[0].token_ids == decode(model, [request])[0].token_ids


class Fixed(RandomRules):
    """Allows the same ids at all times, and forces some after the first."""

    def __init__(self, ids: tuple[int, ...], after: tuple[int, ...]) -> None:
        super().__init__(0, VOCABULARY, END)
        self.ids, self.after = ids, after

    def start(self) -> Fixed:
        return Fixed(self.ids, self.after)

    def forced(self) -> tuple[int, ...]:
        return self.after if len(self.written) == 1 else ()

    def allowed(self) -> Tensor:
        return torch.tensor(self.ids)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(0, 12), st.integers(1, 8), st.integers(1, 4))
def test_lookup_guesses_what_followed_the_longest_known_ending_last(ids: list[int], written: int, most: int, longest: int) -> None:
    split = max(1, len(ids) - written)
    found = PromptLookup(tuple(ids[:split]), longest).propose(ids[split:], most)
    counts = [count for count in range(1, min(longest, len(ids) - 1) + 1) if places(ids, count)]
    wanted = ids[places(ids, max(counts))[-1] + max(counts) :][:most] if counts else []
    assert list(found) == wanted


def places(ids: list[int], count: int) -> list[int]:
    """Where the last `count` ids stand, but for the end."""
    return [start for start in range(len(ids) - count) if ids[start : start + count] == ids[-count:]]


def test_lookup_of_no_ids_is_refused() -> None:
    with pytest.raises(OptionError, match="longest is 0"):
        PromptLookup((1,), 0)
