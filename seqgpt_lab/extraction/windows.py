"""Cuts a text that is too long for one prompt into overlapping windows, and joins what was read in them; knows no prompt and no model.

Places are code points, ends exclusive. Windows end after paragraphs, sentences or clauses where there are any near. Any stretch of at
most `overlap` code points lies whole in a window, so that no value of that length is lost or cut at an edge.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from seqgpt_lab.documents.places import continues_letter
from seqgpt_lab.extraction.spans import Span

OVERLAP = 64
"""Code points that neighbouring windows share at least: longer than nearly every value, with some of what stands before it."""

_SENTENCE_ENDS = frozenset("。！？!?；;…")
_CLAUSE_ENDS = frozenset("，,、：:")
_SEPARATORS = frozenset("。！？；…，、：\r\n")
"""A value is over before these, but for a digit after them. No ASCII marks, for addresses hold them, and no closers, for names do."""

_CLOSERS = frozenset("”’」』）)》】]〕")
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
_PARAGRAPH, _SENTENCE, _CLAUSE, _ANYWHERE, _INSIDE = 4, 3, 2, 1, 0


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch [start, end) of a text."""

    start: int
    end: int


class Ruler:
    """Measures a text of `length` code points in tokens, and learns of no more of them than it must.

    token_starts: where each token begins, ascending, in any number of runs; tokens of one character begin at the same place.
    """

    def __init__(self, length: int, token_starts: Iterable[Sequence[int]]) -> None:
        self.length = length
        self._known: list[int] = []
        self._runs = iter(token_starts)

    def reach(self, start: int, tokens: int) -> int:
        """The furthest end of a stretch that begins at `start` and holds at most so many tokens, at least one character."""
        while (after := bisect_left(self._known, start) + tokens) >= len(self._known):
            run = next(self._runs, None)
            if run is None:
                return self.length
            self._known += run
        return max(start + 1, self._known[after])


