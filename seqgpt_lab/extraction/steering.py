"""Turns prompts into requests: the prompt, and what steers its answer. Knows what may be written, not what it means."""

from __future__ import annotations

from pathlib import Path

from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.extraction.grounding import GroundedAnswer, GroundedClasses
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.prompt import Prompt


class Steering:
    """Makes the requests of one extractor. grounded: answers are held to the text and to the labels asked."""

    def __init__(self, checkpoint: Checkpoint, *, max_new_tokens: int, grounded: bool) -> None:
        self.tokenizer, self.max_new_tokens = Path(checkpoint.tokenizer), max_new_tokens
        self.end_id = ModelConfig.read(checkpoint.config).eos_token_id if grounded else None

    def fields(self, text: str, prompt: Prompt, label_set: LabelSet) -> Request:
        """A request for the fields a prompt asks for. text: begins with what the prompt holds of it."""
        text = text[: prompt.text_kept]
        constraint = None
        if self.end_id is not None:
            several = {label.phrase: label.multiple is not False for label in label_set.labels}
            multiple = tuple(several[phrase] for phrase in prompt.phrases)
            constraint = GroundedAnswer(text, prompt.phrases, multiple, self.tokenizer, self.end_id)
        return Request(prompt.ids, self.max_new_tokens, constraint, shared_prefix=prompt.shared)

    def choice(self, prompt: Prompt) -> Request:
        """A request for the labels of a text."""
        constraint = None if self.end_id is None else GroundedClasses(prompt.phrases, self.tokenizer, self.end_id)
        return Request(prompt.ids, self.max_new_tokens, constraint, shared_prefix=prompt.shared)
