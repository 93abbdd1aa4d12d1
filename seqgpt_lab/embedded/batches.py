"""Draws training batches, pool by pool, in this process or ahead of it in others; knows documents and drills, no model.

The same seed gives the same batches, wherever they are made: so training resumes where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from random import Random
from typing import TypeVar

from tokenizers import Tokenizer

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.ahead import made_ahead
from seqgpt_lab.embedded.annotated import AnnotatedSets
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.excerpts import excerpt
from seqgpt_lab.embedded.corpus.kind import Kind, Split
from seqgpt_lab.embedded.corpus.questions import Question, ask
from seqgpt_lab.embedded.drills import form_drill, repeat_drill
from seqgpt_lab.embedded.guidance import Roles
from seqgpt_lab.embedded.packing import Batch, PackedRow, collate, pack
from seqgpt_lab.embedded.real_questions import ask_real, real_document
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.tokenizer import token_id

Row = TypeVar("Row")


class Pools:
    """Pool by number. A pool is a number of packed rows, sorted by length and cut into batches of at most `recipe.tokens` tokens,
    padding to the longest row included."""

    def __init__(self, tokenizer: Tokenizer, kinds: Sequence[Kind], recipe: Recipe, real: AnnotatedSets | None = None) -> None:
        self.tokenizer, self.kinds, self.recipe, self.real = tokenizer, kinds, recipe, real
        self.roles = Roles(kinds)

    def __getitem__(self, pool: int) -> list[Batch]:
        """Rows of similar length share a batch; batches come in random order."""
        random = Random(f"{self.recipe.seed}/{pool}")
        drill = self.recipe.drill(pool)
        rows = sorted((self._row(random, drill) for _ in range(self.recipe.rows(pool))), key=lambda row: len(row.ids))
        pad = token_id(self.tokenizer, "<pad>")
        groups = _grouped(rows, self.recipe.tokens)
        random.shuffle(groups)
        return [collate(group, pad) for group in groups]

    def _row(self, random: Random, drill: float) -> PackedRow:
        if random.random() < drill:
            return repeat_drill(self.tokenizer, random) if random.random() < 0.7 else form_drill(self.tokenizer, random)
        if self.real is not None and random.random() < self.recipe.real_share:
            return self._real_row(self.real, random)
        document, questions = document_questions(self.kinds, "train", random, self.recipe.questions, self.recipe.excerpt_share)
        return pack(self.tokenizer, document.text, questions, document.gold, self.roles)

    def _real_row(self, real: AnnotatedSets, random: Random) -> PackedRow:
        """Without roles: a real text's labels are not the fields of a kind."""
        source, drawn = real.draw(random)
        document = real_document(source, drawn, random)
        questions = [ask_real(source, document, random) for _ in range(self.recipe.questions)]
        return pack(self.tokenizer, document.text, [question for question in questions if question.labels], document.gold)


def _grouped(rows: Sequence[PackedRow], tokens: int) -> list[list[PackedRow]]:
    """The groups of `neighbours`, but the last two share their rows evenly: Muon's update is as large for two rows as for a full batch."""
    groups = neighbours(rows, tokens, lambda row: len(row.ids))
    if len(groups) > 1:
        both = groups[-2] + groups[-1]
        groups[-2:] = [both[: len(both) // 2], both[len(both) // 2 :]]
    return groups


def neighbours(rows: Sequence[Row], tokens: int, length: Callable[[Row], int]) -> list[list[Row]]:
    """Rows, sorted by length, in groups of at most `tokens` tokens, padding to the longest included, but at least one row."""
    groups: list[list[Row]] = [[]]
    for row in rows:
        if length(row) * (len(groups[-1]) + 1) > tokens and groups[-1]:
            groups.append([])
        groups[-1].append(row)
    return groups


class Batches:
    """Training batches in order. `pool` and `offset` name the next one.

    workers: processes that make pools ahead, for a device that trains faster than one process writes; 0 makes each here, when asked for.
    """

    def __init__(self, pools: Pools, workers: int = 0) -> None:
        self.pools, self.workers = pools, workers
        self.pool, self.offset = 0, 0
        self._made: tuple[int, list[Batch]] = (-1, [])
        self._ahead: Generator[list[Batch]] | None = None

    def next(self) -> Batch:
        """The next batch, and one further."""
        if self.offset >= len(self._at_hand()):  # a checkpoint's, of a corpus that made more batches of this pool
            self._go_on()
        batch = self._at_hand()[self.offset]
        self.offset += 1
        if self.offset == len(self._at_hand()):
            self._go_on()
        return batch

    def _go_on(self) -> None:
        self.pool, self.offset = self.pool + 1, 0

    def _at_hand(self) -> list[Batch]:
        if self._made[0] != self.pool:
            self._made = (self.pool, self._make(in_turn=self._made[0] == self.pool - 1))
        return self._made[1]

    def _make(self, in_turn: bool) -> list[Batch]:
        """The pool of this number. in_turn: it comes after the one before; else the workers begin with it anew."""
        if not self.workers:
            return self.pools[self.pool]
        if self._ahead is None or not in_turn:
            self.close()
            self._ahead = made_ahead(self.pools, self.pool, self.workers)
        return next(self._ahead)

    def close(self) -> None:
        """End the workers; `next` starts new ones."""
        if self._ahead is not None:
            self._ahead.close()
            self._ahead, self._made = None, (-1, [])


def document_questions(
    kinds: Sequence[Kind], split: Split, random: Random, count: int, excerpts: float = 0.0
) -> tuple[Document, list[Question]]:
    """A document of a random kind with `count` questions about it; of the kinds that have templates of the split.

    excerpts: how often it is an excerpt among plain sentences.
    """
    kind = random.choice([kind for kind in kinds if kind.templates[split]])
    document = compose(kind, split, random, 0)
    if random.random() < excerpts:
        document = excerpt(document, random)
    return document, questions_about(document, kind, kinds, random, count)


def questions_about(document: Document, kind: Kind, kinds: Sequence[Kind], random: Random, count: int) -> list[Question]:
    """`count` questions. One that asks for what another does is drawn anew: an answer teaches once, and without this a tenth were such."""
    asked: dict[tuple[str, tuple[str, ...]], Question] = {}
    while len(asked) < count:
        question = ask(document, kind, kinds, random)
        asked.setdefault((question.task, question.labels), question)
    return list(asked.values())
