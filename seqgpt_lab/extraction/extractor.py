"""The extractor: texts and labels in, fields with offsets and confidences out. Knows prompts and answers, no model arithmetic."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, overload

from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.decode import Completion, Request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.align import Aligner
from seqgpt_lab.extraction.answer import ABSENT, Value, parse_answer
from seqgpt_lab.extraction.extraction import PARSE_PROBLEM, TRUNCATED_PROBLEM, Extraction, Field, Span
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.prompt import LABELS_PER_PROMPT, Prompt, build_prompt, split_evenly
from seqgpt_lab.extraction.tokenizer import Decoded, TextTokenizer

EMPTY_PROBLEM = "empty:"
ENCODING_PROBLEM = "encoding:"
_SURROGATE = re.compile("[\ud800-\udfff]")

Progress = Callable[[int, int], None]
Text = str | Document


class Generates(Protocol):
    """What an extractor needs of an engine: Engine and ReferenceEngine both have it."""

    checkpoint: Checkpoint

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]: ...


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels a text was given, in the model's order, with the probability of the whole answer."""

    document_id: str
    labels: tuple[str, ...]
    confidence: float | None
    raw: str
    truncated: bool
    problems: tuple[str, ...]


class Extractor:
    """Extracts fields with an engine. max_length: tokens of a prompt; max_new_tokens: of an answer; labels_per_prompt: at most."""

    def __init__(
        self, engine: Generates, *, max_length: int = 1024, max_new_tokens: int = 256, labels_per_prompt: int = LABELS_PER_PROMPT
    ) -> None:
        if max_length < 16 or max_new_tokens < 1 or labels_per_prompt < 1:
            raise OptionError(
                f"max_length {max_length}, max_new_tokens {max_new_tokens} and labels_per_prompt {labels_per_prompt} "
                "must be at least 16, 1 and 1"
            )
        self.engine = engine
        self.tokenizer = TextTokenizer.load(Path(engine.checkpoint.tokenizer))
        self.max_length, self.max_new_tokens, self.labels_per_prompt = max_length, max_new_tokens, labels_per_prompt

    # A str is a sequence of str too; it is one text here, which is what the first overload says.
    @overload
    def extract(  # type: ignore[overload-overlap]
        self, texts: Text, labels: str | Sequence[str] | LabelSet, *, progress: Progress | None = None
    ) -> Extraction: ...

    @overload
    def extract(
        self, texts: Sequence[Text], labels: str | Sequence[str] | LabelSet, *, progress: Progress | None = None
    ) -> list[Extraction]: ...

    def extract(
        self, texts: Text | Sequence[Text], labels: str | Sequence[str] | LabelSet, *, progress: Progress | None = None
    ) -> Extraction | list[Extraction]:
        """One text (or Document) gives an Extraction, a list gives a list in its order.

        labels: a LabelSet, a list of names, or a string with commas. progress: called with (prompts done, prompts in all).
        What happened to a text is told in its `problems`, never raised: empty text, half characters, text that was cut, an
        answer that was cut or cannot be read. Raises LabelError for labels that cannot be asked, OptionError when max_length
        leaves no room for a text beside them.
        """
        label_set = LabelSet.of(labels)
        documents = _documents([texts] if isinstance(texts, (str, Document)) else texts)
        groups = split_evenly(label_set.phrases, self.labels_per_prompt)
        readable = [_SURROGATE.sub("\ufffd", document.text) for document in documents]
        prompts = [self._prompts(text, groups) for text in readable]
        requests = [Request(prompt.ids, self.max_new_tokens) for group in prompts for prompt in group]
        completions = iter(self.engine.generate(requests, progress) if requests else [])
        results = [
            self._assemble(document, text, label_set, group, [next(completions) for _ in group])
            for document, text, group in zip(documents, readable, prompts, strict=True)
        ]
        return results[0] if isinstance(texts, (str, Document)) else results

    def _prompts(self, text: str, groups: Sequence[Sequence[str]]) -> list[Prompt]:
        if not text.strip():
            return []
        return [build_prompt(self.tokenizer, text, phrases, max_length=self.max_length) for phrases in groups]

    def _assemble(
        self, document: Document, text: str, label_set: LabelSet, prompts: Sequence[Prompt], completions: Sequence[Completion]
    ) -> Extraction:
        """Merge the answers of a text's prompts into one extraction, fields in the user's order."""
        problems = _text_problems(document.text, text, prompts)
        spans: list[tuple[Span, ...]] = []
        raws: list[str] = []
        aligner = Aligner(text)
        for prompt, completion in zip(prompts, completions, strict=True):
            decoded = self.tokenizer.decode(completion.token_ids)
            answer = parse_answer(decoded.text, prompt.phrases)
            problems += [*answer.problems, *_answer_problems(completion)]
            raws.append(decoded.text)
            for values in answer.values:
                spans.append(aligner.place([(value.text, value_confidence(value, decoded, completion)) for value in values]))
        spans = spans or [()] * len(label_set.labels)
        fields = tuple(Field(name, found) for name, found in zip(label_set.names, spans, strict=True))
        truncated = any(problem.startswith(TRUNCATED_PROBLEM) for problem in problems)
        return Extraction(document.id, document.text, fields, "\n".join(raw.removesuffix("\n") for raw in raws), truncated, tuple(problems))

    def classify(self, text: Text, labels: str | Sequence[str] | LabelSet) -> Classification:
        """Which of the labels fit the text (SeqGPT's `分类`); all labels go into one prompt. Raises LabelError as `extract` does."""
        label_set = LabelSet.of(labels)
        document = _documents([text])[0]
        readable = _SURROGATE.sub("\ufffd", document.text)
        if not readable.strip():
            return Classification(document.id, (), None, "", False, (f"{EMPTY_PROBLEM} the text is empty, nothing was asked",))
        prompt = build_prompt(self.tokenizer, readable, label_set.phrases, task="分类", max_length=self.max_length)
        completion = self.engine.generate([Request(prompt.ids, self.max_new_tokens)])[0]
        raw = self.tokenizer.decode(completion.token_ids).text
        chosen, problems = _chosen(raw, label_set)
        problems = [*_text_problems(document.text, readable, [prompt]), *_answer_problems(completion), *problems]
        cut = any(problem.startswith(TRUNCATED_PROBLEM) for problem in problems)
        confidence = math.prod(completion.token_probabilities) * _end_probability(completion)
        return Classification(document.id, chosen, confidence, raw.strip(), cut, tuple(problems))


