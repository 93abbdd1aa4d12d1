"""Lays out a text and its questions as one row, and rows as a batch; knows tokens and positions, no model.

A document's text is laid out once, followed by several questions with their answers. Each question sees the text and itself, never
another question, and continues the text's positions: so every answer is learnt under exactly the prompt it will meet, while
the text's share of the work is paid once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer
from torch import Tensor

from seqgpt_lab.documents.document import Entity
from seqgpt_lab.embedded.corpus.questions import Question
from seqgpt_lab.embedded.guidance import Roles, copied_from, tokens_of_characters, value_tokens
from seqgpt_lab.embedded.tokenizer import token_id
from seqgpt_lab.extraction.tokenizer import GENERATE_TOKEN

PAD_BLOCK = -1
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

    def parts(self) -> tuple[Tensor, ...]:
        """Its tensors, in the order of the fields."""
        return self.ids, self.positions, self.blocks, self.targets, self.roles, self.sources

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        return Batch(*(part.to(device) for part in self.parts()))


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
        padded([row.blocks for row in rows], PAD_BLOCK),
        padded([row.targets for row in rows], -100),
        padded([row.roles for row in rows], -100),
        torch.tensor([(at, *source) for at, row in enumerate(rows) for source in row.sources], dtype=torch.int64).view(-1, 3),
    )
