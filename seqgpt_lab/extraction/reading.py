"""Reads a text's answers: completions into fields with their places, or into chosen labels, and what went wrong. Asks nothing."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.engine.requests import Completion
from seqgpt_lab.extraction.align import Aligner
from seqgpt_lab.extraction.answer import ABSENT, Value, parse_answer
from seqgpt_lab.extraction.extraction import PARSE_PROBLEM, TRUNCATED_PROBLEM, Extraction
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.prompt import Prompt
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.extraction.tokenizer import Decoded, TextTokenizer
from seqgpt_lab.extraction.told import Offset, Shortest, Told
from seqgpt_lab.extraction.windows import Merged, Window, merge_spans

EDGE_PROBLEM = "edge:"
EMPTY_PROBLEM = "empty:"
ENCODING_PROBLEM = "encoding:"
REPEATED_PROBLEM = "repeated:"
SURPLUS_PROBLEM = "surplus:"
UNALIGNED_PROBLEM = "unaligned:"
WINDOWS_PROBLEM = "windows:"


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels a text was given, in the model's order, with the probability of the whole answer."""

    document_id: str
    labels: tuple[str, ...]
    confidence: float | None
    raw: str
    truncated: bool
    problems: tuple[str, ...]

    def to_record(self) -> dict[str, Any]:
        """The classification as one JSON-ready object: id, labels, confidence, problems."""
        return {
            "id": self.document_id,
            "labels": list(self.labels),
            "confidence": self.confidence,
            "problems": list(self.problems),
        }


@dataclass(frozen=True, slots=True)
class Part:
    """A window of a text, the whole of it where that fits, and the prompts that ask about it; none where it is blank."""

    window: Window
    prompts: tuple[Prompt, ...]


def is_whole(part: Part) -> bool:
    """Whether every prompt of the part holds all of its window."""
    return all(prompt.text_kept == part.window.end - part.window.start for prompt in part.prompts)


def read_fields(
    tokenizer: TextTokenizer,
    document: Document,
    text: str,
    label_set: LabelSet,
    parts: Sequence[Part],
    grounded: bool,
    completions: Sequence[Completion],
) -> Extraction:
    """Merge the answers about a text's parts into one extraction, fields in the user's order.

    text: the document's as the model was given it, as long as the original. grounded: values were copied from it, so a value that the
    limit cut off is left out, for its beginning alone need not be one. completions: one a prompt, in order. A value that an answer
    repeats more often than the text has places for it is told once, and a problem says so. A label that takes one value keeps the most
    certain one. Each value that is left out, for this or because a window's edge may have cut it, is named in a problem.
    """
    left = iter(completions)
    faults: Counter[str] = Counter()
    raws: list[str] = []
    found: list[list[tuple[Span, ...]]] = []  # a part's spans a label
    for part in parts:
        aligner = Aligner(text[part.window.start : part.window.end])
        spans: list[tuple[Span, ...]] = []
        wrong: list[str] = []  # what occurs in several of a part's prompts is one fault of the part
        for prompt, completion in zip(part.prompts, left, strict=False):
            decoded = tokenizer.decode(completion.token_ids)
            answer = parse_answer(_whole_values(decoded.text) if grounded and _was_cut(completion) else decoded.text, prompt.phrases)
            wrong += [*answer.problems, *_answer_problems(completion)]
            raws.append(decoded.text.removesuffix("\n"))
            for phrase, values in zip(prompt.phrases, answer.values, strict=True):
                placed = aligner.place([(value.text, value_confidence(value, decoded, completion)) for value in values])
                spans.append(_told_once(placed))
                if len(spans[-1]) < len(placed):
                    wrong.append(f"{REPEATED_PROBLEM} the answer for {phrase!r} repeats values that the text has no further place for")
        faults.update(dict.fromkeys(wrong, 1))
        found.append(spans or [()] * len(label_set.labels))
    fields: list[Field] = []
    left_out: list[str | Told] = []
    for at, label in enumerate(label_set.labels):
        merged = _merged(text, parts, [spans[at] for spans in found])
        kept, surplus = _kept(label, merged.spans)
        fields.append(Field(label.field, kept))
        left_out += [*map(partial(_cut_off, label), merged.left_out), *surplus]
    problems = [*_text_problems(document.text, text, parts), *_counted(faults, len(parts)), *dict.fromkeys(left_out), *_strangers(fields)]
    told = tuple(problem for problem in problems if isinstance(problem, Told))
    sentences = tuple(map(str, problems))
    return Extraction(document.id, document.text, tuple(fields), "\n".join(raws), _is_cut(sentences), sentences, told)


def read_choice(
    tokenizer: TextTokenizer,
    document: Document,
    text: str,
    label_set: LabelSet,
    prompts: Sequence[Prompt],
    completions: Sequence[Completion],
) -> Classification:
    """The labels that a text's answer names; none for a blank text, which has no prompt. Arguments as for `read_fields`."""
    parts = [Part(Window(0, len(text)), (prompt,)) for prompt in prompts]
    problems = [str(problem) for problem in _text_problems(document.text, text, parts)]
    if not completions:
        return Classification(document.id, (), None, "", False, tuple(problems))
    completion = completions[0]
    raw = tokenizer.decode(completion.token_ids).text
    chosen, unknown = _chosen(raw, label_set)
    problems = [*problems, *_answer_problems(completion), *unknown]
    confidence = math.prod(completion.token_probabilities) * _end_probability(completion)
    return Classification(document.id, chosen, confidence, raw.strip(), _is_cut(problems), tuple(problems))


