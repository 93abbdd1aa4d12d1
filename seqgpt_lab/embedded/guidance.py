"""What training tells the model beyond the right answer: which text token an answer token copies, which field a text token is of.

An answer's loss says that a token is wrong, not where to look. Two further losses say where: one attention head is asked to look
at the copied token, and a linear probe under the last layer to name each text token's field. Neither changes the model's
shape; the probe is thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

from seqgpt_lab.documents.document import Entity
from seqgpt_lab.embedded.corpus.kind import Kind
from seqgpt_lab.embedded.corpus.questions import written

if TYPE_CHECKING:
    from seqgpt_lab.embedded.batches import Batch

Offsets = Sequence[tuple[int, int]]
Places = Mapping[int, list[int]]


class Roles:
    """Numbers for what a text token can be: 0 for no field, then two a field: its value's first token, and the others."""

    def __init__(self, kinds: Sequence[Kind]) -> None:
        names = sorted({spec.name for kind in kinds for spec in kind.fields})
        self.first = {name: 1 + 2 * index for index, name in enumerate(names)}
        self.count = 1 + 2 * len(names)

    def of_tokens(self, gold: Sequence[Entity], places: Places, tokens: int) -> list[int]:
        """The role of each of a text's `tokens` tokens. places: tokens of each character of the text."""
        roles = [0] * tokens
        for entity in gold:
            inside = dict.fromkeys(token for at in range(entity.start, entity.end) for token in places.get(at, ()))
            for order, token in enumerate(inside):
                roles[token] = self.first[entity.label] + min(order, 1)
        return roles


def tokens_of_characters(offsets: Offsets, lead: int = 0) -> dict[int, list[int]]:
    """The tokens of each character, several for a rare one; characters count from `lead`, those before it are left out."""
    places: dict[int, list[int]] = {}
    for token, (start, end) in enumerate(offsets):
        for at in range(max(start, lead), end):
            places.setdefault(at - lead, []).append(token)
    return places


def value_tokens(gold: Sequence[Entity], places: Places) -> dict[str, list[list[list[int]]]]:
    """For each value, as an answer writes it: for each place where it stands, the text tokens of each of its characters."""
    values: dict[str, list[list[list[int]]]] = {}
    for entity in gold:
        kept = [entity.start + at for at, character in enumerate(entity.text) if written(character)]
        if all(at in places for at in kept):
            values.setdefault(written(entity.text), []).append([places[at] for at in kept])
    return values


def copied_from(answer: str, offsets: Offsets, values: Mapping[str, list[list[list[int]]]]) -> list[tuple[int, int]]:
    """(token of the answer, text token it copies) pairs; a value that stands in several places gives several pairs."""
    tokens = tokens_of_characters(offsets)
    pairs: dict[tuple[int, int], None] = {}
    line_start = 0
    for line in answer.splitlines(keepends=True):
        at = line_start + line.find(": ") + 2
        for value in line[at - line_start :].rstrip("\n").split("\t"):
            for place in values.get(value, []):
                for character, keys in enumerate(place):
                    pairs.update(dict.fromkeys(zip(tokens[at + character], keys, strict=False)))
            at += len(value) + 1
        line_start += len(line)
    return list(pairs)


class Guide(nn.Module):
    """The two further losses. head: index of the guided attention head in the last layer."""

    def __init__(self, hidden_size: int, roles: Roles, head: int) -> None:
        super().__init__()
        self.probe = nn.Linear(hidden_size, roles.count)
        self.head = head

    def forward(self, batch: Batch, below: Tensor, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """below [B, T, C] enters the last layer; query, key [B, T, H, D] and bias [B, H, T, T] are the last layer's."""
        loss = self.source_loss(batch, query[:, :, self.head], key[:, :, self.head], bias[:, self.head])
        named = batch.roles >= 0
        if named.any():
            loss = loss + functional.cross_entropy(self.probe(below[named]).float(), batch.roles[named])
        return loss

    @staticmethod
    def source_loss(batch: Batch, query: Tensor, key: Tensor, bias: Tensor) -> Tensor:
        """Mean of -log(attention on the copied tokens) over the tokens that copy. query, key [B, T, D], bias [B, T, T]."""
        row, at, source = batch.sources.unbind(1)
        if not len(row):
            return query.new_zeros(())
        copies, which = torch.unique(row * query.shape[1] + at, return_inverse=True)  # N tokens that copy, each once
        of_row, of_token = copies // query.shape[1], copies % query.shape[1]
        scores = (query @ key.mT)[of_row, of_token].float() / query.shape[-1] ** 0.5  # [N, T]
        weights = torch.log_softmax(scores + bias[of_row, of_token], dim=-1)
        wanted = torch.zeros_like(weights, dtype=torch.bool)
        wanted[which, source] = True
        return -torch.logsumexp(weights.masked_fill(~wanted, -torch.inf), dim=-1).mean()
