"""The extractor: texts and labels in, fields with offsets and confidences out. Knows prompts and answers, no model arithmetic."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
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
from seqgpt_lab.extraction.windows import OVERLAP, Window, merge_spans, plan_windows

EMPTY_PROBLEM = "empty:"
ENCODING_PROBLEM = "encoding:"
WINDOWS_PROBLEM = "windows:"
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


@dataclass(frozen=True, slots=True)
class Part:
    """A window of a text, the whole of it where that fits, and the prompts that ask about it; none where it is blank."""

    window: Window
    prompts: tuple[Prompt, ...]


class Extractor:
    """Extracts fields with an engine. max_length: tokens of a prompt; max_new_tokens: of an answer; labels_per_prompt: at most.

    overlap: code points that the windows of a text share, which is read in windows when it does not fit into max_length.
    """

    def __init__(
        self,
        engine: Generates,
        *,
        max_length: int = 1024,
        max_new_tokens: int = 256,
        labels_per_prompt: int = LABELS_PER_PROMPT,
        overlap: int = OVERLAP,
    ) -> None:
        if max_length < 16 or max_new_tokens < 1 or labels_per_prompt < 1 or overlap < 0:
            raise OptionError(
                f"max_length {max_length}, max_new_tokens {max_new_tokens}, labels_per_prompt {labels_per_prompt} and overlap {overlap} "
                "must be at least 16, 1, 1 and 0"
            )
        self.engine = engine
        self.tokenizer = TextTokenizer.load(Path(engine.checkpoint.tokenizer))
        self.max_length, self.max_new_tokens, self.labels_per_prompt = max_length, max_new_tokens, labels_per_prompt
        self.overlap = overlap

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
        A text that does not fit into max_length is read in overlapping windows (`windows.py`), whose values are merged by place.
        What happened to a text is told in its `problems`, never raised: empty text, half characters, text read in windows, an
        answer that was cut or cannot be read. Raises LabelError for labels that cannot be asked, OptionError when max_length
        leaves no room for a text beside them.
        """
        label_set = LabelSet.of(labels)
        documents = _documents([texts] if isinstance(texts, (str, Document)) else texts)
        groups = split_evenly(label_set.phrases, self.labels_per_prompt)
        readable = [_SURROGATE.sub("\ufffd", document.text) for document in documents]
        parts = [self._parts(text, groups) for text in readable]
        requests = [Request(prompt.ids, self.max_new_tokens) for text_parts in parts for part in text_parts for prompt in part.prompts]
        completions = iter(self.engine.generate(requests, progress) if requests else [])
        results = [
            self._assemble(document, text, label_set, text_parts, completions)
            for document, text, text_parts in zip(documents, readable, parts, strict=True)
        ]
        return results[0] if isinstance(texts, (str, Document)) else results

    def _parts(self, text: str, groups: Sequence[Sequence[str]]) -> list[Part]:
        """The text as one part, or as windows where it does not fit; none for a blank text."""
        if not text.strip():
            return []
        token_starts = [start for start, _ in self.tokenizer.encode(text).offsets]
        if len(token_starts) < self.max_length:
            whole = self._part(text, Window(0, len(text)), groups)
            if _is_whole(whole):
                return [whole]
        # The instruction alone; where not even one token of text fits beside it, build_prompt says so.
        room = self.max_length - max(len(self._prompt("", phrases).ids) for phrases in groups)
        while True:
            windows = plan_windows(text, token_starts, room=max(1, room), overlap=self.overlap)
            parts = [self._part(text, window, groups) for window in windows]
            if room <= 1 or all(map(_is_whole, parts)):
                return parts
            room -= -(-room // 16)  # cut out of their text, some windows took more tokens than they had there

    def _part(self, text: str, window: Window, groups: Sequence[Sequence[str]]) -> Part:
        piece = text[window.start : window.end]
        return Part(window, tuple(self._prompt(piece, phrases) for phrases in groups) if piece.strip() else ())

    def _prompt(self, text: str, phrases: Sequence[str]) -> Prompt:
        return build_prompt(self.tokenizer, text, phrases, max_length=self.max_length)

    def _assemble(
        self, document: Document, text: str, label_set: LabelSet, parts: Sequence[Part], completions: Iterator[Completion]
    ) -> Extraction:
        """Merge the answers about a text's parts into one extraction, fields in the user's order; takes as many as were asked for."""
        faults: Counter[str] = Counter()
        raws: list[str] = []
        found: list[list[tuple[Span, ...]]] = []  # a part's spans a label
        for part in parts:
            aligner = Aligner(text[part.window.start : part.window.end])
            spans: list[tuple[Span, ...]] = []
            for prompt, completion in zip(part.prompts, completions, strict=False):
                decoded = self.tokenizer.decode(completion.token_ids)
                answer = parse_answer(decoded.text, prompt.phrases)
                faults.update([*answer.problems, *_answer_problems(completion)])
                raws.append(decoded.text)
                for values in answer.values:
                    spans.append(aligner.place([(value.text, value_confidence(value, decoded, completion)) for value in values]))
            found.append(spans or [()] * len(label_set.labels))
        fields = tuple(Field(name, _merged(text, parts, [spans[at] for spans in found])) for at, name in enumerate(label_set.names))
        problems = [*_text_problems(document.text, text, parts), *_counted(faults, len(parts))]
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
        problems = [
            *_text_problems(document.text, readable, [Part(Window(0, len(readable)), (prompt,))]),
            *_answer_problems(completion),
            *problems,
        ]
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


def _is_whole(part: Part) -> bool:
    """Whether every prompt of the part holds all of its window."""
    return all(prompt.text_kept == part.window.end - part.window.start for prompt in part.prompts)


def _merged(text: str, parts: Sequence[Part], found: Sequence[tuple[Span, ...]]) -> tuple[Span, ...]:
    """One label's spans from all parts; those of a text that fitted stay in the model's order."""
    return merge_spans(text, [part.window for part in parts], found) if len(parts) > 1 else next(iter(found), ())


def _text_problems(original: str, readable: str, parts: Sequence[Part]) -> list[str]:
    problems = [] if parts else [f"{EMPTY_PROBLEM} the text is empty, nothing was asked"]
    halves = sum(before != after for before, after in zip(original, readable, strict=True))
    if halves:
        problems.append(f"{ENCODING_PROBLEM} {halves} halves of broken characters (lone surrogates) were read as U+FFFD")
    if len(parts) > 1:
        shared = min(one.window.end - other.window.start for one, other in pairwise(parts))
        problems.append(
            f"{WINDOWS_PROBLEM} the text of {len(original)} characters was read in {len(parts)} windows that share at least {shared} each"
        )
    kept = min((prompt.text_kept for part in parts for prompt in part.prompts if not _is_whole(part)), default=len(original))
    if kept < len(original):
        problems.append(f"{TRUNCATED_PROBLEM} only the first {kept} of {len(original)} characters fitted into the prompt")
    return problems


def _counted(faults: Counter[str], parts: int) -> list[str]:
    """Each fault once, with how often it occurred where there were several parts."""
    return [fault if parts == 1 else f"{fault} (in {count} of {parts} windows)" for fault, count in faults.items()]


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
