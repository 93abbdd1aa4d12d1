"""Windows cover a text, respect its boundaries and lose nothing at their edges: held against an engine that answers by looking it up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.extraction.cleaning import CleaningExtractor, restored
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.preprocess import clean
from seqgpt_lab.extraction.spans import Span
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.extraction.told import Offset, Shortest, Told
from seqgpt_lab.extraction.windows import Merged, Ruler, Window, merge_spans, plan_windows
from seqgpt_lab.progress import Progress

VALUE = re.compile("编号[0-9]{1,12}号")
PROMPT = re.compile("输入: (.*)\n抽取: (.*)\n输出: ", re.DOTALL)
FILLER = "今天天气很好，大家都去公园散步。"


class LookupEngine:
    """Answers every label with all codes that stand in the prompt's text, whole ones and the cut ones that a model might take for whole."""

    def __init__(self, tokenizer_file: Path, tokenizer: TextTokenizer, *, cut: re.Pattern[str] | None = None) -> None:
        directory = tokenizer_file.parent
        self.checkpoint = Checkpoint("lookup", directory, directory / "config.json", (), tokenizer_file)
        self.tokenizer, self.cut = tokenizer, cut
        self.asked: list[str] = []

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        return [self._answer(request) for request in requests]

    def _answer(self, request: Request) -> Completion:
        found = PROMPT.fullmatch(self.tokenizer.decode(request.prompt_ids).text)
        assert found
        text, labels = found.groups()
        self.asked.append(text)
        values = [match.group() for match in (self.cut or VALUE).finditer(text)]
        answer = "".join(f"{label}: {chr(9).join(values) or 'None'}\n" for label in labels.split("，"))
        ids = tuple(self.tokenizer.encode(answer).ids)
        return Completion(ids, (0.99,) * len(ids), "stop", 0.99, Timing(0.0, 0.0))


@pytest.fixture(params=["characters", "merging"])
def lookup(request: pytest.FixtureRequest) -> Callable[..., Extractor]:
    kinds = {"characters": ("tokenizer_file", "tokenizer"), "merging": ("merging_file", "merging")}
    file, tokenizer = (request.getfixturevalue(name) for name in kinds[request.param])

    def make(max_length: int, overlap: int = 32, cut: re.Pattern[str] | None = None) -> Extractor:
        return Extractor(LookupEngine(file, tokenizer, cut=cut), max_length=max_length, overlap=overlap)

    return make


def places(result: Extraction, field: int = 0) -> list[tuple[int | None, int | None]]:
    return [(span.start, span.end) for span in result.fields[field].spans]


def planted(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in VALUE.finditer(text)]


def test_a_value_is_found_at_every_offset_of_a_long_text(lookup: Callable[..., Extractor]) -> None:
    """Offsets from the text's start over three windows' edges to its end, a filler without any boundary, and one with boundaries."""
    for filler in ("云" * 400, FILLER * 25):
        texts = [f"{filler[:offset]}编号31415号{filler[offset:]}" for offset in range(0, 401, 7)]
        for text, result in zip(texts, lookup(120).extract(texts, "编号"), strict=True):
            assert places(result) == planted(text) and result.fields[0].spans[0].text == "编号31415号"


PIECES = st.sampled_from(
    [FILLER, "云", "编号7号", "编号123456789号", "\n", "\r\n", "。", " ", "word 3.14, ", "😀", "👨‍👩‍👧", "。”", "\u3000", "𠮷"]
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=st.lists(PIECES, min_size=1, max_size=80).map("".join), max_length=st.integers(70, 140), overlap=st.integers(15, 40))
def test_all_mentions_are_found_once_whatever_the_text(lookup: Callable[..., Extractor], text: str, max_length: int, overlap: int) -> None:
    result = lookup(max_length, overlap).extract(text, "编号,代码")
    assert places(result) == places(result, 1) == planted(text)
    assert not result.truncated
    assert all(problem.startswith(("windows: ", "empty: ")) for problem in result.problems)


