"""Changes a text before a model reads it, by named steps that compose, and leads every offset back to the original. Knows no model.

A step gives pieces: half-open ranges of its input with what stands in their place. Whatever the steps, `Cleaned` knows for each
character which original range it stands for, so that values found in the cleaned text can be shown, and scored, in the original.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from seqgpt_lab.documents.invisible import INVISIBLE
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.told import Offset

# [start, end) of the step's input, and what replaces it.
Edit = tuple[int, int, str]
Step = Callable[[str], Iterable[Edit]]
_UNSEEN = re.compile(f"[{INVISIBLE}]")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """A text after some steps. Character i of `text` stands for original[starts[i]:ends[i]]; both never decrease.

    An empty range (starts[i] == ends[i]) is a character that was put in and stands for nothing.
    """

    original: str
    text: str
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def of(cls, text: str) -> Cleaned:
        """The text as it is."""
        return cls(text, text, tuple(range(len(text))), tuple(range(1, len(text) + 1)))

    def original_range(self, start: int, end: int) -> tuple[int, int] | None:
        """Where [start, end) of `text` stands in the original: from its first character's start to its last one's end.

        None when it stands for nothing. Original characters that were dropped inside it are inside the range, those around it are not.
        Raises OptionError for a range that is empty or not in the text.
        """
        if not 0 <= start < end <= len(self.text):
            raise OptionError(f"[{start}, {end}) is no range of a text of {len(self.text)} characters; give 0 <= start < end <= its length")
        first, last = self.starts[start], self.ends[end - 1]
        return (first, last) if first < last else None

    def original_offset(self, offset: Offset) -> int:
        """Where in the original something begins or ends that does so at a place of `text`."""
        if offset.at == len(self.text):
            return len(self.original)
        if offset.ends:
            return self.ends[offset.at - 1] if offset.at else 0
        return self.starts[offset.at]

    def edited(self, edits: Iterable[Edit]) -> Cleaned:
        """The text after edits, which are in order and do not overlap.

        A replacement as long as what it replaces stands for it character by character; any other stands for the whole of it.
        """
        pieces: list[str] = []
        starts: list[int] = []
        ends: list[int] = []
        at = 0
        for start, end, new in [*edits, (len(self.text), len(self.text), "")]:
            assert at <= start <= end, f"the edit [{start}, {end}) comes after one that ended at {at}"
            pieces += (self.text[at:start], new)
            starts += self.starts[at:start]
            ends += self.ends[at:start]
            if len(new) == end - start:
                starts += self.starts[start:end]
                ends += self.ends[start:end]
            else:
                first, last = self._span(start, end)
                starts += [first] * len(new)
                ends += [last] * len(new)
            at = end
        return Cleaned(self.original, "".join(pieces), tuple(starts), tuple(ends))

    def _span(self, start: int, end: int) -> tuple[int, int]:
        """The original range of [start, end), an empty one where it begins for an insertion."""
        if start < end:
            return self.starts[start], self.ends[end - 1]
        place = self.starts[start] if start < len(self.text) else len(self.original)
        return place, place


def clean(text: str, steps: Sequence[str]) -> Cleaned:
    """The text after these steps, in this order. Raises OptionError naming the steps that do not exist, and those that do."""
    check_steps(steps)
    cleaned = Cleaned.of(text)
    for name in steps:
        cleaned = cleaned.edited(STEPS[name](cleaned.text))
    return cleaned


def check_steps(steps: Sequence[str]) -> None:
    """Raise OptionError for unknown steps and for one string where a sequence is wanted."""
    if isinstance(steps, str):
        raise OptionError(f"steps are {steps!r}; give a list of names, such as [{steps!r}]")
    unknown = [name for name in steps if name not in STEPS]
    if unknown:
        raise OptionError(f"there are no preprocessing steps {unknown}; there are {', '.join(STEPS)}")


def _removing(pattern: str, kept: str = "") -> Step:
    """A step that puts `kept` in the place of each match."""
    compiled = re.compile(pattern)

    def step(text: str) -> Iterator[Edit]:
        return ((found.start(), found.end(), kept) for found in compiled.finditer(text))

    return step


def _translating(table: Mapping[str, str]) -> Step:
    """A step that replaces single characters."""

    def step(text: str) -> Iterator[Edit]:
        return ((at, at + 1, table[character]) for at, character in enumerate(text) if character in table)

    return step


def _converting(configuration: str) -> Step:
    """A step that converts characters with OpenCC: whole phrases where that keeps the length, else each character by itself."""

    def step(text: str) -> Iterator[Edit]:
        convert = converter(configuration)
        for line in re.finditer(r"[^\n\x00\ud800-\udfff]+", text):
            new = convert(line.group())
            if len(new) != len(line.group()):
                new = "".join(one if len(one) == 1 else old for old in line.group() for one in [convert(old)])
            changed = ((at, one) for at, (old, one) in enumerate(zip(line.group(), new, strict=True), line.start()) if old != one)
            yield from ((at, at + 1, one) for at, one in changed)

    return step


@lru_cache(maxsize=4)
def converter(configuration: str) -> Callable[[str], str]:
    """What converts a text by a configuration of OpenCC, such as `t2s`; it takes neither NUL nor half characters."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC(configuration).convert
    return convert