def _kept(label: Label, spans: tuple[Span, ...]) -> tuple[tuple[Span, ...], list[str]]:
    """The spans of a label; of one that takes one value the most certain that the text has, and a problem for each other value.

    The same value at another place is no other value: the answer is one, wherever else the text repeats it.
    """
    if label.multiple is not False or len(spans) < 2:
        return spans, []
    best = max(spans, key=lambda span: (span.match != "unaligned", span.certainty))
    others = dict.fromkeys(span.text for span in spans if span.text != best.text)
    reason = f"the label takes one value (multiple: false), and {quoted(best.text)} is kept"
    return (best,), [f"{SURPLUS_PROBLEM} {quoted(text)}, given for {label.field!r}, is left out: {reason}" for text in others]


def _cut_off(label: Label, span: Span) -> Told:
    """The problem of a value that was left to a window in which nothing was read there."""
    assert span.start is not None and span.end is not None, "a value without a place is at no window's edge"
    given = f"{EDGE_PROBLEM} {quoted(span.text)}, given for {label.field!r} at characters "
    reason = ", is left out: a window's edge may have cut it, and the window that holds it whole has no value there"
    return Told((given, Offset(span.start, ends=False), " to ", Offset(span.end, ends=True), reason))


def _strangers(fields: Sequence[Field]) -> list[str]:
    """A problem for every value that the text does not have."""
    strangers = ((field.label, span.text) for field in fields for span in field.spans if span.match == "unaligned")
    return [f"{UNALIGNED_PROBLEM} {quoted(text)}, given for {label!r}, is not in the text" for label, text in strangers]


def _told_once(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Without the repeats of a value that have no place of their own: they tell nothing new, and a model in a loop writes dozens."""
    met: set[str] = set()
    kept = []
    for span in spans:
        if span.match != "unaligned" or span.text not in met:
            kept.append(span)
        met.add(span.text)
    return tuple(kept)


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


def _is_cut(problems: Sequence[str]) -> bool:
    return any(problem.startswith(TRUNCATED_PROBLEM) for problem in problems)


def _merged(text: str, parts: Sequence[Part], found: Sequence[tuple[Span, ...]]) -> Merged:
    """One label's spans from all parts; those of a text that fitted stay in the model's order."""
    return merge_spans(text, [part.window for part in parts], found) if len(parts) > 1 else Merged(next(iter(found), ()))


def _text_problems(original: str, readable: str, parts: Sequence[Part]) -> list[str | Told]:
    problems: list[str | Told] = [] if parts else [f"{EMPTY_PROBLEM} the text is empty, nothing was asked"]
    length = Offset(len(original), ends=True)
    halves = sum(before != after for before, after in zip(original, readable, strict=True))
    if halves:
        problems.append(f"{ENCODING_PROBLEM} {halves} halves of broken characters (lone surrogates) were read as U+FFFD")
    if len(parts) > 1:
        ends = ((Offset(two.window.start, ends=False), Offset(one.window.end, ends=True)) for one, two in pairwise(parts))
        windows = f" characters was read in {len(parts)} windows that share at least "
        problems.append(Told((f"{WINDOWS_PROBLEM} the text of ", length, windows, Shortest(tuple(ends)), " each")))
    kept = min((prompt.text_kept for part in parts for prompt in part.prompts if not is_whole(part)), default=len(original))
    if kept < len(original):
        told = (f"{TRUNCATED_PROBLEM} only the first ", Offset(kept, ends=True), " of ", length, " characters fitted into the prompt")
        problems.append(Told(told))
    return problems


def _counted(faults: Counter[str], parts: int) -> list[str]:
    """Each fault once, with how many parts it occurred in where there were several."""
    return [fault if parts == 1 else f"{fault} (in {count} of {parts} windows)" for fault, count in faults.items()]


def _was_cut(completion: Completion) -> bool:
    return completion.finish_reason == "length"


def _whole_values(answer: str) -> str:
    """An answer up to its last separator."""
    return answer[: max(answer.rfind("\n"), answer.rfind("\t")) + 1]


def _answer_problems(completion: Completion) -> list[str]:
    if not _was_cut(completion):
        return []
    return [f"{TRUNCATED_PROBLEM} the answer was cut after {len(completion.token_ids)} tokens; raise max_new_tokens"]


def _chosen(raw: str, label_set: LabelSet) -> tuple[tuple[str, ...], list[str]]:
    """The labels an answer names, by field name (none where it says None), and what in it is no label."""
    by_phrase = dict(zip(label_set.phrases, label_set.names, strict=True))
    pieces = [piece.strip() for piece in re.split(r"[\t\n,，]", raw) if piece.strip()]
    if pieces == [ABSENT] and ABSENT not in by_phrase:
        return (), []
    chosen = dict.fromkeys(by_phrase[piece] for piece in pieces if piece in by_phrase)
    problems = [f"{PARSE_PROBLEM} the answer {quoted(piece)} is none of the labels asked" for piece in pieces if piece not in by_phrase]
    return tuple(chosen), problems or ([] if pieces else [f"{PARSE_PROBLEM} the answer is empty"])