def test_fragments_at_an_edge_give_way_to_the_whole_value(lookup: Callable[..., Extractor]) -> None:
    """An engine that also takes cut codes for values: no fragment survives, wherever the edges fall."""
    loose = re.compile("编?号?[0-9]+号?")
    for offset in range(0, 200, 3):
        text = f"{'云' * offset}编号271828182号{'云' * (400 - offset)}"
        assert places(lookup(110, 30, loose).extract(text, "编号")) == planted(text)


def test_what_was_done_is_told_and_nothing_is_asked_for_blanks(lookup: Callable[..., Extractor]) -> None:
    extractor = lookup(80)
    result = extractor.extract(f"编号1号{' ' * 500}编号2号", "编号")
    assert [span.text for span in result.fields[0].spans] == ["编号1号", "编号2号"]
    assert len(result.problems) == 1 and re.fullmatch(r"windows: the text of 508 characters was read in \d+ windows .*", result.problems[0])
    assert isinstance(extractor.engine, LookupEngine) and all(text.strip() for text in extractor.engine.asked)


def test_the_same_fault_in_many_windows_is_told_once_with_its_count(lookup: Callable[..., Extractor]) -> None:
    class Mute(LookupEngine):
        def _answer(self, request: Request) -> Completion:
            return Completion((), (), "stop", 1.0, Timing(0.0, 0.0))

    engine = lookup(80).engine
    assert isinstance(engine, LookupEngine)
    problems = Extractor(Mute(engine.checkpoint.tokenizer, engine.tokenizer), max_length=80).extract("云" * 300, "编号").problems
    count = re.search(r"read in (\d+) windows", problems[0])
    assert count and problems[1].endswith(f"(in {count.group(1)} of {count.group(1)} windows)") and len(problems) == 2


def test_a_fault_counts_once_a_window_however_many_of_its_answers_have_it(lookup: Callable[..., Extractor]) -> None:
    class Wordy(LookupEngine):
        def _answer(self, request: Request) -> Completion:
            ids = tuple(self.tokenizer.encode("编号: None\n" * 3).ids)
            return Completion(ids, (0.99,) * len(ids), "length", None, Timing(0.0, 0.0))

    engine = lookup(80).engine
    assert isinstance(engine, LookupEngine)
    labels = ["编号", *(f"标签{number}" for number in range(6))]  # seven: asked in two prompts a window
    extractor = Extractor(Wordy(engine.checkpoint.tokenizer, engine.tokenizer), max_length=80)
    told, *faults = extractor.extract("云" * 300, labels).problems
    windows = len(extractor.windows("云" * 300, labels))
    assert windows > 1 and f"was read in {windows} windows" in told
    assert {fault.split(" (in ")[1] for fault in faults} == {f"{windows} of {windows} windows)"}
    for words in ("the answer was cut after", "'编号' was answered more than once"):
        assert sum(words in fault for fault in faults) == 1


@pytest.mark.parametrize("grounded", [True, False])
def test_a_label_that_takes_one_value_keeps_the_surest_of_all_windows(lookup: Callable[..., Extractor], grounded: bool) -> None:
    extractor = Extractor(lookup(80).engine, max_length=80, overlap=32, grounded=grounded)
    text = f"编号271828号{'云' * 100}编号7号{'云' * 100}编号7号"  # a longer value is less sure: each token has its chance of being wrong
    one = extractor.extract(text, LabelSet((Label("编号", multiple=False), Label("代码"))))
    assert one.to_dict() == {"编号": "编号7号", "代码": ["编号271828号", "编号7号", "编号7号"]}
    assert places(one) == planted(text)[1:2], "the first of two places that are as sure"
    assert one.problems[1:] == (
        "surplus: ⟪编号271828号⟫, given for '编号', is left out: the label takes one value (multiple: false), and ⟪编号7号⟫ is kept",
    )
    repeated = extractor.extract(f"编号7号{'云' * 200}编号7号", LabelSet((Label("编号", multiple=False),)))
    assert repeated.to_dict() == {"编号": "编号7号"} and len(repeated.problems) == 1, "the same value elsewhere is no other value"


