"""Text survives the way to tokens and back byte for byte, and no text can write a special token."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from seqgpt_lab.errors import CheckpointError
from seqgpt_lab.extraction.tokenizer import TextTokenizer

SPECIAL = ("<unk>", "<s>", "</s>", "<pad>", "[GEN]")
ODD = st.sampled_from(
    ["\x00", "😀", "👨‍👩‍👧", "𠮷", "㐂", "\u3000", "\r\n", "\t", "\ufffd", "\ufeff", "é", "Ⅳ", "  ", "张伟", "(a)\n", "1,2", *SPECIAL]
)
TEXTS = st.lists(ODD | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), max_size=12).map("".join)
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ORDINARY = TEXTS.filter(lambda text: not any(word in text for word in SPECIAL))


@pytest.fixture(scope="module")
def peer(file: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_file=str(file))  # type: ignore[no-untyped-call]


@pytest.fixture
def changed(tokenizer_file: Path, tmp_path: Path) -> Callable[[Callable[[Any], Any]], Path]:
    """Writes the tokenizer's file anew after a change to its JSON."""

    def write(change: Callable[[Any], Any]) -> Path:
        found = json.loads(tokenizer_file.read_text(encoding="utf-8"))
        path = tmp_path / "tokenizer.json"
        path.write_text(json.dumps(change(found)), encoding="utf-8")
        return path

    return write


@QUICK
@given(text=TEXTS.filter(bool), more=TEXTS)
@example(text="张伟 (全职) ", more="李娜")
@example(text="a)", more="\n b")
def test_what_is_settled_stays_whatever_follows(either: TextTokenizer, text: str, more: str) -> None:
    encoding, settled = either.settle(text)
    seam = encoding.offsets[settled][0]
    assert [*encoding.ids[:settled], *either.encode(text[seam:] + more).ids] == either.encode(text + more).ids


@QUICK
@given(text=TEXTS, stretch=st.integers(8, 40))
@example(text="张伟，35岁\n" * 20, stretch=8)
def test_a_text_in_stretches_has_the_tokens_of_the_whole(either: TextTokenizer, text: str, stretch: int) -> None:
    encoding = either.encode(text)
    words: dict[int | None, set[int]] = {}
    for word, (start, end) in zip(encoding.word_ids, encoding.offsets, strict=True):
        words.setdefault(word, set()).update((start, end))
    assume(all(max(places) - min(places) < stretch for places in words.values()))
    runs = list(either.token_starts(text, stretch))
    assert [start for run in runs for start in run] == [start for start, _ in encoding.offsets]
    assert all(run[-1] - run[0] < stretch for run in runs if run) and (len(runs) > 1) == (len(text) > stretch)


def test_a_word_longer_than_a_stretch_is_cut_there(either: TextTokenizer) -> None:
    runs = list(either.token_starts("张" * 25, 10))
    assert [run[0] for run in runs] == [0, 10, 20] and runs[-1][-1] <= 24


@QUICK
@given(text=TEXTS)
@example(text="a\x00b😀𠮷</s>[GEN]\r\n")
def test_a_text_survives_the_way_there_and_back(either: TextTokenizer, text: str) -> None:
    assert either.decode(either.encode(text).ids).text == text


@QUICK
@given(text=TEXTS, word=st.sampled_from(SPECIAL), after=TEXTS)
def test_a_text_never_writes_a_special_token(either: TextTokenizer, text: str, word: str, after: str) -> None:
    ids = either.encode(text + word + after).ids
    assert not set(ids) & {0, 1, 2, 3, either.generate_id}


@QUICK
@given(text=ORDINARY)
def test_ids_of_ordinary_text_are_those_of_transformers(either: TextTokenizer, peer: PreTrainedTokenizerFast, text: str) -> None:
    assert either.encode(text).ids == peer(text, add_special_tokens=False)["input_ids"]


def test_generate_id_is_the_special_token(either: TextTokenizer, peer: PreTrainedTokenizerFast) -> None:
    assert either.generate_id == peer.convert_tokens_to_ids("[GEN]")


