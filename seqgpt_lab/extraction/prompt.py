"""SeqGPT's prompts: the exact wording, at most six labels each, text cut at its end when it must be. Knows no answers."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter
from typing import Literal

from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.extraction.windows import Ruler

Task = Literal["抽取", "分类"]
LABELS_PER_PROMPT = 6
_LEAD = "输入: "
_LONG = 20_000  # characters of a text that is measured before it is encoded, for most of it will be cut off


@dataclass(frozen=True, slots=True)
class Prompt:
    """ids: what the model reads. phrases: what it asks. text_kept: how many code points of the text are in it.

    shared: how many of the first ids hold nothing but the text and what stands before it, as in every prompt about the text.
    """

    ids: tuple[int, ...]
    phrases: tuple[str, ...]
    text_kept: int
    shared: int


def split_evenly(phrases: Sequence[str], most: int = LABELS_PER_PROMPT) -> list[tuple[str, ...]]:
    """Runs of at most `most` phrases, as even as can be, in order: 7 become 4 and 3 (as SeqGPT's own scripts do).

    phrases: at least one. Raises OptionError when `most` is below 1.
    """
    if most < 1:
        raise OptionError(f"labels per prompt is {most}; at least 1 is needed")
    parts = -(-len(phrases) // most)
    small, more = divmod(len(phrases), parts)
    starts = [part * small + min(part, more) for part in range(parts + 1)]
    return [tuple(phrases[start:end]) for start, end in pairwise(starts)]


def build_prompt(tokenizer: TextTokenizer, text: str, phrases: Sequence[str], *, task: Task = "抽取", max_length: int = 1024) -> Prompt:
    """The prompt for a text, in at most `max_length` tokens. The instruction is never cut; the text loses its end if it must.

    What is kept of a text is as long as can be: one character more would not fit. Raises OptionError when the instruction alone
    leaves no room for text.
    """
    tail = f"{_ask(task)}{_list(phrases)}"
    kept = len(text) if len(text) <= _LONG else Ruler(len(text), tokenizer.token_starts(text)).reach(0, max_length)
    encoding = tokenizer.encode(_LEAD + text[:kept] + tail)
    while len(encoding.ids) >= max_length and kept:
        kept = _shorter(encoding.offsets, kept, len(encoding.ids) + 1 - max_length)
        encoding = tokenizer.encode(_LEAD + text[:kept] + tail)
    while kept < len(text):  # The edge of a token was cut at; what follows may merge with what was kept.
        longer = tokenizer.encode(_LEAD + text[: kept + 1] + tail)
        if len(longer.ids) >= max_length:
            break
        kept, encoding = kept + 1, longer
    if len(encoding.ids) >= max_length or (text and not kept):
        needed = len(tokenizer.encode(_LEAD + tail).ids) + 1
        raise OptionError(
            f"max_length {max_length} leaves no room for text: the instruction with {len(phrases)} labels takes {needed} tokens; "
            "raise max_length or ask fewer or shorter labels"
        )
    return Prompt((*encoding.ids, tokenizer.generate_id), tuple(phrases), kept, _shared(encoding.offsets, kept))


class PromptBuilder:
    """Builds prompts for fields, one a group of phrases, as `build_prompt` does; each text that fits and each group is encoded once."""

    def __init__(self, tokenizer: TextTokenizer, groups: Sequence[Sequence[str]]) -> None:
        self.groups = groups
        self._tokenizer = tokenizer
        self._lists: dict[str, list[list[int]]] = {}  # of each group, by the beginning's last word, which the first phrase may change

    def build(self, text: str, max_length: int) -> tuple[Prompt, ...]:
        """The prompts about a text, in the groups' order. Raises as `build_prompt` does."""
        beginning = f"{_LEAD}{text}{_ask('抽取')}"
        encoding, settled = self._tokenizer.settle(beginning)
        offsets = encoding.offsets
        ids, shared = encoding.ids[:settled], _shared(offsets, len(text))
        if shared > settled:  # the text's end is not settled
            return tuple(build_prompt(self._tokenizer, text, phrases, max_length=max_length) for phrases in self.groups)

        def build(phrases: Sequence[str], rest: Sequence[int]) -> Prompt:
            if len(ids) + len(rest) >= max_length:
                return build_prompt(self._tokenizer, text, phrases, max_length=max_length)
            return Prompt((*ids, *rest, self._tokenizer.generate_id), tuple(phrases), len(text), shared)

        return tuple(map(build, self.groups, self._encoded(beginning[offsets[settled][0] :])))

    def _encoded(self, word: str) -> list[list[int]]:
        """The ids of a word and what comes after it in each group's prompts."""
        if word not in self._lists:
            self._lists[word] = [self._tokenizer.encode(word + _list(phrases)).ids for phrases in self.groups]
        return self._lists[word]


def _ask(task: Task) -> str:
    return f"\n{task}: "


def _list(phrases: Sequence[str]) -> str:
    return f"{'，'.join(phrases)}\n输出: "


def _shared(offsets: Sequence[tuple[int, int]], kept: int) -> int:
    """How many of the first tokens end within the text; their ends never decrease."""
    return bisect_right(offsets, len(_LEAD) + kept, key=itemgetter(1))


def _shorter(offsets: Sequence[tuple[int, int]], kept: int, excess: int) -> int:
    """How much text to keep so that `excess` tokens go: the text's last tokens are found by their offsets in the prompt."""
    inside = [start - len(_LEAD) for start, end in offsets if len(_LEAD) <= start < len(_LEAD) + kept and end > start]
    return min(kept - 1, inside[-excess]) if excess <= len(inside) else 0
