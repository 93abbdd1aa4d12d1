"""Texts and labels to measure speed with: of a wanted length, other ones each round. Made of labelled documents; knows no engine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.prompt import LABELS_PER_PROMPT, build_prompt
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.studies.sources import Source

_LONGEST = 1 << 20  # no prompt is cut to a limit here: texts are made to length before


@dataclass(frozen=True, slots=True)
class Task:
    """One prompt's worth of work: a text, and at most as many labels as go into a prompt."""

    document: Document
    labels: LabelSet


@dataclass(frozen=True, slots=True)
class Workload:
    """rounds: the tasks of each round, the warm-up first; no text comes in two rounds, so that no cache can know it.

    batch: most prompts decoded together. tokens: of a prompt, wanted.
    """

    name: str
    batch: int
    tokens: int
    rounds: tuple[tuple[Task, ...], ...]

    def fingerprint(self) -> str:
        """SHA-256 over the batch and every round's texts and labels: figures of a workload are no other's, whatever its name."""
        rounds = [[[task.document.text, [_asked(label) for label in task.labels.labels]] for task in tasks] for tasks in self.rounds]
        return hashlib.sha256(json.dumps([self.batch, rounds]).encode("ascii")).hexdigest()


def _asked(label: Label) -> list[Any]:
    """What of a label decides the prompt, the constraint or the drafts."""
    return [label.field, label.phrase, label.synonyms, label.multiple]


class Texts:
    """Documents with their labels, and the means to make texts of a wanted number of prompt tokens out of them."""

    def __init__(self, model: str | Path, sources: Sequence[Source], labels: int = LABELS_PER_PROMPT) -> None:
        """labels: the first so many of each label set, at most what a prompt holds.

        Raises DocumentError and LabelError for files that cannot be used, OptionError when there are no documents or too many labels.
        """
        self._tokenizer = TextTokenizer.load(find_checkpoint(model).tokenizer)
        if not 1 <= labels <= LABELS_PER_PROMPT:
            raise OptionError(f"labels is {labels}; a prompt asks for 1 to {LABELS_PER_PROMPT}")
        self.label_sets = [LabelSet(LabelSet.load(source.labels).labels[:labels], source.kind) for source in sources]
        self._documents = [source.load() for source in sources]
        if not any(self._documents):
            raise OptionError("no documents to measure with; give sources that hold documents")

    def near(self, name: str, *, batch: int, tokens: int, each: int, rounds: int) -> Workload:
        """`each` prompts a round, of documents whose prompts are nearest to so many tokens, as they are.

        Raises OptionError when there are too few documents for all rounds and the warm-up.
        """
        wanted = each * (rounds + 1)
        chosen = self.nearest(tokens, wanted)
        if len(chosen) < wanted:
            raise OptionError(f"{wanted} documents are needed for {rounds} rounds of {each} and a warm-up, there are {len(chosen)}")
        return Workload(name, batch, tokens, tuple(tuple(chosen[turn :: rounds + 1]) for turn in range(rounds + 1)))

    def nearest(self, tokens: int, number: int) -> list[Task]:
        """At most `number` tasks, of the documents whose prompts are nearest to so many tokens, the nearest first."""
        pairs = zip(self.label_sets, self._documents, strict=True)
        tasks = [Task(document, labels) for labels, documents in pairs for document in documents]
        return sorted(tasks, key=lambda task: abs(self.prompt_tokens(task) - tokens))[:number]

    def of_length(self, name: str, *, batch: int, tokens: int, rounds: int) -> Workload:
        """`batch` prompts a round, of texts put together from documents of a kind and cut so that each takes about `tokens` tokens."""
        kinds = len(self.label_sets)
        made = [self._long(number % kinds, number // kinds, tokens) for number in range(batch * (rounds + 1))]
        return Workload(name, batch, tokens, tuple(tuple(made[turn * batch : (turn + 1) * batch]) for turn in range(rounds + 1)))

    def one_text_many_labels(self, name: str, *, tokens: int, rounds: int) -> Workload:
        """A text a round, asked with the label set of every kind."""
        turns = []
        for turn in range(rounds + 1):
            text = self._long(turn % len(self.label_sets), turn, tokens).document
            turns.append(tuple(Task(text, labels) for labels in self.label_sets))
        return Workload(name, len(self.label_sets), tokens, tuple(turns))

    def prompt_tokens(self, task: Task) -> int:
        """Tokens of the prompt a task is asked with."""
        return len(build_prompt(self._tokenizer, task.document.text, task.labels.phrases, max_length=_LONGEST).ids)

    def _long(self, kind: int, first: int, tokens: int) -> Task:
        """Documents from the `first` on, after each other until there is enough, which may take some of them twice.

        Where the documents are used up and it begins with the same ones again, it begins one character later each time: another text.
        """
        documents, labels = self._documents[kind], self.label_sets[kind]
        empty = Task(Document("", " "), labels)
        room = tokens - self.prompt_tokens(empty)
        if room < 1 or not documents:
            raise OptionError(f"a prompt of {tokens} tokens leaves no room for text beside {len(labels.labels)} labels; give more tokens")
        again, at = divmod(first, len(documents))
        text, number = documents[at].text[again:] + "\n", first + 1
        while len(offsets := self._tokenizer.encode(text).offsets) <= room:
            text, number = text + documents[number % len(documents)].text + "\n", number + 1
        return Task(Document(f"{labels.name}-{first}-{tokens}", text[: offsets[room][0]]), labels)