def test_special_and_unknown_ids_have_no_text(tokenizer: TextTokenizer) -> None:
    ids = tokenizer.encode("张伟").ids
    assert tokenizer.decode([1, ids[0], 3, 999_999, tokenizer.generate_id, ids[1], 2]).text == "张伟"


def test_bytes_that_are_no_character_are_marked_not_dropped(tokenizer: TextTokenizer) -> None:
    han = tokenizer.encode("𠮷").ids
    assert len(han) == 4
    text = tokenizer.decode([*tokenizer.encode("甲").ids, *han[:1], *tokenizer.encode("乙").ids]).text
    assert text == "甲\ufffd乙"


@QUICK
@given(text=TEXTS.filter(bool), data=st.data())
def test_offsets_and_tokens_of_agree_on_which_tokens_hold_which_characters(either: TextTokenizer, text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    encoding = either.encode(text)
    touching = [index for index, (begin, stop) in enumerate(encoding.offsets) if begin < end and stop > start]
    assert list(either.decode(encoding.ids).tokens_of(start, end)) == touching


@QUICK
@given(before=TEXTS, character=st.characters(exclude_categories=["Cs"]), after=TEXTS, junk=st.integers(1, 3))
def test_tokens_of_is_right_after_broken_bytes_and_special_tokens(
    tokenizer: TextTokenizer, before: str, character: str, after: str, junk: int
) -> None:
    broken = [*tokenizer.encode("𠮷").ids[:junk], *tokenizer.encode("。").ids, 3]
    wanted = tokenizer.encode(character).ids
    ids = [*tokenizer.encode(before).ids, *broken, *wanted, 3, *tokenizer.encode(after).ids]
    decoded = tokenizer.decode(ids)
    at = len(decoded.text) - len(after) - 1
    assert decoded.text[at] == character
    tokens = decoded.tokens_of(at, at + 1)
    assert ids[tokens.start : tokens.stop] == wanted


def test_a_token_that_crosses_an_edge_belongs_to_both_sides(merging: TextTokenizer) -> None:
    ids = merging.encode("x)\n").ids
    decoded = merging.decode(ids)
    assert len(ids) == 2, "the test needs a tokenizer that merges `)` with a line break"
    assert [*decoded.tokens_of(0, 2)] == [0, 1] and [*decoded.tokens_of(2, 3)] == [1]


def test_truncation_and_padding_left_in_the_file_do_not_apply(changed: Callable[[Callable[[Any], Any]], Path]) -> None:
    truncation = {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}
    padding = {
        "strategy": {"Fixed": 64},
        "direction": "Left",
        "pad_to_multiple_of": None,
        "pad_id": 3,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    loaded = TextTokenizer.load(changed(lambda found: found | {"truncation": truncation, "padding": padding}))
    ids = loaded.encode("一二三四五六七八九十").ids
    assert len(ids) == 10 and 3 not in ids


def test_a_plain_bloom_tokenizer_without_generate_token_is_refused(changed: Callable[[Callable[[Any], Any]], Path]) -> None:
    without = changed(lambda found: found | {"added_tokens": [token for token in found["added_tokens"] if token["content"] != "[GEN]"]})
    with pytest.raises(CheckpointError, match=r"no \[GEN\] token.*not a SeqGPT checkpoint"):
        TextTokenizer.load(without)


def test_a_tokenizer_of_another_kind_is_refused(changed: Callable[[Callable[[Any], Any]], Path]) -> None:
    def with_word(found: Any) -> Any:
        found["model"]["vocab"]["▁你好"] = 100_000
        return found

    with pytest.raises(CheckpointError, match="'▁你好' is not byte-level BPE"):
        TextTokenizer.load(changed(with_word))


@pytest.mark.parametrize("written", [b"", b"{", b"[]", b"null", b'{"version": "1.0"}', b"\xff\xfe\x00", "<html>没有</html>".encode()])
def test_a_corrupt_file_is_refused_with_its_name(tmp_path: Path, written: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(written)
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer\.json .*copy the one"):
        TextTokenizer.load(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"tokenizer\.json cannot be read: No such file"):
        TextTokenizer.load(tmp_path / "tokenizer.json")
