"""Grounded answers hold nothing but parts of the text: against llguidance's masks, with random writers, and with random models."""

from __future__ import annotations

import json
import os
import pickle
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.extraction.answer import ABSENT
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.grounding import GroundedAnswer, GroundedClasses, TokenConstraint
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.extraction.vocabulary import load_vocabulary
from tests.checkpoints import write_random_checkpoint

END = 2
ODD = ["None", "N", "\n", "\t", "\r\n", " ", "　", "\x0b", '"', "\\", "[GEN]", "</s>", "\ufffd", "\x00", ": "]
BITS = [*ODD, "张伟", "35岁", "😀👨\u200d👩", "𠮷㐂", "(全职)", ")", "，"]
TEXTS = st.lists(st.sampled_from(BITS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=14).map("".join)
NAMES = st.sampled_from(["姓名", "公司", "job title", "a:b", 'q"\\"', "😀", "[GEN]", "None"])
LABELS = st.lists(NAMES, min_size=1, max_size=4, unique=True)
MANY = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])


def flat(text: str) -> str:
    """A text without the line breaks and tabs that no value can hold."""
    return "".join(character for character in text if character not in "\r\n\t")


def grounded(file: Path, text: str, labels: list[str], multiple: bool = True) -> TokenConstraint:
    return GroundedAnswer(text, tuple(labels), (multiple,) * len(labels), file, END).start()


def write(constraint: TokenConstraint, choose: Callable[[list[int]], int], limit: int = 400) -> tuple[list[int], bool]:
    """An answer as an engine makes it: what is forced, else what `choose` picks of the allowed ids; and whether it came to its end."""
    written: list[int] = []
    while len(written) < limit:
        ids = list(constraint.forced()) or [choose(constraint.allowed().tolist())]
        constraint.advance(ids)
        if ids[-1] == END:
            return written + ids[:-1], True
        written += ids
    return written, False


def check_values(answer: str, text: str, labels: list[str]) -> None:
    """Every label is answered in order, by parts of the text, none more often than it stands there."""
    lines = answer.split("\n")
    assert [line.startswith(f"{label}: ") for line, label in zip(lines, labels, strict=False)] == [True] * len(labels)
    assert lines[len(labels) :] in ([], [""])
    for line, label in zip(lines, labels, strict=False):
        values = line.removeprefix(f"{label}: ").split("\t")
        if values != [ABSENT]:
            for value in values:
                assert value and value == value.strip() and value in flat(text)
                assert values.count(value) <= flat(text).count(value)


@MANY
@given(text=TEXTS, labels=LABELS, seed=st.integers(0, 10**9), multiple=st.booleans())
@example(text="", labels=["姓名"], seed=0, multiple=True)
@example(text="aaaa", labels=["a", "b"], seed=1, multiple=True)
@example(text="None\tNone", labels=["a"], seed=5, multiple=True)
def test_a_random_writer_writes_only_parts_of_the_text(file: Path, text: str, labels: list[str], seed: int, multiple: bool) -> None:
    choices = random.Random(seed)
    written, ended = write(grounded(file, text, labels, multiple), choices.choice)
    if ended:
        answer = load_vocabulary(file).tokenizer.decode(written).text
        check_values(answer, text, labels)
        assert multiple or "\t" not in answer


@MANY
@given(text=TEXTS, labels=LABELS, data=st.data())
def test_right_answers_can_be_written_as_the_tokenizer_writes_them(file: Path, text: str, labels: list[str], data: st.DataObject) -> None:
    """Forced ids are the tokenizer's own: what an unconstrained model was trained to write is never barred."""
    plain = flat(text).strip()
    bounds = st.tuples(st.integers(0, len(plain)), st.integers(0, len(plain)))
    lines = []
    for label in labels:
        spans = data.draw(st.lists(bounds, max_size=3))
        values = list(dict.fromkeys(value for low, high in spans if (value := plain[min(low, high) : max(low, high)].strip())))
        lines.append(f"{label}: {chr(9).join(values) or ABSENT}\n")
    ids = [*load_vocabulary(file).tokenizer.encode("".join(lines)).ids, END]
    constraint = grounded(file, text, labels)
    at = 0
    while at < len(ids):
        following = list(constraint.forced()) or ids[at : at + 1]
        assert following == ids[at : at + len(following)]
        assert following[0] in constraint.allowed().tolist()
        constraint.advance(following)
        at += len(following)


