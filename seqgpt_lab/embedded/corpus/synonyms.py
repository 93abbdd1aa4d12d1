"""A template with some of its words replaced by others that mean the same: more wordings than were written. Knows no kinds or values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from random import Random

from seqgpt_lab.embedded.corpus.template import map_literals

_GROUPS = Path(__file__).parent / "synonyms.txt"

Groups = Mapping[str, tuple[str, ...]]
"""Each word's whole group, itself among them."""


def read_groups(lines: Iterable[str]) -> Groups:
    """A group a line, its words parted by blanks; any may stand for any other of its line in nearly every sentence."""
    groups = (tuple(line.split()) for line in lines)
    return {word: group for group in groups for word in group}


@cache
def known_groups() -> Groups:
    """The groups of `synonyms.txt`."""
    return read_groups(_GROUPS.read_text(encoding="utf-8").splitlines())


def reworded(template: str, random: Random, share: float, groups: Groups) -> str:
    """Each known word outside slots becomes, with the chance `share`, any word of its group, but where two overlap."""
    longest = max(map(len, groups), default=0)
    return map_literals(template, lambda literal: _reworded(literal, random, share, groups, longest))


def _reworded(literal: str, random: Random, share: float, groups: Groups, longest: int) -> str:
    found: list[str] = []
    at = 0
    while at < len(literal):
        word = _word(literal, at, groups, longest)
        if len(word) > 1 and random.random() < share and not _cuts_another(literal, at, len(word), groups, longest):
            found.append(random.choice(groups[word]))
        else:
            found.append(word)
        at += len(word)
    return "".join(found)


def _word(literal: str, at: int, groups: Groups, longest: int) -> str:
    """The longest known word from there on, or the one character."""
    lengths = range(min(longest, len(literal) - at), 1, -1)
    return next((literal[at : at + length] for length in lengths if literal[at : at + length] in groups), literal[at])


def _cuts_another(literal: str, at: int, length: int, groups: Groups, longest: int) -> bool:
    """Whether a known word begins inside this one and ends behind it: then which of the two is meant is not plain."""
    end = at + length
    return any(inner + len(_word(literal, inner, groups, longest)) > end for inner in range(at + 1, end))