def _narrow(text: str) -> Iterator[Edit]:
    for at, character in enumerate(text):
        plain = unicodedata.normalize("NFKC", character)
        # Only what differs in width: NFKC would also unfold fractions and ligatures.
        if plain != character and unicodedata.east_asian_width(character) in "FH" and len(plain) == 1:
            yield at, at + 1, plain


def _without_punctuation(text: str) -> Iterator[Edit]:
    """Leaves words and white space: of marks, which are no letters to Python, the accents and vowel signs that words are written with."""
    word = False
    for at, character in enumerate(text):
        if unicodedata.category(character) not in ("Mn", "Mc") or _UNSEEN.match(character):
            word = character.isalnum()
        if not (word or character.isspace()):
            yield at, at + 1, ""


def _mended_ocr(text: str) -> Iterator[Edit]:
    """What scanners misread where the neighbours leave no doubt: O and l between digits, 曰 and 未 in dates, blanks in numbers.

    Several O or l in a row are mended together, or the first alone would be, and half a number is worse than none.
    """
    edits = ((found.start(), found.end(), new * len(found.group())) for pattern, new in _OCR for found in pattern.finditer(text))
    yield from sorted(edits)  # no two patterns match the same character


_TO_FULL = {",": "，", ":": "：", ";": "；", "(": "（", ")": "）", "?": "？", "!": "！", "%": "％"}
_OCR: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?<=[0-9])[OoＯ〇]+(?=[0-9年月日元万%％,.]|$)"), "0"),
    (re.compile(r"(?<=[0-9])(?:[lI]+|[|])(?=[0-9])"), "1"),
    (re.compile(r"(?<=[0-9])曰"), "日"),
    (re.compile(r"(?<=[年月])未"), "末"),
    (re.compile(r"(?<=[\u4e00-\u9fff])问(?=[:：])"), "间"),
    (re.compile(r"(?<=[0-9][,.]) (?=[0-9])|(?<=[0-9]) (?=[年月日元万%])"), ""),
)

# From the first blank of a run, or every blank of a long run would look for its line end.
_LINE_ENDS = r"(?<![ \t])[ \t]*(?:(?:\r\n|[\n\r\u2028\u2029\x0b\x0c\x85])[ \t]*)+"
_QUOTING = (
    r"(?m)^[ \t]*>(?:[ \t>])*|"
    r"^(?:On .{1,200} wrote:|在.{1,200}写道[:：]|-{2,} ?(?:Original Message|原始邮件|原邮件) ?-{2,})[ \t]*(?:\r?\n|\Z)"
)

STEPS: dict[str, Step] = {
    "join_lines": _removing(_LINE_ENDS),
    "lines_to_spaces": _removing(_LINE_ENDS, " "),
    "strip_spaces": _removing(r"[^\S\n\r]+"),
    "single_spaces": _removing(r"[^\S\n\r]{2,}", " "),
    "half_width": _narrow,
    "full_width": _translating(_TO_FULL),
    "simplified": _converting("t2s"),
    "traditional": _converting("s2t"),
    "ocr_correction": _mended_ocr,
    "remove_punctuation": _without_punctuation,
    "remove_brackets": _removing(r"[\[\](){}<>（）【】〔〕〈〉《》「」『』［］｛｝＜＞]"),
    "drop_garbage": _removing(f"[\ufffd\ufffc\ue000-\uf8ff□■{INVISIBLE}\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]"),
    "email_quoting": _removing(_QUOTING),
}
WHAT_STEPS_DO: dict[str, str] = {
    "join_lines": "takes line breaks out and joins the lines",
    "lines_to_spaces": "turns line breaks into single spaces",
    "strip_spaces": "takes spaces out",
    "single_spaces": "turns runs of spaces into one",
    "half_width": "turns full-width letters, digits and marks into ASCII",
    "full_width": "turns ASCII marks into full-width ones",
    "simplified": "turns traditional characters into simplified ones",
    "traditional": "turns simplified characters into traditional ones",
    "ocr_correction": "mends characters that scanners misread",
    "remove_punctuation": "takes all punctuation out",
    "remove_brackets": "takes brackets out, keeps what is in them",
    "drop_garbage": "drops U+FFFD, boxes and characters nobody sees",
    "email_quoting": "takes e-mail quote marks and `wrote:` lines out",
}