@MANY
@given(text=TEXTS, labels=LABELS, seed=st.integers(0, 10**9))
def test_ids_can_be_taken_back(file: Path, text: str, labels: list[str], seed: int) -> None:
    choices = random.Random(seed)
    constraint, other = grounded(file, text, labels), grounded(file, text, labels)
    kept: list[int] = []
    for _ in range(6):
        tried, _ = write(constraint, choices.choice, limit=choices.randint(1, 8))
        count = choices.randint(0, len(tried))
        ended = constraint.allowed().tolist() == []
        constraint.rollback(len(tried) - count + ended)
        kept += tried[:count]
    other.advance(kept)
    assert constraint.allowed().tolist() == other.allowed().tolist() and constraint.forced() == other.forced()


def test_a_value_may_span_a_line_break_of_the_text(tokenizer_file: Path, tokenizer: TextTokenizer) -> None:
    constraint = grounded(tokenizer_file, "地点湖北省\n武汉\t市", ["地址"])
    constraint.advance(tokenizer.encode("地址: 湖北省武汉市").ids)
    assert tokenizer.encode("\n").ids[0] in constraint.allowed().tolist()


def test_a_value_is_repeated_only_as_often_as_it_stands_in_the_text(tokenizer_file: Path, tokenizer: TextTokenizer) -> None:
    newline, tab = tokenizer.encode("\n").ids[0], tokenizer.encode("\t").ids[0]
    constraint = grounded(tokenizer_file, "甲乙，甲乙", ["名"])
    constraint.advance(tokenizer.encode("名: 甲乙\t甲乙").ids)
    assert {newline, tab} <= set(constraint.allowed().tolist())
    constraint.rollback(1)  # 甲 alone stands there as often
    assert newline in constraint.allowed().tolist()
    constraint.advance([*tokenizer.encode("乙\t甲乙").ids])
    assert not {newline, tab, END} & set(constraint.allowed().tolist())
    constraint.advance(tokenizer.encode("，").ids)  # but a longer value may begin with it
    assert newline in constraint.allowed().tolist()


def test_nothing_is_left_to_repeat_when_every_part_of_the_text_was_used(tokenizer_file: Path, tokenizer: TextTokenizer) -> None:
    tab = tokenizer.encode("\t").ids[0]
    constraint = grounded(tokenizer_file, "甲乙", ["名"])
    constraint.advance(tokenizer.encode("名: 甲\t甲乙").ids)
    assert tab in constraint.allowed().tolist()
    constraint.advance(tokenizer.encode("\t乙").ids)
    assert tab not in constraint.allowed().tolist()


def test_a_label_with_one_value_at_most_gets_no_tab(tokenizer_file: Path, tokenizer: TextTokenizer) -> None:
    for multiple in (True, False):
        constraint = grounded(tokenizer_file, "甲，乙", ["名"], multiple)
        constraint.advance(tokenizer.encode("名: 甲").ids)
        assert (tokenizer.encode("\t").ids[0] in constraint.allowed().tolist()) is multiple


def test_a_blank_text_leaves_only_absent_values(file: Path) -> None:
    written, ended = write(grounded(file, " \n\t　", ["姓名", "年龄"]), min)
    assert ended and load_vocabulary(file).tokenizer.decode(written).text.strip("\n") == "姓名: None\n年龄: None"


