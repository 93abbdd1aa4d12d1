"""Random constraints and drafters, and the slowest way to decode under them: one choice a pass over the whole text, by transformers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tests.engine.oracles import Oracle


@dataclass(slots=True)
class RandomRules:
    """Constraint and its source: what may follow depends on seed and ids written, in a way nobody can foresee. Counts its own use."""

    seed: int
    vocabulary: int
    end_token: int
    written: list[int] = field(default_factory=list)

    def start(self) -> RandomRules:
        return RandomRules(self.seed, self.vocabulary, self.end_token)

    def forced(self) -> Sequence[int]:
        """The rest of a run of three, after some ids."""
        for back in (2, 1, 0):
            before = self.written[: len(self.written) - back]
            chance = random.Random(f"{self.seed} {before}")
            run = [chance.randrange(4, self.vocabulary) for _ in range(3)]
            if chance.random() < 0.2 and self.written[len(before) :] == run[:back]:
                return run[back:]
        return ()

    def allowed(self) -> Tensor | None:
        assert not self.forced(), "asked although the next id is given"
        chance = random.Random(f"allowed {self.seed} {self.written}")
        if chance.random() < 0.3:
            return None
        ids = set(chance.sample(range(self.vocabulary), chance.choice((1, 2, 20, 300))))
        return torch.tensor(sorted(ids | ({self.end_token} if chance.random() < 0.3 else set())))

    def advance(self, token_ids: Sequence[int]) -> None:
        self.written += token_ids

    def rollback(self, count: int) -> None:
        assert 0 <= count <= len(self.written)
        del self.written[len(self.written) - count :]


@dataclass(frozen=True, slots=True)
class RandomGuesses:
    """Guesses that are right for a while when `truth` is the answer; otherwise, and past its end, they are garbage."""

    seed: int
    truth: tuple[int, ...]
    vocabulary: int

    def start(self) -> RandomGuesses:
        return self

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        assert most >= 1
        chance = random.Random(f"{self.seed} {written}")
        guesses = list(self.truth[len(written) : len(written) + chance.randint(0, most)])
        for at in range(len(guesses)):
            if chance.random() < 0.15:
                guesses[at] = chance.randrange(self.vocabulary)
        return guesses + [chance.randrange(self.vocabulary) for _ in range(chance.randint(0, most - len(guesses)))]


def slow_greedy(
    oracle: Oracle, prompt: Sequence[int], limit: int, rules: RandomRules | None, end_token: int
) -> tuple[list[int], list[float], float | None]:
    """Ids, their probabilities, and that of the end token if it was reached."""
    written: list[int] = []
    chances: list[float] = []
    while len(written) < limit:
        forced = rules.forced() if rules else ()
        if forced:
            token, chance = forced[0], 1.0
        else:
            logits = oracle.logits([*prompt, *written])[-1]
            allowed = rules.allowed() if rules else None
            if allowed is not None:
                barred = torch.ones_like(logits, dtype=torch.bool)
                barred[allowed] = False
                logits = logits.masked_fill(barred, -torch.inf)
            token, chance = int(logits.argmax()), float(logits.softmax(-1).amax())
        if rules:
            rules.advance([token])
        if token == end_token:
            return written, chances, chance
        written.append(token)
        chances.append(chance)
    return written, chances, None
