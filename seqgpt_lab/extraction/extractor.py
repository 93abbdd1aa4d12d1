"""The extractor: texts and labels in, fields with offsets and confidences out. Knows prompts, no model arithmetic."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, Protocol, TypeVar, overload

import numpy as np

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.utf8 import without_halves
from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.config import ModelConfig, check_whole
from seqgpt_lab.engine.requests import MAX_NEW_TOKENS, Completion, Request
from seqgpt_lab.errors import DocumentError, OptionError
from seqgpt_lab.extraction.drafts import is_list
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.prompt import LABELS_PER_PROMPT, Prompt, PromptBuilder, build_prompt, split_evenly
from seqgpt_lab.extraction.reading import Classification, Part, is_whole, read_choice, read_fields
from seqgpt_lab.extraction.steering import Steering
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.extraction.windows import OVERLAP, Ruler, Window, plan_windows
from seqgpt_lab.progress import Progress

Text = str | Document
Result = TypeVar("Result", Extraction, Classification)


def _untold(_done: int, _total: int) -> None:
    """The progress of whoever wants to know of none."""


class Generates(Protocol):
    """What an extractor needs of an engine: Engine and ReferenceEngine both have it."""

    checkpoint: Checkpoint

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]: ...


@dataclass(frozen=True, slots=True)
class Prepared(Generic[Result]):
    """What to ask about a text, and what makes its result of one completion a request: for whoever fills batches himself."""

    requests: tuple[Request, ...]
    finish: Callable[[Sequence[Completion]], Result]


class Extractor:
    """Extracts fields with an engine. max_length: tokens of a prompt; max_new_tokens: of an answer; labels_per_prompt: at most.

    window_length: tokens of the prompts of a text that is read in windows, which happens when it does not fit into max_length or is more
    than half as long again as a window; None: the length the model was trained on (`seq_length` in its config.json), else max_length.
    overlap: code points that the windows of a text share.
    grounded: values can then only be parts of the text (`grounding.py`), and the labels of a classification only those asked.
    drafts: answers are guessed ahead (`drafting.py`), which makes them quicker, never different. learn: from earlier answers too, which
    is quicker still; but how the engine rounds, the last digits of a confidence, can then depend on what was asked before.
    options: all of these as they were given, by name, so that another extractor can be made like this one.
    """

    def __init__(
        self,
        engine: Generates,
        *,
        max_length: int = 1024,
        max_new_tokens: int = MAX_NEW_TOKENS,
        labels_per_prompt: int = LABELS_PER_PROMPT,
        window_length: int | None = None,
        overlap: int = OVERLAP,
        grounded: bool = False,
        drafts: bool = True,
        learn: bool = False,
    ) -> None:
        given: dict[str, int | None] = {
            "max_length": max_length,
            "max_new_tokens": max_new_tokens,
            "labels_per_prompt": labels_per_prompt,
            "window_length": window_length,
            "overlap": overlap,
            "grounded": grounded,
            "drafts": drafts,
            "learn": learn,
        }
        self.options = _checked(given)
        if max_length < 16 or max_new_tokens < 1 or labels_per_prompt < 1 or overlap < 0:
            raise OptionError(
                f"max_length {max_length}, max_new_tokens {max_new_tokens}, labels_per_prompt {labels_per_prompt} and overlap {overlap} "
                "must be at least 16, 1, 1 and 0"
            )
        if window_length is not None and window_length < 16:
            raise OptionError(f"window_length {window_length} must be at least 16 tokens, or None for the length the model was trained on")
        self.engine = engine
        self.tokenizer = TextTokenizer.load(Path(engine.checkpoint.tokenizer))
        self.max_length, self.max_new_tokens, self.labels_per_prompt = int(max_length), int(max_new_tokens), int(labels_per_prompt)
        if window_length is None:
            window_length = ModelConfig.read(engine.checkpoint.config).seq_length or max_length
        self.window_length = int(min(window_length, max_length))
        self.overlap, self.grounded, self.learn = int(overlap), bool(grounded), bool(learn)
        self._steering = Steering(engine.checkpoint, max_new_tokens=max_new_tokens, grounded=grounded, drafts=drafts)

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
        A long text is read in overlapping windows (`windows.py`), whose values are merged by place.
        What happened to a text is told in its `problems`, never raised: empty text, half characters, text read in windows, an
        answer that was cut or cannot be read. Raises LabelError for labels that cannot be asked, DocumentError for what is no text,
        OptionError when max_length leaves no room for a text beside them.
        """
        label_set = LabelSet.of(labels)
        documents = _documents([texts] if isinstance(texts, (str, Document)) else texts)
        prepared = [self.prepare(document, label_set) for document in documents]
        requests = [request for one in prepared for request in one.requests]
        completions = iter(self.engine.generate(requests, progress) if requests else [])
        results = [one.finish([next(completions) for _ in one.requests]) for one in prepared]
        return results[0] if isinstance(texts, (str, Document)) else results

    def prepare(self, text: Text, labels: str | Sequence[str] | LabelSet, *, progress: Progress = _untold) -> Prepared[Extraction]:
        """The requests of `extract` for one text, and what makes an Extraction of their completions. Raises as `extract` does.

        progress: called with (prompts made, prompts in all as far as they are planned) before anything is encoded and for each window,
        while windows are planned and again before its prompts are made; what it raises ends the preparation.
        """
        label_set, document = LabelSet.of(labels), _document(text)
        readable = without_halves(document.text)
        parts = self._parts(readable, label_set, progress)
        request = self._steering.fields(label_set)
        texts = [readable[part.window.start : part.window.end] for part in parts]
        requests = tuple(request(piece, prompt) for piece, part in zip(texts, parts, strict=True) for prompt in part.prompts)
        return Prepared(requests, partial(self._read, document, readable, label_set, parts))

    def windows(self, text: Text, labels: str | Sequence[str] | LabelSet) -> list[Window]:
        """In which windows `extract` reads a text: one that holds all of it where that fits, none for a blank text. Raises as `extract`."""
        return [part.window for part in self._parts(without_halves(_document(text).text), LabelSet.of(labels), _untold)]

    def _read(
        self, document: Document, text: str, label_set: LabelSet, parts: Sequence[Part], completions: Sequence[Completion]
    ) -> Extraction:
        extraction = read_fields(self.tokenizer, document, text, label_set, parts, self.grounded, completions)
        if self.learn:
            self._steering.learn(label_set, extraction)
        return extraction

    def _parts(self, text: str, label_set: LabelSet, progress: Progress) -> list[Part]:
        """The text as one part, or as windows where it does not fit; none for a blank text."""
        if not text.strip():
            return []
        prompts = PromptBuilder(self.tokenizer, split_evenly(label_set.phrases, self.labels_per_prompt))
        progress(0, len(prompts.groups))
        ruler = Ruler(len(text), self.tokenizer.token_starts(text))
        # The instruction alone; where not even one token of text fits beside it, build_prompt says so.
        instruction = max(len(prompt.ids) for prompt in prompts.build("", self.max_length))
        limit = min(self.max_length, max(self.window_length, instruction + self.window_length // 2))  # many labels leave it half a window
        whole_limit = min(self.max_length, limit + self.window_length // 2)
        if ruler.reach(0, whole_limit - 1) == len(text):
            whole = _part(text, Window(0, len(text)), prompts, whole_limit)
            if is_whole(whole):
                return [whole]
        room = limit - instruction
        while (parts := self._in_windows(text, ruler, prompts, limit, room, progress)) is None:
            room -= -(-room // 16)
        return parts

    def _in_windows(self, text: str, ruler: Ruler, prompts: PromptBuilder, limit: int, room: int, progress: Progress) -> list[Part] | None:
        """A part a window of at most `room` tokens; None where one took more, cut out of its text, and windows can be shorter yet."""
        windows: list[Window] = []
        planned = made = 0
        for window in plan_windows(text, ruler, room=max(1, room), overlap=self.overlap):
            windows.append(window)
            planned += len(prompts.groups) if text[window.start : window.end].strip() else 0
            progress(0, planned)
        parts: list[Part] = []
        for window in windows:
            progress(made, planned)
            parts.append(_part(text, window, prompts, limit))
            made += len(parts[-1].prompts)
            if room > 1 and not is_whole(parts[-1]):
                return None
        return parts

    def classify(self, text: Text, labels: str | Sequence[str] | LabelSet) -> Classification:
        """Which of the labels fit the text (SeqGPT's `分类`); all labels go into one prompt, a text that is too long for it is cut.

        Raises LabelError as `extract` does.
        """
        prepared = self.prepare_classification(text, labels)
        return prepared.finish(self.engine.generate(prepared.requests) if prepared.requests else [])

    def prepare_classification(
        self, text: Text, labels: str | Sequence[str] | LabelSet, *, progress: Progress = _untold
    ) -> Prepared[Classification]:
        """The request of `classify` (none for a blank text), and what makes a Classification of its completion; progress as `prepare`."""
        label_set, document = LabelSet.of(labels), _document(text)
        readable = without_halves(document.text)
        prompts: tuple[Prompt, ...] = ()
        if readable.strip():
            progress(0, 1)
            prompts = (build_prompt(self.tokenizer, readable, label_set.phrases, task="分类", max_length=self.max_length),)
        requests = tuple(self._steering.choice(prompt) for prompt in prompts)
        return Prepared(requests, partial(read_choice, self.tokenizer, document, readable, label_set, prompts))


def _checked(options: Mapping[str, int | None]) -> dict[str, int | None]:
    """The options as plain numbers and flags, which files of every kind can hold; numpy's, from a table of trials say, are others.

    Raises OptionError for an option of another type: a text such as "no" would count as yes.
    """
    flags = ("grounded", "drafts", "learn")
    check_whole({name: value for name, value in options.items() if name not in flags and (name != "window_length" or value is not None)})
    for name in flags:
        if not isinstance(options[name], bool | np.bool_):
            raise OptionError(f"{name} is {options[name]!r}; True or False is needed")
    return {name: bool(value) if name in flags else None if value is None else int(value) for name, value in options.items()}


def _part(text: str, window: Window, prompts: PromptBuilder, limit: int) -> Part:
    piece = text[window.start : window.end]
    return Part(window, prompts.build(piece, limit) if piece.strip() else ())


def _documents(texts: object) -> list[Document]:
    """Bare texts get the ids text-1, text-2, … Raises DocumentError as `_document`, and for what `is_list` is not."""
    if not is_list(texts):
        raise DocumentError(f"the texts are a {type(texts).__name__}; give a text, a Document, or a list of these")
    return [_document(text, number) for number, text in enumerate(texts, 1)]


def _document(text: object, number: int = 1) -> Document:
    """Raises DocumentError for what is no text, as pandas' sign for an empty cell."""
    if not isinstance(text, str | Document):
        raise DocumentError(f"text {number} is a {type(text).__name__}; a str or a Document is needed")
    return text if isinstance(text, Document) else Document(f"text-{number}", str(text))
