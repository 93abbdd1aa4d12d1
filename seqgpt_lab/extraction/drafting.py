"""Drafts of answers as token ids, for the engine to verify: what is laid out beforehand, and guesses at values (`guesses.py`).

A draft is the rest of the value being copied, a line break, the next label's name, its value where the text plainly says which, and so
on. It is looked up by characters and encoded together with what is written, because the ids of a text depend on what stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from seqgpt_lab.extraction.guesses import Guesser, Hints
from seqgpt_lab.extraction.vocabulary import Vocabulary, load_vocabulary


@dataclass(frozen=True, slots=True)
class TextDrafts:
    """Drafts of answers to `phrases` about `text` (without lone surrogates), as the engine's DraftSource. hints: one a phrase."""

    text: str
    phrases: tuple[str, ...]
    hints: tuple[Hints, ...]
    tokenizer: Path

    def start(self) -> TextDrafter:
        """A drafter of one answer."""
        return TextDrafter(self.phrases, Guesser(self.text, self.hints), load_vocabulary(self.tokenizer))


class TextDrafter:
    """The engine's Drafter for one answer."""

    def __init__(self, phrases: Sequence[str], guesser: Guesser, vocabulary: Vocabulary) -> None:
        self.names, self.guesser, self.tokenizer = [f"{phrase}: " for phrase in phrases], guesser, vocabulary.tokenizer

    def propose(self, written: Sequence[int], most: int) -> Sequence[int]:
        """At most `most` ids that may follow `written`; none where that is not laid out as answers are."""
        whole = b"".join(self.tokenizer.pieces.get(index, b"") for index in written)
        answer = whole.decode("utf-8", errors="ignore")
        half = whole[len(answer.encode()) :]  # of a character that the draft begins with
        draft = self._draft(answer, half, most)
        ids = self.tokenizer.encode(answer + draft).ids
        if ids[: len(written)] == list(written):
            return ids[len(written) : len(written) + most]
        return () if half else self.tokenizer.encode(draft).ids[:most]

    def _draft(self, answer: str, half: bytes, most: int) -> str:
        """The text of a draft: of `most` characters or a line more, to the first value that would be a mere guess, or to the end."""
        *lines, begun = answer.split("\n")
        draft = ""
        for line in range(len(lines), len(self.names)):
            name = self.names[line]
            if not (named := begun.startswith(name)) and not name.startswith(begun):
                break  # not laid out as answers are
            rest_of_name, written = name[len(begun) :], begun[len(name) :]
            if not written and not half and not self.guesser.is_sure(line):
                return draft + rest_of_name
            if len(draft) >= most:
                break
            *before, value = written.split("\t")
            rest = self.guesser.rest(line, before, value, half if named else b"")
            draft, begun, half = f"{draft}{rest_of_name}{rest}\n", "", b""
        return draft