def test_classes_are_written_whole_each_once(file: Path) -> None:
    choices = ("好评", "好", "None", "a: b", "(甲方)", "(甲方)x")  # some begin others
    source = GroundedClasses(choices, file, END)
    for seed in range(40):
        written, ended = write(source.start(), random.Random(seed).choice)
        pieces = load_vocabulary(file).tokenizer.decode(written).text.removesuffix("\n").split("\t")
        assert ended and set(pieces) <= set(choices) and len(set(pieces)) == len(pieces)


def test_a_tokenizer_that_is_replaced_is_read_anew(tokenizer_file: Path, merging_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(tokenizer_file.read_bytes())
    first = load_vocabulary(path)
    assert load_vocabulary(path) is first
    path.write_bytes(merging_file.read_bytes())
    os.utime(path, ns=(0, 0))
    assert load_vocabulary(path).ids == load_vocabulary(merging_file).ids != first.ids


def test_a_class_is_not_written_again_by_a_token_that_ends_the_line_too(merging_file: Path, merging: TextTokenizer) -> None:
    constraint = GroundedClasses(("(甲方)", "(甲方)x", "(甲方)y"), merging_file, END).start()
    constraint.advance(merging.encode("(甲方)\t(甲方").ids)
    assert [merging.pieces[index] for index in constraint.allowed().tolist()] == [b")"]
    assert b")\n" in merging.pieces.values(), "the test needs a tokenizer that merges `)` with a line break"


def test_sources_are_plain_data(tokenizer_file: Path) -> None:
    source = GroundedAnswer("张伟", ("姓名",), (True,), tokenizer_file, END)
    assert pickle.loads(pickle.dumps(source)) == source and len(pickle.dumps(source)) < 1000


@pytest.mark.parametrize("text", ["张伟，35岁，(全职) 120,000元\n上海云智科技", "None N No", "a\tb\nc  d", "𠮷㐂😀"])
def test_masks_are_those_of_llguidance(file: Path, text: str) -> None:
    """llguidance's parser, an independent implementation, on the same grammar; it has no limit on repeats, so first values are compared."""
    llguidance = pytest.importorskip("llguidance")
    labels = ["姓名", 'a"b']
    names = [json.dumps(f"{label}: ", ensure_ascii=False) for label in labels]
    whole = json.dumps(flat(text).strip(), ensure_ascii=False)
    grammar = (
        f'start: {names[0]} value "\\n" {names[1]} value NL?\nNL: "\\n"\nvalue: "None" | SPAN ("\\t" SPAN)*\n'
        f'SPAN: PART & /[^\\s]([^\\n\\t]*[^\\s])?/\nPART: %regex {{"substring_chars": {whole}}}\n'
    )
    tokenizer = llguidance.LLTokenizer(str(file), eos_token=END)
    compared = 0
    for seed in range(12):
        choices = random.Random(seed)
        theirs, ours = llguidance.LLMatcher(tokenizer, grammar), grounded(file, text, labels)
        assert not theirs.is_error(), theirs.get_error()
        while True:
            mask, allowed = theirs.compute_bitmask(), ours.allowed().tolist()
            bits = [index for index in range(tokenizer.vocab_size) if mask[index // 8] >> index % 8 & 1]
            # Where bytes are forced llguidance gives the one token it would write, not every way to write them.
            assert set(bits) <= set(allowed)
            if not ours.forced() and not theirs.compute_ff_bytes():
                assert bits == allowed
                compared += 1
            chosen = choices.choice(bits)
            if chosen == END or tokenizer.decode_bytes([chosen]) == b"\t":
                break
            assert theirs.consume_token(chosen)
            ours.advance([chosen])
    assert compared > 40


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """A small model with random weights: whatever it writes, values must be parts of the text."""
    return Engine.load(write_random_checkpoint(tmp_path_factory.mktemp("random"), hidden=64, heads=1, layers=1), dtype="fp32", device="cpu")


def check_extraction(result: Extraction, text: str) -> int:
    """Values are parts of the text and were found there; how many there are."""
    assert not result.malformed or result.truncated
    spans = [span for field in result.fields for span in field.spans]
    for span in spans:
        assert span.text in flat(text) and span.start is not None
        assert span.match == "approximate" or text[span.start : span.end] == span.text
        assert span.confidence is not None and 0 < span.confidence <= 1
    return len(spans)


def test_a_label_takes_several_values_unless_it_is_said_to_take_one(engine: Engine) -> None:
    labels = LabelSet((Label("甲"), Label("乙", multiple=True), Label("丙", multiple=False)))
    (request,) = Extractor(engine, grounded=True).prepare("张伟，李娜", labels).requests
    assert request.constraint
    constraint, tokenizer = request.constraint.start(), TextTokenizer.load(engine.checkpoint.tokenizer)
    several = []
    for name in labels.names:
        constraint.advance(tokenizer.encode(f"{name}: 张伟").ids)
        several.append(tokenizer.encode("\t").ids[0] in constraint.allowed().tolist())
        constraint.advance(tokenizer.encode("\n").ids)
    assert several == [True, True, False]


def test_a_text_is_given_no_label_that_was_not_asked(engine: Engine) -> None:
    for text in ("太慢了", "很好，很快", "None"):
        found = Extractor(engine, grounded=True).classify(text, "好评,差评,物流")
        assert set(found.labels) <= {"好评", "差评", "物流"} and found.problems == (), "a random model writes anything else"


def random_text(choices: random.Random) -> str:
    """One character of a word at least, so that the text is asked about."""
    characters = "".join(BITS) + "上海市浦东新区张江路12号abc"
    pieces = [choices.choice(BITS if choices.random() < 0.3 else characters) for _ in range(choices.randint(1, 40))]
    return "".join([*pieces, "字"])


def random_cases(engine: Engine, cases: int, seed: int) -> int:
    """Random texts and labels through the extractor, in batches; how many values came back."""
    choices = random.Random(seed)
    values = 0
    for first in range(0, cases, 50):
        extractor = Extractor(engine, grounded=True, max_new_tokens=choices.choice((6, 24, 48)))
        texts = [random_text(choices) for _ in range(min(50, cases - first))]
        names = choices.sample(["姓名", "a: b", "公司", '"', "None"], 2)
        labels = LabelSet(tuple(Label(name, multiple=choices.choice((None, True, False))) for name in names))
        for text, result in zip(texts, extractor.extract(texts, labels), strict=True):
            values += check_extraction(result, text)
    return values


def test_no_value_outside_the_text_in_random_cases(engine: Engine) -> None:
    assert random_cases(engine, 200, seed=1) > 60


def test_ranks_and_batches_write_the_same_grounded_answers(tmp_path: Path) -> None:
    """Every rank makes the constraint and the drafts of its own, from what travels in the request."""
    directory = write_random_checkpoint(tmp_path, hidden=128, heads=2, layers=1)
    texts = ["张伟，35岁，(全职)\n上海云智科技有限公司", "甲乙，甲乙", "𠮷㐂 None 120,000元"]
    found = []
    for options in ({"batch_size": 1}, {"batch_size": 3}, {"tensor_parallel": 2}):
        with Engine.load(directory, dtype="fp32", device="cpu", **options) as engine:
            results = Extractor(engine, grounded=True, max_new_tokens=40).extract(texts, "姓名,年龄")
        assert all(check_extraction(result, text) >= 0 for result, text in zip(results, texts, strict=True))
        found.append([result.raw for result in results])
    assert found[0] == found[1] == found[2]


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_no_value_outside_the_text_in_ten_thousand_random_cases(engine: Engine, tmp_path: Path) -> None:
    values = random_cases(engine, 8000, seed=2)
    for seed in (3, 4):  # other models
        with Engine.load(write_random_checkpoint(tmp_path / str(seed), seed=seed), dtype="fp32", device="cpu") as other:
            values += random_cases(other, 1000, seed)
    assert values > 5000
