"""Grounded answers: a constraint under which every value is copied from the text, or is one of the labels when classifying.

The engine asks which token ids may follow; the grammar (`grammar.py`) says which bytes may. Values can then not be invented, labels are
written without asking the model, and the model chooses among the few ids that go on from somewhere in the text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from seqgpt_lab.extraction.copyable import Copyable, Places
from seqgpt_lab.extraction.grammar import Grammar, State
from seqgpt_lab.extraction.vocabulary import Vocabulary, load_vocabulary

_SOURCES = 256  # texts whose tokens are kept at hand: their other labels and repeats need them again


@dataclass(frozen=True, slots=True)
class GroundedAnswer:
    """Answers to `phrases` whose values are copied from `text` (without lone surrogates), as the engine's ConstraintSource.

    multiple[i]: whether phrase i may have several values. end_id: the token that ends an answer.
    """

    text: str
    phrases: tuple[str, ...]
    multiple: tuple[bool, ...]
    tokenizer: Path
    end_id: int

    def start(self) -> TokenConstraint:
        """A constraint at the answer's beginning."""
        source = _source_of_text(self.text, load_vocabulary(self.tokenizer))
        return TokenConstraint(Grammar(source.copyable, [f"{phrase}: " for phrase in self.phrases], self.multiple), source, self.end_id)


@dataclass(frozen=True, slots=True)
class GroundedClasses:
    """One line of `phrases`, any of them once, or None: what `分类` is answered with, as the engine's ConstraintSource."""

    phrases: tuple[str, ...]
    tokenizer: Path
    end_id: int

    def start(self) -> TokenConstraint:
        """A constraint at the answer's beginning."""
        source = _source_of_choices(self.phrases, load_vocabulary(self.tokenizer))
        return TokenConstraint(Grammar(source.copyable, [""], [True]), source, self.end_id)


class TokenSource:
    """The tokens with which values can be copied from somewhere, looked up once."""

    def __init__(self, copyable: Copyable, vocabulary: Vocabulary) -> None:
        self.copyable, self.vocabulary = copyable, vocabulary
        self._at: dict[tuple[bytes, int], tuple[list[int], list[bytes]]] = {}
        self._anywhere: dict[bytes, tuple[frozenset[int], frozenset[bytes]]] = {}

    def tokens(self, written: bytes, places: Places) -> tuple[frozenset[int], frozenset[bytes]]:
        """Ids of tokens that write `written` and go on from one of the places, and what they copy of tokens that then hold a separator."""
        if places is not None:
            return _union(self._along(written, place) for place in places)
        if written not in self._anywhere:
            self._anywhere[written] = _union(self._along(written, place) for place in self.copyable.starts)
        return self._anywhere[written]

    def _along(self, written: bytes, place: int) -> tuple[list[int], list[bytes]]:
        key = (written, place)
        if key not in self._at:
            self._at[key] = self.vocabulary.along(written, self.copyable.data, place)
        return self._at[key]


class TokenConstraint:
    """A grammar seen through a vocabulary: the engine's Constraint. Keeps the state after each token, so that it can go back."""

    def __init__(self, grammar: Grammar, source: TokenSource, end_id: int) -> None:
        self.grammar, self.source, self.vocabulary, self.end_id = grammar, source, source.vocabulary, end_id
        self._states: list[State | None] = [State()]  # None after the end token
        self._pieces = source.vocabulary.tokenizer.pieces

    def forced(self) -> Sequence[int]:
        """Ids of what must follow, as an unconstrained model would write it; fewer where what follows may merge with its end."""
        state = self._states[-1]
        if state is None:
            return ()
        if state.line == len(self.grammar.names):
            return (self.end_id,)
        return self.vocabulary.settled(self.grammar.forced(state))

    def allowed(self) -> Tensor:
        """Sorted ids of which one must follow, at least one until the end token is written."""
        state = self._states[-1]
        found: set[int] = set()
        if state is not None:
            found = {self.end_id} if self.grammar.may_stop(state) else set()
            self._collect(state, b"", found)
        return torch.tensor(sorted(found), dtype=torch.int64)

    def advance(self, token_ids: Sequence[int]) -> None:
        """These ids were written, each of them allowed where it stands."""
        for index in token_ids:
            state = self._states[-1]
            assert state is not None, f"token {index} was written after the end token"
            following = None if index == self.end_id else self.grammar.walk(state, self._pieces[index])
            assert following or (index == self.end_id and self.grammar.may_stop(state)), f"token {index} is not allowed after {state}"
            self._states.append(following)

    def rollback(self, count: int) -> None:
        """Take the last `count` ids back."""
        assert count < len(self._states), f"{count} ids cannot be taken back, only {len(self._states) - 1} were written"
        del self._states[len(self._states) - count :]

    def _collect(self, state: State, written: bytes, found: set[int]) -> None:
        """Add the ids of tokens that write `written`, which leads to `state`, and at least one byte more."""
        if state.line == len(self.grammar.names):
            return
        if name := self.grammar.name_left(state):
            found.update(self.vocabulary.along(written, name, 0)[0])
            if self.vocabulary.begins(written + name):
                following = self.grammar.walk(state, name)
                assert following is not None, "a name may always be written"
                self._collect(following, written + name, found)
            return
        self._collect_values(state, written, found)

    def _collect_values(self, state: State, written: bytes, found: set[int]) -> None:
        """As `_collect`, within a value: tokens that copy more of it, and tokens that end it, now or after copying more."""
        ids, heads = self.source.tokens(written, state.places)
        spent = self.grammar.spent(state)
        found.update(index for index in ids if not spent or self._copies(state, index, len(written), spent))
        absent = self.grammar.absent_left(state)
        more, absent_heads = self.vocabulary.along(written, absent, 0) if absent else ([], [])
        found.update(more)
        for head in {b"", *heads, *absent_heads}:
            ended = self.grammar.copy(state, head) if head else state
            for separator in (b"\n", b"\t"):
                piece = written + head + separator
                following = self.grammar.separate(ended, separator) if ended and self.vocabulary.begins(piece) else None
                if following is not None:
                    found.update([self.vocabulary.ids[piece]] if piece in self.vocabulary.ids else [])
                    self._collect(following, piece, found)

    def _copies(self, state: State, index: int, skip: int, spent: set[bytes]) -> bool:
        """Whether a token, its first bytes left out, goes on with a value other than those spent in this line."""
        piece = self._pieces[index][skip:]
        return not any(value.startswith(state.value + piece) for value in spent) or self.grammar.copy(state, piece) is not None


def _union(parts: Iterator[tuple[list[int], list[bytes]]]) -> tuple[frozenset[int], frozenset[bytes]]:
    ids: set[int] = set()
    heads: set[bytes] = set()
    for more_ids, more_heads in parts:
        ids.update(more_ids)
        heads.update(more_heads)
    return frozenset(ids), frozenset(heads)


@lru_cache(_SOURCES)
def _source_of_text(text: str, vocabulary: Vocabulary) -> TokenSource:
    return TokenSource(Copyable.text(text), vocabulary)


@lru_cache(_SOURCES)
def _source_of_choices(choices: tuple[str, ...], vocabulary: Vocabulary) -> TokenSource:
    return TokenSource(Copyable.choices(choices), vocabulary)