def value_confidence(value: Value, decoded: Decoded, completion: Completion) -> float:
    """Probability of the value given what was written before it: the product over its tokens and the one that ends it.

    The token that holds the character after the value counts because it is where the model decided that the value is complete; at
    the end of an answer that is the end token, unless the answer was cut.
    """
    tokens = decoded.tokens_of(value.start, value.end + 1)
    product = math.prod(completion.token_probabilities[tokens.start : tokens.stop])
    return product * _end_probability(completion) if value.end == len(decoded.text) else product


def _end_probability(completion: Completion) -> float:
    return 1.0 if completion.end_probability is None else completion.end_probability


def _documents(texts: Sequence[Text]) -> list[Document]:
    """Bare texts get the ids text-1, text-2, …"""
    return [text if isinstance(text, Document) else Document(f"text-{number}", text) for number, text in enumerate(texts, 1)]


def _text_problems(original: str, readable: str, prompts: Sequence[Prompt]) -> list[str]:
    problems = [] if prompts else [f"{EMPTY_PROBLEM} the text is empty, nothing was asked"]
    halves = sum(before != after for before, after in zip(original, readable, strict=True))
    if halves:
        problems.append(f"{ENCODING_PROBLEM} {halves} halves of broken characters (lone surrogates) were read as U+FFFD")
    kept = min((prompt.text_kept for prompt in prompts), default=len(original))
    if kept < len(original):
        problems.append(f"{TRUNCATED_PROBLEM} only the first {kept} of {len(original)} characters fitted into the prompt")
    return problems


def _answer_problems(completion: Completion) -> list[str]:
    if completion.finish_reason == "stop":
        return []
    return [f"{TRUNCATED_PROBLEM} the answer was cut after {len(completion.token_ids)} tokens; raise max_new_tokens"]


def _chosen(raw: str, label_set: LabelSet) -> tuple[tuple[str, ...], list[str]]:
    """The labels an answer names, by field name (none where it says None), and what in it is no label."""
    by_phrase = dict(zip(label_set.phrases, label_set.names, strict=True))
    pieces = [piece.strip() for piece in re.split(r"[\t\n,，]", raw) if piece.strip()]
    if pieces == [ABSENT] and ABSENT not in by_phrase:
        return (), []
    chosen = dict.fromkeys(by_phrase[piece] for piece in pieces if piece in by_phrase)
    problems = [f"{PARSE_PROBLEM} the answer {piece!r} is none of the labels asked" for piece in pieces if piece not in by_phrase]
    return tuple(chosen), problems or ([] if pieces else [f"{PARSE_PROBLEM} the answer is empty"])
