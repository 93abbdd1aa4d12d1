"""The passes that the engine makes for a batch: which rows are fed how much, and how much is asked. Follows `engine/decode.py`; no times.

Prompts of one length are admitted a few at a time; rows that came earlier write meanwhile, so a large batch takes more passes than a row.
Of a batch with more prompt tokens than the engine's budget, rows wait until others have left.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from seqgpt_lab.engine.decode import PROMPT_TOKENS_A_PASS, TOKEN_BUDGET
from seqgpt_lab.engine.packing import BLOCK
from seqgpt_lab.engine.requests import MAX_NEW_TOKENS
from seqgpt_lab.engine.reuse import CACHE_BYTES
from seqgpt_lab.errors import OptionError

TECHNIQUES = ("plain", "drafted", "grounded")
_GROUNDED_HEAD_IDS = 64
GUESSED = 10  # ids that a row guesses in a pass, on average, and
_SETTLED = 7.0  # ids that a pass settles, the prompt's included: counted on the bundled documents (docs/decoding.md)


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring rows with as many new tokens each. fed: new tokens of a row; slots: keys that each sees, its new ones included."""

    rows: int
    fed: int
    slots: int

    @property
    def fresh(self) -> bool:
        """Whether the new tokens are all that is seen; rows then share one bias."""
        return self.fed == self.slots


@dataclass(frozen=True, slots=True)
class Pass:
    """Work of one pass. rows: at work; a long prompt makes several groups of one row. asked: hidden states that the LM head scores, in all;
    head_ids: vocabulary rows it scores them on, None for all."""

    groups: tuple[Group, ...]
    rows: int
    asked: int
    head_ids: int | None = None

    @property
    def tokens(self) -> int:
        """New tokens of all rows."""
        return sum(group.rows * group.fed for group in self.groups)


@dataclass(frozen=True, slots=True)
class Workload:
    """A batch and how it is answered. length: prompt ids of each row, padding included; output: ids written, the end not counted.

    passes: that a row takes part in, the first being its prompt's. drafted: whether ids are guessed.
    head_ids: vocabulary rows scored, None for all. cached: prompt ids whose keys are there already.
    max_new_tokens: ids that the engine makes room for a row to write, whatever it writes; output if that is more. kept_bytes: the most that
    a process keeps of texts for later requests (`Engine.load(cache_bytes=…)`). token_budget: most prompt tokens at work at a time.
    """

    batch: int
    length: int
    output: int
    passes: int
    drafted: bool = False
    head_ids: int | None = None
    cached: int = 0
    max_new_tokens: int = MAX_NEW_TOKENS
    kept_bytes: int = CACHE_BYTES
    token_budget: int = TOKEN_BUDGET

    @classmethod
    def of(cls, batch: int, length: int, output: int, technique: str = "plain", cached: int = 0) -> Workload:
        """With the passes that a technique takes as a rule, and the engine's defaults for the rest.

        Raises OptionError for counts below 1 and unknown techniques.
        """
        if min(batch, length, output) < 1 or not 0 <= cached < length:
            raise OptionError(f"batch {batch}, length {length} and output {output} must be at least 1, and cached {cached} below length")
        if technique not in TECHNIQUES:
            raise OptionError(f"unknown technique {technique!r}; choose {', '.join(TECHNIQUES)}")
        if technique == "plain":
            return cls(batch, length, output, output + 1, cached=cached)  # the end is a choice of its own
        passes = math.ceil(output / _SETTLED)
        head_ids = _GROUNDED_HEAD_IDS if technique == "grounded" else None
        return cls(batch, length, output, passes, True, head_ids, cached)

    @property
    def slots(self) -> int:
        """Of the cache a row: for the prompt, and for the longest answer it may write."""
        return self.length + max(self.output, self.max_new_tokens)

    @property
    def at_work(self) -> int:
        """Rows at a time: the batch, or as many of it as the token budget admits."""
        return min(self.batch, max(1, self.token_budget // self.length))

    @property
    def guesses(self) -> int:
        """Ids guessed a row and pass."""
        return GUESSED if self.drafted else 0


def about_budget(work: Workload) -> str:
    """How much of a batch is at work at a time where not all of it is, and which budget would have all of it; else empty."""
    if work.at_work == work.batch:
        return ""
    return (
        f"Of a batch of {work.batch:,} at length {work.length:,} only {work.at_work:,} are at work at a time, "
        f"for the engine's token_budget is {work.token_budget:,}; --batch-size {work.batch} --token-budget {work.batch * work.length}, "
        "or the same of Engine.load, decodes all of them together."
    )


def passes_of(work: Workload) -> tuple[list[Pass], list[Pass]]:
    """Passes that admit prompts, and passes that only write, each in order."""
    prompts, writing = list[Pass](), list[Pass]()
    waiting, cohorts = work.batch, list[tuple[int, int]]()  # (passes made, rows), oldest first
    while waiting or cohorts:
        free = work.at_work - sum(rows for _, rows in cohorts)
        new = min(waiting, free, max(1, PROMPT_TOKENS_A_PASS // max(1, work.length - work.cached)))
        waiting -= new
        (prompts if new else writing).append(_pass(work, cohorts, new))
        cohorts = [(age + 1, rows) for age, rows in [*cohorts, *([(0, new)] if new else [])] if age + 1 < work.passes]
    return prompts, writing


def _pass(work: Workload, cohorts: list[tuple[int, int]], new: int) -> Pass:
    rows = new + sum(count for _, count in cohorts)
    guesses = work.guesses
    groups = []
    if cohorts:  # all in one rectangle, as wide as the row that is furthest
        written = round(work.output * cohorts[0][0] / work.passes)
        groups.append(Group(rows - new, 1 + guesses, work.length + written + guesses))
    if new:
        groups += _prompts(new, work.length - work.cached + guesses, work.length + guesses)
    return Pass(tuple(groups), rows, rows * (1 + guesses), work.head_ids)


def _prompts(rows: int, fed: int, slots: int) -> list[Group]:
    """Prompts side by side are one rectangle; a long one by itself goes in blocks, none of which looks at what comes after it."""
    if rows > 1 or fed <= BLOCK:
        return [Group(rows, fed, slots)]
    start = slots - fed
    ends = [*range(BLOCK, fed, BLOCK), fed]
    return [Group(1, end - begin, start + end) for begin, end in zip([0, *ends], ends, strict=False)]