def plan_windows(text: str, ruler: Ruler, *, room: int, overlap: int) -> Iterator[Window]:
    """Windows that cover the text in order, each of at most `room` tokens (at least one character).

    overlap: code points that neighbours share at least, or half a window where that is less. Linear in the text, of which no more is
    measured than the windows that were asked for.
    """
    assert room >= 1 and overlap >= 0, "a window needs room for a token, and windows cannot lie apart"
    start = done = 0
    while done < len(text):
        end = limit = ruler.reach(start, room)
        if limit < len(text):
            end = _boundary(text, max(limit - (limit - start) // 4, done + 1), limit)
        yield (window := Window(start, end))
        start, done = _next_start(text, ruler, window, room, overlap), end


def _next_start(text: str, ruler: Ruler, window: Window, room: int, overlap: int) -> int:
    """Where the window after this one begins: at a boundary, far enough back, and so that it gets further than this one."""
    width = window.end - window.start
    latest = window.end - min(overlap, width // 2)
    start = _boundary(text, latest - min(overlap, width // 4), latest)
    while start < window.end and ruler.reach(start, room) <= window.end:
        start += 1
    return start


def _boundary(text: str, low: int, high: int) -> int:
    """The best place to cut in [low, high], the last one of several; `high` where low is beyond it."""
    return max(range(min(low, high), high + 1), key=lambda at: (_rank(text, at), at))


def _rank(text: str, at: int) -> int:
    """How well the text can be cut before character `at`."""
    if at <= 0 or at >= len(text):
        return _PARAGRAPH
    before, after = text[at - 1], text[at]
    if before == "\n":
        return _PARAGRAPH
    if after in _JOINERS or before == "\u200d" or continues_letter(after) or (before == "\r" and after == "\n"):
        return _INSIDE
    if after in _CLOSERS:
        return _ANYWHERE
    ended = text[at - 2] if before in _CLOSERS and at > 1 else before
    if ended in _SENTENCE_ENDS or (ended == "." and after.isspace()):
        return _SENTENCE
    if before.isspace() or (before in _CLAUSE_ENDS and not after.isdigit()) or before in "，、：":
        return _CLAUSE
    return _INSIDE if (before + after).isascii() and (before.isalnum() or after.isalnum()) else _ANYWHERE


@dataclass(frozen=True, slots=True)
class Merged:
    """One label's values from all windows of a text, in text order, and those left out that an edge may have cut and nobody else read."""

    spans: tuple[Span, ...]
    left_out: tuple[Span, ...] = ()


def merge_spans(text: str, windows: Sequence[Window], found: Sequence[Sequence[Span]]) -> Merged:
    """One label's values from all windows of a text. found[i]: what window i gave, counted from its start.

    Mentions at different places are all kept. Where values of different windows overlap, the more certain one stays, then the longer
    one. A value that its window's edge may have cut is left to the neighbour that holds the place whole: part of a value can look like
    a whole one, a shorter number for example, so where no other window has a value there it is left out all the same, and given as such.
    Values that are not in their window come last, each once, with the highest confidence they had. Linear but for sorting.
    """
    placed: list[_Reading] = []
    invented: dict[str, Span] = {}
    for index, (window, spans) in enumerate(zip(windows, found, strict=True)):
        for span in spans:
            if span.start is None or span.end is None:
                known = invented.setdefault(span.text, span)
                invented[span.text] = max(known, span, key=lambda one: one.certainty)
            else:
                span = replace(span, start=(start := span.start + window.start), end=(end := span.end + window.start))
                placed.append(_Reading(index, span, _left_to_neighbour(text, windows, index, start, end)))
    placed.sort(key=_place)
    kept: list[_Reading] = []
    left_out: list[_Reading] = []
    for group in _overlapping(placed):
        best = _best([reading for reading in group if not reading.left])
        kept += best
        left_out += [reading for reading in group if reading.left and not any(_excludes(one, reading) for one in best)]
    spans = tuple(reading.span for reading in sorted(kept, key=_place))
    return Merged((*spans, *invented.values()), tuple(reading.span for reading in left_out))


@dataclass(frozen=True, slots=True)
class _Reading:
    """A value with its place in the text, the index of the window it was read in, and whether it is left to that window's neighbour."""

    window: int
    span: Span
    left: bool

    @property
    def start(self) -> int:
        assert self.span.start is not None
        return self.span.start

    @property
    def end(self) -> int:
        assert self.span.end is not None
        return self.span.end


def _place(reading: _Reading) -> tuple[int, int]:
    return reading.start, reading.end


def _left_to_neighbour(text: str, windows: Sequence[Window], index: int, start: int, end: int) -> bool:
    """Whether an edge of window `index` may have cut the value at [start, end), and the neighbour there has it with both its edges free."""
    window = windows[index]
    if end == window.end and _cuts(text, end):
        neighbour = windows[index + 1]
        return neighbour.start < start or (neighbour.start == start and not _cuts(text, start))
    if start == window.start and _cuts(text, start):
        neighbour = windows[index - 1]
        return end < neighbour.end or (end == neighbour.end and not _cuts(text, end))
    return False


def _cuts(text: str, at: int) -> bool:
    """Whether a window's edge at `at` may cut a value: the text has no boundary there, and no separator follows."""
    return _rank(text, at) <= _ANYWHERE and (text[at] not in _SEPARATORS or text[at + 1 : at + 2].isdigit())


def _overlapping(readings: Sequence[_Reading]) -> Iterator[list[_Reading]]:
    """Runs of readings in which each overlaps one before it; `readings` by start."""
    group: list[_Reading] = []
    reach = 0
    for reading in readings:
        if group and reading.start >= reach:
            yield group
            group = []
        group.append(reading)
        reach = max(reach, reading.end)
    if group:
        yield group


def _best(group: Sequence[_Reading]) -> list[_Reading]:
    """The readings that stay: the best first, then each that overlaps none of another window, one a place."""
    best: list[_Reading] = []
    for reading in sorted(group, key=lambda reading: (-reading.span.certainty, reading.start - reading.end, reading.window)):
        if not any(_excludes(one, reading) for one in best):
            best.append(reading)
    return best


def _excludes(one: _Reading, other: _Reading) -> bool:
    same_place = (one.start, one.end) == (other.start, other.end)
    return same_place or (one.window != other.window and one.start < other.end and other.start < one.end)
