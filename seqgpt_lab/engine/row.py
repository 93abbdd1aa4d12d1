"""One answer in the making: what to feed next, which choices to ask of the model, what to keep of them. Knows ids, no model.

A pass feeds a row the ids that are written but not yet in the cache, then guesses at the ids after them. The model is asked what comes
after the last written id and after each guess; guesses are kept as long as they are what the model chooses, and the first choice that
no guess foresaw is kept too. So the answer is that of one choice a pass, in fewer passes.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.engine.sharing import Text
from seqgpt_lab.errors import OptionError


@dataclass(frozen=True, slots=True)
class Question:
    """What comes after `feed[at]`? allowed: as Constraint.allowed. guess: the ids fed next, kept if the first of them is chosen: the
    others are forced by it."""

    at: int
    allowed: Tensor | None
    guess: Sequence[int] = ()


class Row:
    """A request at work. length: how many ids of prompt and answer are in the cache, of which `reused` were there before its first pass.

    feed, questions: of the pass that was planned. text: what stands for the first ids, whose slots may then be empty, where the row
    shares it with others; it stays as long as they do, even if the cache of texts lets it go. completion: None until it is whole.
    """

    def __init__(self, index: int, request: Request, end_token: int, vocabulary: int) -> None:
        self.index, self.request, self.end_token, self.vocabulary = index, request, end_token, vocabulary
        self.length, self.reused, self.passes = 0, 0, 0
        self.text: Text | None = None
        self.written: list[int] = []
        self.feed: list[int] = []
        self.questions: list[Question] = []
        self.completion: Completion | None = None
        self._probabilities: list[float] = []
        self._constraint = request.constraint.start() if request.constraint else None
        self._drafter = request.drafts.start() if request.drafts else None
        self._started = time.perf_counter()
        self._prefilled = self._started
        self._write_forced()

    def plan(self, most: int) -> None:
        """Fill `feed` and `questions` for the next pass, with at most `most` ids beyond those already written."""
        prompt = self.request.prompt_ids
        self.feed = [*prompt[self.length :], *self.written[max(0, self.length - len(prompt)) :]]
        self.questions = []
        left = min(most, self.request.max_new_tokens - len(self.written) - 1)  # the choice after the last guess is written too
        guesses = deque(self._drafter.propose(self.written, left)) if self._drafter and left > 0 else deque()
        whole = True
        while whole:
            allowed = self._allowed()
            guess, whole = self._follow(guesses, allowed, left)
            self.questions.append(Question(len(self.feed) - 1, allowed, guess))
            self.feed += guess
            left -= len(guess)

    def take(self, answers: Sequence[tuple[int, float]]) -> None:
        """The model's choices and their probabilities, one a question: keep what a choice a pass would have written."""
        tried = sum(len(question.guess) for question in self.questions)
        self.length += len(self.feed) - tried
        self.passes += 1
        if self.passes == 1:
            self._prefilled = time.perf_counter()
        for question, (token, probability) in zip(self.questions, answers, strict=True):
            right = bool(question.guess) and token == question.guess[0]
            if not right and self._constraint:
                self._constraint.rollback(tried)
                self._constraint.advance([token])
            self._write(token, probability)
            if not right or self.completion:
                break
            for forced in question.guess[1:]:
                self._write(forced, 1.0)
            self.length += len(question.guess)
            tried -= len(question.guess)
        self._write_forced()
        # What comes after the last id is asked where it is fed: again, if it was the last of the forced ids that a pass could hold.
        self.length = min(self.length, len(self.request.prompt_ids) + len(self.written) - 1)

    def _allowed(self) -> Tensor | None:
        allowed = self._constraint.allowed() if self._constraint else None
        if allowed is not None and not len(allowed):
            raise OptionError(
                f"the constraint of request {self.index} allows nothing after {len(self.written)} tokens; it must allow an id"
            )
        if allowed is not None:
            self._check_ids((int(allowed[0]), int(allowed[-1])))  # sorted as they are
        return allowed

    def _forced(self) -> list[int]:
        forced = list(self._constraint.forced()) if self._constraint else []
        self._check_ids(forced)
        return forced

    def _check_ids(self, ids: Sequence[int]) -> None:
        """Raises OptionError for ids that the model has not: a card that is asked for one computes nothing any more."""
        for wrong in (token for token in ids if not 0 <= token < self.vocabulary):
            raise OptionError(
                f"the constraint of request {self.index} asks for token id {wrong} after {len(self.written)} tokens, outside the "
                f"vocabulary [0, {self.vocabulary}); it has to be made for this model's tokenizer"
            )

    def _follow(self, guesses: deque[int], allowed: Tensor | None, left: int) -> tuple[list[int], bool]:
        """The next guess with the ids it forces, and whether to ask what comes after them: not when they do not fit or hold the end."""
        if not guesses or left < 1:
            return [], False
        guess = guesses.popleft()
        if guess == self.end_token or not 0 <= guess < self.vocabulary or (allowed is not None and not bool((allowed == guess).any())):
            return [], False
        found, whole = [guess], True
        if self._constraint:
            self._constraint.advance(found)
            while whole and (forced := self._forced()):
                fits = forced[: left - len(found)]
                fits = fits[: fits.index(self.end_token)] if self.end_token in fits else fits
                self._constraint.advance(fits)
                found, whole = found + fits, len(fits) == len(forced)
        for forced_id in found[1:]:
            if not guesses or guesses.popleft() != forced_id:
                guesses.clear()
        return found, whole

    def _write_forced(self) -> None:
        while self._constraint and not self.completion and (forced := self._forced()):
            self._constraint.advance(forced)
            for token in forced:
                self._write(token, 1.0)

    def _write(self, token: int, probability: float) -> None:
        """Append; the end token and the limit complete the row, after which nothing more is written."""
        if self.completion:
            return
        if token == self.end_token:
            self._complete(probability)
            return
        self.written.append(token)
        self._probabilities.append(probability)
        if len(self.written) == self.request.max_new_tokens:
            self._complete(None)

    def _complete(self, end_probability: float | None) -> None:
        now = time.perf_counter()
        prefilled = now if self.passes < 2 else self._prefilled
        timing = Timing(prefilled - self._started, now - prefilled, self.passes, self.reused)
        reason: Literal["stop", "length"] = "length" if end_probability is None else "stop"
        self.completion = Completion(tuple(self.written), tuple(self._probabilities), reason, end_probability, timing)
