"""An engine that answers by a rule instead of a model, so that what a study must find is known beforehand."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.progress import Progress

PROMPT = re.compile("输入: (.*)\n抽取: (.*)\n输出: ", re.DOTALL)
# The values that are given for a phrase, from the text and all phrases of the prompt.
Rule = Callable[[str, str, Sequence[str]], Sequence[str]]


@dataclass(slots=True)
class RuledEngine:
    """Writes `phrase: value` lines by a rule; keeps every prompt it was asked, as (text, phrases)."""

    checkpoint: Checkpoint
    rule: Rule
    asked: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    dies_after: int | None = None
    tokenizer: TextTokenizer | None = None

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        tokenizer = self.tokenizer = self.tokenizer or TextTokenizer.load(self.checkpoint.tokenizer)
        completions = []
        for done, request in enumerate(requests, start=1):
            if self.dies_after is not None and len(self.asked) >= self.dies_after:
                raise KeyboardInterrupt
            found = PROMPT.fullmatch(tokenizer.decode(request.prompt_ids).text)
            assert found
            text, phrases = found[1], tuple(found[2].split("，"))
            self.asked.append((text, phrases))
            lines = [f"{phrase}: " + ("\t".join(self.rule(text, phrase, phrases)) or "None") for phrase in phrases]
            ids = tuple(tokenizer.encode("\n".join(lines)).ids)
            completions.append(Completion(ids, (0.99,) * len(ids), "stop", 0.99, Timing(0.0, 0.0)))
            if progress:
                progress(done, len(requests))
        return completions