def test_a_text_that_fits_is_asked_whole_in_the_models_order(lookup: Callable[..., Extractor]) -> None:
    result = lookup(200).extract("编号2号，编号1号", "编号")
    assert result.problems == () and [span.text for span in result.fields[0].spans] == ["编号2号", "编号1号"]


def test_windows_are_as_long_as_the_model_likes_and_a_little_more_is_read_whole(lookup: Callable[..., Extractor]) -> None:
    engine = lookup(1000).engine
    assert isinstance(engine, LookupEngine)
    extractor = Extractor(engine, max_length=1000, window_length=120)
    for length, whole in ((100, True), (140, True), (400, False), (900, False)):
        engine.asked.clear()
        text = ("编号7号，" + "abc " * 300)[:length]  # as many tokens as characters, or fewer
        result = extractor.extract(text, "编号")
        assert (result.problems == ()) == whole == (engine.asked == [text]), length
        assert max(map(len, engine.asked)) <= 180 and places(result) == planted(text)
    many = [f"标签{number:02d}" * 6 for number in range(6)]  # an instruction longer than a window leaves text half a window all the same
    engine.asked.clear()
    assert places(extractor.extract("云" * 300 + "编号7号" + "云" * 300, many)) == [(300, 304)]
    assert min(map(len, engine.asked)) > 15


def test_no_prompt_is_longer_than_it_may_be_however_much_the_labels_take_of_it(lookup: Callable[..., Extractor]) -> None:
    labels = [str(number) * 12 for number in range(6)]
    extractor = lookup(120)
    for length in (5, 15, 25, 50, 200):
        lengths = [len(request.prompt_ids) for request in extractor.prepare("云" * length, labels).requests]
        assert 80 < max(lengths) <= 120, length


