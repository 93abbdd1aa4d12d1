"""Packs synthetic documents and their questions into training batches; knows tokens and positions, no model and no optimiser.

A document's text is laid out once, followed by several questions with their answers. Each question sees the text and itself, never
another question, and continues the text's positions: so every answer is learnt under exactly the prompt it will meet, while
the text's share of the work is paid once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.annotated import AnnotatedSets
from seqgpt_lab.embedded.corpus.compose import compose
from seqgpt_lab.embedded.corpus.excerpts import excerpt
from seqgpt_lab.embedded.corpus.kind import Kind, Split
from seqgpt_lab.embedded.corpus.questions import Question, answer_line, ask
from seqgpt_lab.embedded.guidance import Roles, copied_from, tokens_of_characters, value_tokens
from seqgpt_lab.embedded.real_questions import ask_real, real_document
from seqgpt_lab.embedded.recipe import Recipe
from seqgpt_lab.embedded.tokenizer import token_id
from seqgpt_lab.engine.attention import Geometry, Prepared, SdpaAttention
from seqgpt_lab.extraction.tokenizer import GENERATE_TOKEN

_PAD_BLOCK = -1
_MULTIPLE = 8
_LEAD = "输入: "


@dataclass(frozen=True, slots=True)
class PackedRow:
    """One packed row. blocks: 0 for the text, 1.. for its questions. targets: the next token where it is part of an answer, else -100.

    roles: for each token of the text the field whose value it begins or continues (`Roles`); -100 elsewhere and in drills.
    sources: (position in the row, position of a text token that the token's target copies) pairs.
    """

    ids: list[int]
    positions: list[int]
    blocks: list[int]
    targets: list[int]
    roles: list[int]
    sources: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """ids, positions, blocks, targets, roles: [B, T] int64; rows padded on the right (block -1). sources: [N, 3] row, query, key."""

    ids: Tensor
    positions: Tensor
    blocks: Tensor
    targets: Tensor
    roles: Tensor
    sources: Tensor


class PackedAttention(SdpaAttention):
    """SDPA whose bias follows a batch's positions and blocks; set `batch` before the forward pass.

    last: query, keys [B, T, H, D] and bias [B, H, T, T] of the layer that ran last.
    """

    def __init__(self) -> None:
        self.batch: Batch | None = None
        self.last: tuple[Tensor, Tensor, Tensor] | None = None

    def prepare(self, geometry: Geometry, slopes: Tensor, dtype: torch.dtype) -> Prepared:
        if self.batch is None:
            return super().prepare(geometry, slopes, dtype)
        # Under autocast the queries come in its dtype, whatever the hidden states have.
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else dtype
        return Prepared(slopes, bias=packed_bias(self.batch, slopes).to(dtype))

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, prepared: Prepared) -> Tensor:
        if self.batch is None or prepared.bias is None:
            return super().attend(query, keys, values, prepared)
        self.last = (query, keys, prepared.bias)
        return _attend_in_full(query, keys, values, prepared.bias)


def _attend_in_full(query: Tensor, keys: Tensor, values: Tensor, bias: Tensor) -> Tensor:
    """Attention [B, T, H, D] with all of its weights in memory: forward and backward take half the time of torch's fused CPU kernel,
    which multiplies bfloat16 slowly where a CPU has no AMX."""
    batch, count, heads, width = query.shape
    flat = [part.transpose(1, 2).reshape(batch * heads, count, width) for part in (query, keys, values)]  # [B * H, T, D]
    scores = torch.bmm(flat[0] * width**-0.5, flat[1].mT).view(batch, heads, count, count) + bias
    weights = torch.softmax(scores, dim=-1).view(batch * heads, count, count)
    return torch.bmm(weights, flat[2]).view(batch, heads, count, width).transpose(1, 2)


def packed_bias(batch: Batch, slopes: Tensor) -> Tensor:
    """ALiBi bias [B, H, T, T] over packed positions; -inf for the future and for other questions. A pad sees itself only."""
    distance = batch.positions[:, None, :] - batch.positions[:, :, None]  # [B, T, T]: key minus query
    count = batch.ids.shape[1]
    past = torch.tril(torch.ones(count, count, dtype=torch.bool))
    same = batch.blocks[:, :, None] == batch.blocks[:, None, :]
    shared = (batch.blocks[:, None, :] == 0) & (batch.blocks[:, :, None] != _PAD_BLOCK)
    hidden = ~(past & (same | shared))
    return (slopes[None, :, None, None] * distance[:, None]).masked_fill(hidden[:, None], -torch.inf)


def pack(
    tokenizer: Tokenizer, text: str, questions: Sequence[Question], gold: Sequence[Entity] = (), roles: Roles | None = None
) -> PackedRow:
    """Lay out one text and its questions. The tokenizer must encode special tokens as plain text (`encode_special_tokens`).

    gold: where the text's values stand, from which roles (with `roles`) and sources follow.
    """
    encoded = tokenizer.encode(f"{_LEAD}{text}\n")
    ids = encoded.ids
    places = tokens_of_characters(encoded.offsets, len(_LEAD))
    values = value_tokens(gold, places)
    positions, blocks, targets = list(range(len(ids))), [0] * len(ids), [-100] * len(ids)
    sources: list[tuple[int, int]] = []
    generate, end = token_id(tokenizer, GENERATE_TOKEN), token_id(tokenizer, "</s>")
    start = len(ids)
    for block, question in enumerate(questions, start=1):
        prompt = [*tokenizer.encode(f"{question.task}: {'，'.join(question.labels)}\n输出: ").ids, generate]
        written = tokenizer.encode(question.answer)
        answer = [*written.ids, end]
        first = len(ids) + len(prompt) - 1  # the position whose target is the answer's first token
        sources += [(first + token, key) for token, key in copied_from(question.answer, written.offsets, values)]
        ids += [*prompt, *answer[:-1]]
        count = len(prompt) + len(answer) - 1
        positions += range(start, start + count)
        blocks += [block] * count
        targets += [-100] * (len(prompt) - 1) + answer
    labels = roles.of_tokens(gold, places, start) if roles else [-100] * start
    return PackedRow(ids, positions, blocks, targets, labels + [-100] * (len(ids) - start), sources)


def collate(rows: Sequence[PackedRow], pad: int) -> Batch:
    """Rows padded on the right to a common multiple of 8."""
    longest = max(len(row.ids) for row in rows)
    length = -(-longest // _MULTIPLE) * _MULTIPLE

    def padded(lists: list[list[int]], fill: int) -> Tensor:
        return torch.tensor([values + [fill] * (length - len(values)) for values in lists])

    return Batch(
        padded([row.ids for row in rows], pad),
        padded([row.positions for row in rows], 0),
        padded([row.blocks for row in rows], _PAD_BLOCK),
        padded([row.targets for row in rows], -100),
        padded([row.roles for row in rows], -100),
        torch.tensor([(at, *source) for at, row in enumerate(rows) for source in row.sources]).view(-1, 3),
    )


class Batches:
    """Training batches, pool by pool: the same seed always gives the same batches, so training resumes where it stopped.

    A pool is a number of packed rows, sorted by length and cut into batches of at most `recipe.tokens` tokens, padding included.
    `pool` and `offset` name the next batch.
    """

    def __init__(self, tokenizer: Tokenizer, kinds: Sequence[Kind], recipe: Recipe, real: AnnotatedSets | None = None) -> None:
        self.tokenizer, self.kinds, self.recipe, self.real = tokenizer, kinds, recipe, real
        self.roles = Roles(kinds)
        self.pool, self.offset = 0, 0
        self._made: tuple[int, list[Batch]] = (-1, [])

    def next(self) -> Batch:
        """The next batch, and one further."""
        if self._made[0] != self.pool:
            self._made = (self.pool, self._make_pool(self.pool))
        batch = self._made[1][self.offset]
        self.offset += 1
        if self.offset == len(self._made[1]):
            self.pool, self.offset = self.pool + 1, 0
        return batch

    def _make_pool(self, pool: int) -> list[Batch]:
        """Rows of similar length share a batch; batches come in random order."""
        random = Random(f"{self.recipe.seed}/{pool}")
        drill = self.recipe.drill(pool)
        rows = sorted((self._row(random, drill) for _ in range(self.recipe.rows(pool))), key=lambda row: len(row.ids))
        pad = token_id(self.tokenizer, "<pad>")
        groups: list[list[PackedRow]] = [[]]
        for row in rows:
            if len(row.ids) * (len(groups[-1]) + 1) > self.recipe.tokens and groups[-1]:
                groups.append([])
            groups[-1].append(row)
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
    return document, [ask(document, kind, kinds, random) for _ in range(count)]


def repeat_drill(tokenizer: Tokenizer, random: Random) -> PackedRow:
    """Random tokens, then the same again: the barest task that needs copying (an induction head)."""
    ids = [random.randrange(4, tokenizer.get_vocab_size() - 1) for _ in range(random.randint(5, 20))]
    count = len(ids)
    targets = [-100] * count + [*ids[1:], token_id(tokenizer, "</s>")]
    sources = [(count + at, at + 1) for at in range(count - 1)]
    return PackedRow(ids + ids, list(range(2 * count)), [0] * (2 * count), targets, [-100] * (2 * count), sources)


def form_drill(tokenizer: Tokenizer, random: Random) -> PackedRow:
    """A form of meaningless keys, each with one to three values, and questions about some: copying by key, with nothing to know."""
    vocabulary = range(300, tokenizer.get_vocab_size() - 1)

    def word(least: int, most: int) -> str:
        return tokenizer.decode([random.choice(vocabulary) for _ in range(random.randint(least, most))]).replace("�", "").strip() or "空"

    pairs = {word(2, 4): [word(2, 9) for _ in range(random.choice((1, 1, 2, 3)))] for _ in range(random.randint(3, 8))}
    colon, joint, comma = random.choice("：: 为"), random.choice("，\n；。 "), random.choice("、/和")
    text = joint.join(f"{key}{colon}{comma.join(values)}" for key, values in pairs.items())
    questions = []
    for _ in range(2):
        labels = random.sample(list(pairs), k=random.randint(1, min(5, len(pairs))))
        if random.random() < 0.3:
            labels.insert(random.randrange(len(labels) + 1), word(2, 4))
        lines = "".join(answer_line(label, pairs.get(label, ())) for label in labels)
        questions.append(Question(text, "抽取", tuple(labels), lines))
    return pack(tokenizer, text, questions)
