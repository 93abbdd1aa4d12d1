"""What a text's gold values say of tokens: which text token an answer token copies, which field a text token is of. Knows no model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from seqgpt_lab.documents.document import Entity
from seqgpt_lab.embedded.corpus.kind import Kind
from seqgpt_lab.embedded.corpus.questions import written

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
