"""SeqGPT's prompts: the exact wording, at most six labels each, text cut at its end when it must be. Knows no answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.tokenizer import TextTokenizer

Task = Literal["抽取", "分类"]
LABELS_PER_PROMPT = 6


@dataclass(frozen=True, slots=True)
class Prompt:
    """ids: what the model reads. phrases: what it asks. text_kept: how many code points of the text are in it."""

    ids: tuple[int, ...]
    phrases: tuple[str, ...]
    text_kept: int


def split_evenly(phrases: Sequence[str], most: int = LABELS_PER_PROMPT) -> list[tuple[str, ...]]:
    """Runs of at most `most` phrases, as even as can be, in order: 7 become 4 and 3 (as SeqGPT's own scripts do)."""
    if most < 1:
        raise OptionError(f"labels per prompt is {most}; at least 1 is needed")
    parts = -(-len(phrases) // most)
    small, more = divmod(len(phrases), parts)
    starts = [part * small + min(part, more) for part in range(parts + 1)]
    return [tuple(phrases[start:end]) for start, end in zip(starts, starts[1:], strict=False)]


def build_prompt(tokenizer: TextTokenizer, text: str, phrases: Sequence[str], *, task: Task = "抽取", max_length: int = 1024) -> Prompt:
    """The prompt for a text, in at most `max_length` tokens. The instruction is never cut; the text loses its end if it must.

    Raises OptionError when the instruction alone leaves no room for text.
    """
    tail = f"\n{task}: {'，'.join(phrases)}\n输出: "
    kept = len(text)
    while True:
        encoding = tokenizer.encode(f"输入: {text[:kept]}{tail}")
        excess = len(encoding.ids) + 1 - max_length
        if excess <= 0:
            return Prompt((*encoding.ids, tokenizer.generate_id), tuple(phrases), kept)
        kept = _shorter(encoding.offsets, kept, excess)
        if kept < 1:
            needed = len(tokenizer.encode(f"输入: {tail}").ids) + 1
            raise OptionError(
                f"max_length {max_length} leaves no room for text: the instruction with {len(phrases)} labels takes {needed} tokens; "
                "raise max_length or ask fewer or shorter labels"
            )


def _shorter(offsets: Sequence[tuple[int, int]], kept: int, excess: int) -> int:
    """How much text to keep so that `excess` tokens go: the text's last tokens are found by their offsets in the prompt."""
    lead = len("输入: ")
    inside = [start for start, end in offsets if lead <= start < lead + kept and end > start]
    return min(kept - 1, inside[-excess] - lead) if excess < len(inside) else 0
