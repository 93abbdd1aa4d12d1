"""Turns prompts into requests: the prompt, what its answer may be, and drafts of it. Knows no engine and reads no answers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.config import ModelConfig
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.extraction.copyable import flatten
from seqgpt_lab.extraction.drafting import TextDrafts
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.grounding import GroundedAnswer, GroundedClasses
from seqgpt_lab.extraction.guesses import Hints
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.profiles import Example, Experience
from seqgpt_lab.extraction.prompt import Prompt


class Steering:
    """Makes the requests of one extractor. grounded: answers are held to the text and the labels asked. drafts: they are drafted."""

    def __init__(self, checkpoint: Checkpoint, *, max_new_tokens: int, grounded: bool, drafts: bool) -> None:
        self.tokenizer, self.max_new_tokens, self.drafts = Path(checkpoint.tokenizer), max_new_tokens, drafts
        self.end_id = ModelConfig.read(checkpoint.config).eos_token_id if grounded else None
        self.experience = Experience()

    def fields(self, label_set: LabelSet) -> Callable[[str, Prompt], Request]:
        """What makes a request for fields of a label set of a text and a prompt that holds the text's beginning."""
        hints = {label.phrase: self._hints(label) for label in label_set.labels} if self.drafts else {}
        multiple = {label.phrase: label.multiple is not False for label in label_set.labels}

        def request(text: str, prompt: Prompt) -> Request:
            text, phrases = text[: prompt.text_kept], prompt.phrases
            constraint = drafts = None
            if self.end_id is not None:
                constraint = GroundedAnswer(text, phrases, tuple(multiple[phrase] for phrase in phrases), self.tokenizer, self.end_id)
            if self.drafts:
                drafts = TextDrafts(text, phrases, tuple(hints[phrase] for phrase in phrases), self.tokenizer)
            return Request(prompt.ids, self.max_new_tokens, constraint, drafts, prompt.shared)

        return request

    def choice(self, prompt: Prompt) -> Request:
        """A request for the labels of a text."""
        constraint = None if self.end_id is None else GroundedClasses(prompt.phrases, self.tokenizer, self.end_id)
        return Request(prompt.ids, self.max_new_tokens, constraint, shared_prefix=prompt.shared)

    def learn(self, label_set: LabelSet, extraction: Extraction) -> None:
        """Draft the same labels' answers better from now on."""
        text = flatten(extraction.text)
        for label, field in zip(label_set.labels, extraction.fields, strict=True):
            found = [(span.start, span.end) for span in field.spans if span.start is not None and span.end is not None]
            places = [[len(flatten(extraction.text[:at])) for at in place] for place in found]
            self.experience.add(label.phrase, [Example.at(text, start, end) for start, end in places if start < end])

    def _hints(self, label: Label) -> Hints:
        return Hints(tuple(dict.fromkeys((label.phrase, label.field, *label.synonyms))), self.experience.profile(label.phrase))