@pytest.mark.parametrize("overlap", [0, 8, 64])
@pytest.mark.parametrize("text", ["云" * 1000, FILLER * 60, "a b " * 300, "😀" * 300, "一句。\n" * 200])
def test_windows_cover_the_text_share_their_overlap_and_stay_within_their_room(text: str, overlap: int) -> None:
    widths = [len(character.encode()) for character in text]  # as many tokens as bytes: the hardest case
    starts = [at for at, width in enumerate(widths) for _ in range(width)]
    windows = list(plan_windows(text, Ruler(len(text), [starts]), room=200, overlap=overlap))
    assert (windows[0].start, windows[-1].end) == (0, len(text))
    for one, other in pairwise(windows):
        assert one.start < other.start <= one.end < other.end
        assert one.end - other.start >= min(overlap, (one.end - one.start) // 2)
    assert all(sum(widths[window.start : window.end]) <= 200 for window in windows)
    fresh = len(text) / len(windows)
    assert fresh > 30 if widths[0] == 3 or text[0] == "a" else fresh > 20  # each window brings new text: their number is linear in it


@settings(max_examples=80, deadline=None)
@given(text=st.text("云a ，。\n\r😀", min_size=1, max_size=120), room=st.integers(1, 60), overlap=st.integers(0, 30), data=st.data())
def test_windows_go_on_and_cover_a_text_whose_tokens_are_as_dense_as_they_like(
    text: str, room: int, overlap: int, data: st.DataObject
) -> None:
    costs = data.draw(st.lists(st.integers(0, 4), min_size=len(text), max_size=len(text)))  # tokens that begin at each character
    starts = [at for at, cost in enumerate(costs) for _ in range(cost)]
    ruler = Ruler(len(text), [starts])
    windows = list(islice(plan_windows(text, ruler, room=room, overlap=overlap), len(text)))  # each gets further by a character at least
    assert (windows[0].start, windows[-1].end) == (0, len(text))
    for window in windows:
        assert window.start < window.end and (sum(costs[window.start : window.end]) <= room or window.end - window.start == 1)
        fits = [end for end in range(window.start + 1, len(text) + 1) if sum(costs[window.start : end]) <= room]
        assert ruler.reach(window.start, room) == max(fits, default=window.start + 1)
    for one, other in pairwise(windows):
        assert one.start < other.start <= one.end < other.end, "each window begins and ends further on, and none is left out between them"
        if 4 * (2 * overlap + 1) <= room:  # twice the overlap and one character more fit, however dense they are
            assert one.end - other.start >= min(overlap, (one.end - one.start) // 2)


def test_a_plan_measures_no_more_of_a_text_than_the_windows_that_were_asked_for() -> None:
    text, told = "云" * 1000, 0

    def starts() -> Iterator[range]:
        nonlocal told
        for at in range(0, 1000, 10):
            told += 1
            yield range(at, at + 10)

    windows = plan_windows(text, Ruler(len(text), starts()), room=20, overlap=4)
    first = next(windows)
    assert (first, told) == (Window(0, 20), 3)
    assert [first, *windows] == list(plan_windows(text, Ruler(len(text), [range(1000)]), room=20, overlap=4)) and told == 100


def test_progress_is_told_before_each_window_and_may_end_the_preparation(lookup: Callable[..., Extractor]) -> None:
    extractor, text, labels = lookup(120), FILLER * 60, [f"编号{number}" for number in range(20)]
    told: list[tuple[int, int]] = []
    prepared = extractor.prepare(text, labels, progress=lambda made, planned: told.append((made, planned)))
    windows = len(extractor.windows(text, labels))
    assert len(prepared.requests) == 4 * windows and told[0] == (0, 4)
    assert told[-windows:] == [(4 * at, 4 * windows) for at in range(windows)]

    def stop(made: int, planned: int) -> None:
        told.append((made, planned))
        if planned > 20:
            raise InterruptedError

    told.clear()
    with pytest.raises(InterruptedError):
        extractor.prepare(text, labels, progress=stop)
    assert told == [(0, 4), (0, 4), (0, 8), (0, 12), (0, 16), (0, 20), (0, 24)]


def test_windows_end_at_the_best_boundary_near() -> None:
    def first_end(text: str) -> str:
        window = next(plan_windows(text, Ruler(len(text), [range(len(text))]), room=20, overlap=4))
        return text[window.start : window.end]

    assert first_end("甲" * 16 + "，乙。丙" + "丁" * 30).endswith("乙。")
    assert first_end("甲" * 16 + "。”乙，" + "丁" * 30).endswith("。”")
    assert first_end("甲" * 15 + "\n乙。丙" + "丁" * 30).endswith("\n")
    assert first_end("甲" * 16 + "，乙丙丁" + "丁" * 30).endswith("，")
    assert first_end("a" * 14 + " 1,234.56 " + "丁" * 30).endswith("a ")
    assert len(first_end("甲" * 60)) == 20
    assert first_end("aaa bbb ccc dddd. ee ff gg hh").endswith("dddd.")
    for letter in ("e\u0301", "ｶﾞ", "👨\u200d👩", "☎\ufe0f", "\r\n"):  # what one sees as one character is not cut
        assert first_end("甲" * 19 + letter + "丁" * 30) == "甲" * 19
    assert first_end("甲" * 18 + "👨\u200d👩" + "丁" * 30) == "甲" * 18


def span(text: str, start: int, confidence: float | None = 0.5) -> Span:
    return Span(text, start, start + len(text), confidence)


def test_merging_keeps_mentions_and_the_more_certain_of_two_readings() -> None:
    text = "甲乙丙丁。戊己庚辛。壬癸子丑。"
    windows = [Window(0, 10), Window(5, 15)]
    same = merge_spans(text, windows, [[span("戊己", 5, 0.4)], [span("戊己", 0, 0.9), span("壬", 5)]]).spans
    assert [(one.start, one.confidence) for one in same] == [(5, 0.9), (10, 0.5)]
    differing = merge_spans(text, windows, [[span("戊己庚", 5, 0.8)], [span("己庚辛", 1, 0.7)]]).spans
    assert [one.text for one in differing] == ["戊己庚"]
    nested = merge_spans(text, windows, [[span("戊", 5, 0.3), span("戊己", 5, 0.9)], []]).spans
    assert [one.text for one in nested] == ["戊", "戊己"]
    unknown = [Span("王", None, None, chance, "unaligned") for chance in (0.1, 0.6, None)]
    assert merge_spans(text, windows, [unknown[:2], unknown[2:]]) == Merged((unknown[1],))


def test_a_value_that_an_edge_may_have_cut_is_given_as_left_out_where_the_neighbour_read_nothing() -> None:
    text, windows = "甲" * 8 + "张伟" + "乙" * 10, [Window(0, 10), Window(5, 20)]
    cut, other = span("张伟", 8, 0.97), span("乙乙", 7, 0.9)
    assert merge_spans(text, windows, [[cut], []]) == Merged((), (cut,)), "it may be the beginning of a longer one"
    assert merge_spans(text, windows, [[cut], [span("张伟乙", 3, 0.2)]]) == Merged((span("张伟乙", 8, 0.2),)), "the whole of it was read"
    assert merge_spans(text, windows, [[cut], [other]]) == Merged((span("乙乙", 12, 0.9),), (cut,)), "not this was read"
    assert merge_spans(text, windows, [[], [span("甲甲", 0, 0.9)]]).left_out == (span("甲甲", 5, 0.9),), "nor the end of one"
    for after, kept in (("，乙", True), ("\n乙", True), ("，3", False), ("）乙", False), (".5", False)):
        one = merge_spans("甲" * 8 + "张伟" + after + "乙" * 8, windows, [[cut], []])
        assert one == (Merged((cut,)) if kept else Merged((), (cut,))), after


def test_a_value_is_left_to_a_neighbour_only_where_that_has_both_its_ends_free() -> None:
    """A window that may have cut the value itself, at its other end, tells no more than this one."""
    first, second = span("张伟", 8), span("张伟", 0)
    for before, left in (("甲", False), ("，", True)):  # the neighbour begins where the value does: it is whole there after a comma
        text = "甲" * 7 + before + "张伟" + "乙" * 10
        assert merge_spans(text, [Window(0, 10), Window(8, 20)], [[first], []]) == (Merged((), (first,)) if left else Merged((first,)))
    for after, left in (("乙", False), ("，", True)):  # it ends where the value does
        text = "甲" * 8 + "张伟" + after + "乙" * 9
        kept = merge_spans(text, [Window(0, 10), Window(8, 20)], [[], [second]])
        assert kept == (Merged((), (first,)) if left else Merged((first,)))


def test_a_value_that_a_window_begins_with_is_whole_behind_a_mark() -> None:
    for mark, whole in (("，", True), ("。", True), ("：", True), (" ", True), ("“", False)):
        text = "甲" * 4 + mark + "张伟" + "乙" * 13
        found = merge_spans(text, [Window(0, 10), Window(5, 20)], [[], [span("张伟", 0)]])
        assert found == (Merged((span("张伟", 5),)) if whole else Merged((), (span("张伟", 5),))), mark


READING = st.tuples(st.integers(0, 19), st.integers(1, 9), st.sampled_from([None, 0.2, 0.5, 0.9]))  # where in a window, how long, how sure


@settings(max_examples=80, deadline=None)
@given(st.lists(st.lists(READING, max_size=6), min_size=2, max_size=4))
def test_of_values_that_overlap_the_more_certain_then_the_longer_one_stays(readings: list[list[tuple[int, int, float | None]]]) -> None:
    """The same by looking at each pair of all readings: a text in which no edge can cut anything."""
    windows = [Window(12 * index, 12 * index + 28) for index in range(len(readings))]
    found = [
        [Span(f"{index}.{number}", start, start + length, chance) for number, (start, length, chance) in enumerate(some)]
        for index, some in enumerate(readings)
    ]
    starts = [window.start for window in windows]
    given = [
        (at + start, at + start + length, index, one)
        for index, at in enumerate(starts)
        for (start, length, _), one in zip(readings[index], found[index], strict=True)
    ]
    wanted: list[tuple[int, int, int, Span]] = []
    for start, end, window, one in sorted(given, key=lambda each: (-each[3].certainty, each[0] - each[1], each[2])):
        if not any((start, end) == (a, b) or (window != other and start < b and a < end) for a, b, other, _ in wanted):
            wanted.append((start, end, window, one))
    merged = merge_spans("\n" * windows[-1].end, windows, found)
    assert not merged.left_out
    assert sorted((one.start, one.end, one.text) for one in merged.spans) == sorted((start, end, one.text) for start, end, _, one in wanted)
    assert [(one.start, one.end) for one in merged.spans] == sorted((start, end) for start, end, _, _ in wanted), "in text order"


def test_a_value_that_is_left_out_at_an_edge_is_told(lookup: Callable[..., Extractor]) -> None:
    """An engine that takes the last two characters of whatever it reads for a value, in a text that has no two twice."""
    extractor = lookup(110, 30, re.compile("..$"))
    text = "".join(chr(ord("一") + number) for number in range(300))
    result = extractor.extract(text, "编号")
    *edges, end = [window.end for window in extractor.windows(text, "编号")]
    assert places(result) == [(end - 2, end)]
    assert len(edges) > 1 and result.problems[1:] == tuple(
        f"edge: ⟪{text[at - 2 : at]}⟫, given for '编号' at characters {at - 2} to {at}, is left out: "
        "a window's edge may have cut it, and the window that holds it whole has no value there"
        for at in edges
    )


def test_problems_of_a_text_that_was_cleaned_count_in_the_text_that_people_see(lookup: Callable[..., Extractor]) -> None:
    extractor = lookup(110, 30, re.compile("..$"))
    text = "\n".join(chr(ord("一") + number) for number in range(300)) + "\n\n"
    (result,) = CleaningExtractor(extractor, ["join_lines"]).extract([Document("d", text)], "编号")
    windows = extractor.windows(text.replace("\n", ""), "编号")
    shared = [text[text.index(chr(ord("一") + two.start)) : text.index(chr(ord("一") + one.end))] for one, two in pairwise(windows)]
    told = f"the text of {len(text)} characters was read in {len(windows)} windows that share at least {min(map(len, shared)) - 1} each"
    assert result.problems[0] == f"windows: {told}"
    edges = [
        re.fullmatch(r"edge: ⟪(..)⟫, given for '编号' at characters (\d+) to (\d+), is left out: .*", one) for one in result.problems[1:]
    ]
    assert len(edges) > 1
    for edge in edges:
        assert edge and text[int(edge[2]) : int(edge[3])] == "\n".join(edge[1])


def test_the_shortest_of_some_stretches_is_another_one_where_more_was_dropped_in_it() -> None:
    cleaned = clean("甲  乙 丙丁戊己", ["strip_spaces"])
    stretches = Shortest(tuple((Offset(start, ends=False), Offset(end, ends=True)) for start, end in ((0, 2), (2, 5))))
    assert (str(stretches), str(stretches.recounted(cleaned.original_offset))) == ("2", "3")
    nothing = Shortest(((Offset(1, ends=False), Offset(1, ends=True)),))
    assert str(nothing.recounted(cleaned.original_offset)) == "0", "what was dropped there is shared by nobody"


def test_how_much_of_a_cleaned_text_was_read_is_counted_in_the_text_that_people_see() -> None:
    cleaned = clean("\n\n张\n伟，\n35岁\n", ["join_lines"])
    told = Told(("truncated: only the first ", Offset(3, ends=True), " of ", Offset(6, ends=True), " characters fitted into the prompt"))
    back = restored(Extraction("d", cleaned.text, (), "", True, ("parse: x", str(told)), (told,)), cleaned)
    assert back.problems == ("parse: x", "truncated: only the first 6 of 11 characters fitted into the prompt")
    assert tuple(map(str, back.told)) == back.problems[1:]
    assert [cleaned.original_offset(Offset(at, ends)) for at, ends in ((0, False), (0, True), (2, False), (2, True))] == [2, 0, 5, 5]
