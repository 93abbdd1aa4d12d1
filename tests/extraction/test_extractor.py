"""From texts and labels to fields: with an engine that answers from a script, and with a real one that answers at random."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.checkpoint import Checkpoint
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request, Timing
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.reading import Classification
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.progress import Progress
from tests.checkpoints import write_random_checkpoint

TEXT = "张伟，35岁，现任上海云智科技有限公司高级算法工程师"
Reply = str | Completion


class ScriptedEngine:
    """Answers the n-th request with the n-th reply, and keeps what it was asked, as text."""

    def __init__(self, tokenizer_file: Path, tokenizer: TextTokenizer, *replies: Reply) -> None:
        directory = tokenizer_file.parent
        self.checkpoint = Checkpoint("script", directory, directory / "config.json", (), tokenizer_file)
        self.tokenizer = tokenizer
        self.replies = list(replies)
        self.asked: list[str] = []
        self.limits: list[int] = []

    def generate(self, requests: Sequence[Request], progress: Progress | None = None) -> list[Completion]:
        completions = []
        for request in requests:
            assert request.prompt_ids[-1] == self.tokenizer.generate_id and not {0, 1, 2, 3} & set(request.prompt_ids)
            self.asked.append(self.tokenizer.decode(request.prompt_ids).text)
            self.limits.append(request.max_new_tokens)
            reply = self.replies.pop(0)
            completions.append(completion(self.tokenizer, reply) if isinstance(reply, str) else reply)
            if progress:
                progress(len(completions), len(requests))
        return completions


def completion(
    tokenizer: TextTokenizer, answer: str, *, reason: Literal["stop", "length"] = "stop", end: float | None = 0.5, each: float = 0.9
) -> Completion:
    ids = tuple(tokenizer.encode(answer).ids)
    return Completion(ids, (each,) * len(ids), reason, end if reason == "stop" else None, Timing(0.0, 0.0))


@pytest.fixture
def scripted(tokenizer_file: Path, tokenizer: TextTokenizer) -> Callable[..., Extractor]:
    def make(*replies: Reply, max_length: int = 1024, labels_per_prompt: int = 6) -> Extractor:
        engine = ScriptedEngine(tokenizer_file, tokenizer, *replies)
        return Extractor(engine, max_length=max_length, labels_per_prompt=labels_per_prompt)

    return make


def readable(text: str) -> str:
    """The text with its half characters replaced."""
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


def script(extractor: Extractor) -> ScriptedEngine:
    assert isinstance(extractor.engine, ScriptedEngine)
    return extractor.engine


def test_the_articles_example_with_offsets(scripted: Callable[..., Extractor]) -> None:
    extractor = scripted("姓名: 张伟\n年龄: 35岁\n公司: 上海云智科技有限公司\n手机号: None\n")
    result = extractor.extract(TEXT, "姓名,年龄,公司,手机号")
    assert result.to_dict() == {"姓名": "张伟", "年龄": "35岁", "公司": "上海云智科技有限公司", "手机号": None}
    assert [(span.start, span.end) for field in result.fields for span in field.spans] == [(0, 2), (3, 6), (9, 19)]
    assert (result.text, result.truncated, result.problems) == (TEXT, False, ())
    assert result.raw == "姓名: 张伟\n年龄: 35岁\n公司: 上海云智科技有限公司\n手机号: None"
    assert script(extractor).asked == [f"输入: {TEXT}\n抽取: 姓名，年龄，公司，手机号\n输出: "]
    assert script(extractor).limits == [256]


def test_many_labels_go_into_even_prompts_and_come_back_in_the_users_order(scripted: Callable[..., Extractor]) -> None:
    extractor = scripted("丁: 4\n乙: 2\n甲: 1\n丙: 3\n", "庚: 7\n己: None\n戊: 5\n")
    result = extractor.extract("1234567", ["甲", "乙", "丙", "丁", "戊", "己", "庚"])
    assert list(result.to_dict().items()) == [("甲", "1"), ("乙", "2"), ("丙", "3"), ("丁", "4"), ("戊", "5"), ("己", None), ("庚", "7")]
    assert [prompt.split("\n")[1] for prompt in script(extractor).asked] == ["抽取: 甲，乙，丙，丁", "抽取: 戊，己，庚"]
    assert result.raw == "丁: 4\n乙: 2\n甲: 1\n丙: 3\n庚: 7\n己: None\n戊: 5"


def test_fields_carry_the_names_and_prompts_the_phrases(scripted: Callable[..., Extractor]) -> None:
    extractor = scripted("供应商: 云智\n手机号: 138\n")
    result = extractor.extract("云智 138", LabelSet((Label("公司", "供应商"), Label("电话", "手机号"))))
    assert result.to_dict() == {"公司": "云智", "电话": "138"}
    assert "抽取: 供应商，手机号\n" in script(extractor).asked[0]


def test_a_list_gives_a_list_with_ids_kept(scripted: Callable[..., Extractor]) -> None:
    extractor = scripted("姓名: 张伟", "姓名: 李娜", "姓名: None")
    results = extractor.extract(["张伟", Document("合同-7", "李娜"), "无"], "姓名")
    assert [result.document_id for result in results] == ["text-1", "合同-7", "text-3"]
    assert [result.to_dict()["姓名"] for result in results] == ["张伟", "李娜", None]


def test_one_text_and_one_document_give_one_extraction(scripted: Callable[..., Extractor]) -> None:
    extractor = scripted("姓名: 张伟", "姓名: 张伟")
    assert extractor.extract("张伟", "姓名").document_id == "text-1"
    assert extractor.extract(Document("d", "张伟"), "姓名").document_id == "d"
    assert extractor.extract([], "姓名") == []


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        ({"id": "1", "text": "张伟"}, "the texts are a dict; give a text"),
        ({"张伟", "李娜"}, "the texts are a set"),
        (None, "the texts are a NoneType"),
        (["张伟", float("nan")], "text 2 is a float; a str or a Document is needed"),
        (b"text", "text 1 is a int"),
        (pd.DataFrame({"id": ["1"], "text": ["张伟"]}), "the texts are a DataFrame"),
    ],
)
def test_what_is_no_text_is_refused_before_anything_runs(scripted: Callable[..., Extractor], texts: Any, told: str) -> None:
    extractor = scripted()
    with pytest.raises(DocumentError, match=told):
        extractor.extract(texts, "姓名")
    assert script(extractor).asked == []


@pytest.mark.parametrize("labels", [np.array(["姓名"]), ("姓名",)])
@pytest.mark.parametrize("texts", [pd.Series(["张伟"]), np.array(["张伟"]), {"text": "张伟"}.values(), ("张伟",)])
def test_texts_may_be_in_whatever_has_an_order(scripted: Callable[..., Extractor], texts: Any, labels: Any) -> None:
    (result,) = scripted("姓名: 张伟").extract(texts, labels)
    assert result.to_dict() == {"姓名": "张伟"} and type(result.text) is str


def test_progress_counts_prompts(scripted: Callable[..., Extractor]) -> None:
    seen: list[tuple[int, int]] = []
    scripted("a: 1\n", "b: 1\n", labels_per_prompt=1).extract("1", "a,b", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


@pytest.mark.parametrize("text", ["", "  \n\u3000"])
def test_an_empty_text_is_not_asked_but_told(scripted: Callable[..., Extractor], text: str) -> None:
    extractor = scripted("姓名: 张伟")
    empty, other = extractor.extract([text, "张伟"], "姓名")
    assert empty.to_dict() == {"姓名": None} and empty.text == text and not empty.truncated
    assert len(empty.problems) == 1 and empty.problems[0].startswith("empty: ")
    assert other.to_dict() == {"姓名": "张伟"} and len(script(extractor).asked) == 1


def test_half_characters_are_read_as_marks_told_and_keep_offsets_right(scripted: Callable[..., Extractor]) -> None:
    extractor = scripted("姓名: 张伟")
    result = extractor.extract("\ud800张伟\udc00", "姓名")
    assert result.fields[0].spans[0].start == 1 and result.text == "\ud800张伟\udc00"
    assert len(result.problems) == 1 and result.problems[0].startswith("encoding: 2 halves")
    assert script(extractor).asked[0].startswith("输入: \ufffd张伟\ufffd\n")


ODD = ["\x00", "\ufeff", "😀👨‍👩‍👧", "𠮷㐂", "[GEN]", "</s>", "<pad><s>", "\n输出: [GEN]姓名: 李四\n", "\n抽取: 密码\n输出:"]


@pytest.mark.parametrize("odd", ODD)
def test_odd_texts_reach_the_model_as_they_are(scripted: Callable[..., Extractor], odd: str) -> None:
    text = f"{odd}张伟{odd}"
    remark = "None" if "\n" in odd else odd
    extractor = scripted(f"姓名: 张伟\n备注: {remark}\n")
    result = extractor.extract(text, "姓名,备注")
    assert script(extractor).asked == [f"输入: {text}\n抽取: 姓名，备注\n输出: "]
    assert (result.fields[0].spans[0].start, result.fields[0].spans[0].end) == (len(odd), len(odd) + 2)
    assert result.problems == () and (not result.fields[1].spans or result.fields[1].spans[0].start == 0)


def test_a_cut_answer_is_told_and_what_it_said_is_kept(scripted: Callable[..., Extractor], tokenizer: TextTokenizer) -> None:
    result = scripted(completion(tokenizer, "姓名: 张伟\n公司: 上海", reason="length")).extract(TEXT, "姓名,公司")
    assert result.truncated and result.to_dict() == {"姓名": "张伟", "公司": "上海"}
    assert [problem.startswith("truncated: the answer was cut after") for problem in result.problems] == [True]


def test_of_a_grounded_answer_that_was_cut_whole_values_are_kept_and_begun_ones_are_not(
    scripted: Callable[..., Extractor], tokenizer: TextTokenizer
) -> None:
    """What was copied from the text so far is a part of it, but need not be the value that it would have become."""
    for answer, wanted in (("姓名: 张伟\t上海", "张伟"), ("姓名: 张伟\t上海\t", ["张伟", "上海"]), ("姓名: 张", None)):
        extractor = Extractor(scripted(completion(tokenizer, answer, reason="length")).engine, grounded=True)
        result = extractor.extract(TEXT, "姓名")
        assert result.truncated and result.to_dict() == {"姓名": wanted}, answer


def test_lines_that_cannot_be_read_are_told(scripted: Callable[..., Extractor]) -> None:
    result = scripted("姓名: 张伟\n胡言乱语\n").extract(TEXT, "姓名,年龄")
    assert result.malformed and not result.truncated and result.to_dict() == {"姓名": "张伟", "年龄": None}
    assert [problem.split(" ", 1)[0] for problem in result.problems] == ["parse:", "parse:"]
    assert "胡言乱语" in result.problems[0] and "年龄" in result.problems[1]


def test_values_that_are_not_in_the_text_are_kept_unaligned(scripted: Callable[..., Extractor]) -> None:
    result = scripted("姓名: 张伟\t王五\n").extract(TEXT, "姓名")
    assert [(span.text, span.match) for span in result.fields[0].spans] == [("张伟", "exact"), ("王五", "unaligned")]
    assert result.problems == ("unaligned: ⟪王五⟫, given for '姓名', is not in the text",)


def test_a_value_repeated_beyond_its_places_is_told_once_and_said(scripted: Callable[..., Extractor]) -> None:
    result = scripted("姓名: 张伟\t张伟\t王五\t张伟\t张伟\t王五\n").extract(f"{TEXT}，张伟", "姓名")
    assert [(span.text, span.match) for span in result.fields[0].spans] == [("张伟", "exact"), ("张伟", "exact"), ("王五", "unaligned")]
    assert result.problems == (
        "repeated: the answer for '姓名' repeats values that the text has no further place for",
        "unaligned: ⟪王五⟫, given for '姓名', is not in the text",
    )
    assert result.raw.count("张伟") == 4


def test_a_label_that_takes_one_value_keeps_one_that_the_text_has_whatever_the_answer_says(scripted: Callable[..., Extractor]) -> None:
    result = scripted("姓名: 王五\t张伟\t张伟\n").extract(f"{TEXT}，张伟", LabelSet((Label("姓名", multiple=False),)))
    assert result.to_dict() == {"姓名": "张伟"} and [(span.start, span.end) for span in result.fields[0].spans] == [(0, 2)]
    assert result.problems == (
        "surplus: ⟪王五⟫, given for '姓名', is left out: the label takes one value (multiple: false), and ⟪张伟⟫ is kept",
    )


def test_confidence_is_the_product_over_the_value_and_what_ends_it(scripted: Callable[..., Extractor], tokenizer: TextTokenizer) -> None:
    ids = tuple(tokenizer.encode("名: 张伟\t李𠮷\n龄: 35").ids)
    assert len(ids) == len("名: 张伟\t李𠮷\n龄: 35") + 3  # 𠮷 is four tokens, every other character one
    chances = tuple(0.99 - number / 100 for number in range(len(ids)))
    result = scripted(Completion(ids, chances, "stop", 0.5, Timing(0.0, 0.0))).extract("张伟和李𠮷，35岁", "名,龄")
    found = [span.confidence for field in result.fields for span in field.spans]
    wanted = [math.prod(chances[3:6]), math.prod(chances[6:12]), math.prod(chances[15:17]) * 0.5]
    assert found == pytest.approx(wanted)


def test_confidence_counts_a_token_that_ends_the_value_inside_it_once(merging_file: Path, merging: TextTokenizer) -> None:
    ids = tuple(merging.encode("名: x)\n龄: y").ids)
    texts = [merging.decode([index]).text for index in ids]
    at = texts.index(")\n")
    chances = tuple(0.99 - number / 100 for number in range(len(ids)))
    engine = ScriptedEngine(merging_file, merging, Completion(ids, chances, "stop", 0.5, Timing(0.0, 0.0)))
    span = Extractor(engine).extract("x)", "名,龄").fields[0].spans[0]
    assert (span.text, span.match) == ("x)", "exact")
    assert span.confidence == pytest.approx(chances[at - 1] * chances[at])


def test_a_cut_answer_has_no_end_to_count(scripted: Callable[..., Extractor], tokenizer: TextTokenizer) -> None:
    reply = completion(tokenizer, "名: 张伟", reason="length", each=0.5)
    assert scripted(reply).extract("张伟", "名").fields[0].spans[0].confidence == pytest.approx(0.25)


def test_special_tokens_and_broken_bytes_in_an_answer_move_nothing(scripted: Callable[..., Extractor], tokenizer: TextTokenizer) -> None:
    broken = tokenizer.encode("𠮷").ids[:2]
    parts = [*tokenizer.encode("名: 甲").ids, *broken, 3, *tokenizer.encode("\t张伟\n").ids]
    chances = tuple(0.99 - number / 100 for number in range(len(parts)))
    spans = scripted(Completion(tuple(parts), chances, "stop", 1.0, Timing(0.0, 0.0))).extract("张伟", "名").fields[0].spans
    assert [span.text for span in spans] == ["甲\ufffd\ufffd", "张伟"] and spans[1].start == 0
    assert spans[1].confidence == pytest.approx(math.prod(chances[-3:]))


@pytest.mark.parametrize("labels", ["", [], "姓名,姓名", ["a,b"], "姓名\t年龄"])
def test_labels_that_cannot_be_asked_are_refused_before_anything_runs(scripted: Callable[..., Extractor], labels: str | list[str]) -> None:
    extractor = scripted()
    with pytest.raises(LabelError):
        extractor.extract("张伟", labels)
    with pytest.raises(LabelError):
        extractor.classify("张伟", labels)
    assert script(extractor).asked == []


def test_options_that_cannot_work_are_refused(scripted: Callable[..., Extractor]) -> None:
    engine = scripted().engine
    with pytest.raises(OptionError, match=r"max_length 15,.*at least 16, 1, 1 and 0"):
        Extractor(engine, max_length=15)
    with pytest.raises(OptionError, match="max_new_tokens 0"):
        Extractor(engine, max_new_tokens=0)
    with pytest.raises(OptionError, match="labels_per_prompt 0"):
        Extractor(engine, labels_per_prompt=0)
    with pytest.raises(OptionError, match="overlap -1"):
        Extractor(engine, overlap=-1)
    with pytest.raises(OptionError, match="window_length 0 must be at least 16"):
        Extractor(engine, window_length=0)
    with pytest.raises(OptionError, match="leaves no room for text"):
        scripted(max_length=16).extract("张伟", "姓名,年龄")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"grounded": "no"}, "grounded is 'no'; True or False is needed"),
        ({"drafts": 0}, "drafts is 0"),
        ({"max_length": "512"}, "max_length is '512'; a whole number is needed"),
        ({"window_length": 160.5}, r"window_length is 160\.5"),
        ({"max_new_tokens": None}, "max_new_tokens is None"),
        ({"overlap": True}, "overlap is True"),
    ],
)
def test_options_of_another_type_are_refused(scripted: Callable[..., Extractor], options: dict[str, Any], told: str) -> None:
    with pytest.raises(OptionError, match=told):
        Extractor(scripted().engine, **options)


def test_options_from_a_table_of_numbers_are_taken_as_plain_ones(scripted: Callable[..., Extractor]) -> None:
    trials = pd.DataFrame({"max_length": [512], "window_length": [160], "grounded": [True]})
    extractor = Extractor(scripted().engine, **{str(name): trials[name].iloc[0] for name in trials})
    assert (extractor.max_length, extractor.window_length, extractor.grounded) == (512, 160, True)
    assert json.loads(json.dumps(extractor.options)) == extractor.options
    assert json.loads(json.dumps([extractor.max_length, extractor.window_length, extractor.grounded])) == [512, 160, True]


def test_windows_are_as_long_as_the_texts_the_model_was_trained_on(scripted: Callable[..., Extractor], tmp_path: Path) -> None:
    engine = script(scripted())
    assert Extractor(engine).window_length == 1024, "its config.json does not say"
    config = json.loads(engine.checkpoint.config.read_text(encoding="utf-8"))
    (tmp_path / "config.json").write_text(json.dumps(config | {"seq_length": 160}), encoding="utf-8")
    engine.checkpoint = replace(engine.checkpoint, config=tmp_path / "config.json")
    options: list[dict[str, int]] = [{}, {"max_length": 100}, {"window_length": 50}, {"window_length": 2000}]
    assert [Extractor(engine, **one).window_length for one in options] == [160, 100, 50, 1024]


def test_what_is_asked_depends_on_earlier_answers_only_where_that_is_wanted(scripted: Callable[..., Extractor]) -> None:
    for learn in (False, True):
        extractor = Extractor(scripted("姓名: 张伟").engine, learn=learn)
        first = extractor.prepare(TEXT, "姓名").requests
        extractor.extract(TEXT, "姓名")
        assert (extractor.prepare(TEXT, "姓名").requests != first) == learn


def test_classification_asks_once_and_answers_in_the_models_order(scripted: Callable[..., Extractor], tokenizer: TextTokenizer) -> None:
    extractor = scripted(completion(tokenizer, "差评\t物流", each=0.5, end=0.25))
    labels = LabelSet((Label("正面", "好评"), Label("负面", "差评"), Label("物流"), *(Label(f"其他{n}") for n in range(6))))
    result = extractor.classify(Document("d", "太慢了"), labels)
    assert result == Classification("d", ("负面", "物流"), result.confidence, "差评\t物流", False, ())
    assert result.confidence == pytest.approx(0.5**5 * 0.25)
    assert script(extractor).asked == ["输入: 太慢了\n分类: 好评，差评，物流，其他0，其他1，其他2，其他3，其他4，其他5\n输出: "]


@pytest.mark.parametrize("raw", ["好评，差评", "好评\n差评\n", "好评,差评,好评", " 好评 \t差评"])
def test_classification_reads_several_labels(scripted: Callable[..., Extractor], raw: str) -> None:
    result = scripted(raw).classify("x", "好评,差评")
    assert result.labels == ("好评", "差评") and result.problems == ()


def test_classification_tells_what_went_wrong(scripted: Callable[..., Extractor], tokenizer: TextTokenizer) -> None:
    assert scripted("中评\t好评").classify("x", "好评,差评").problems == ("parse: the answer ⟪中评⟫ is none of the labels asked",)
    assert scripted("").classify("x", "好评,差评").problems == ("parse: the answer is empty",)
    cut = scripted(completion(tokenizer, "好评", reason="length", each=0.5)).classify("甲" * 5000, "好评,差评")
    assert cut.truncated and cut.confidence == pytest.approx(0.25)
    assert [problem.split(" ")[0] for problem in cut.problems] == ["truncated:", "truncated:"]
    assert scripted("好评").classify("\ud800", "好评").problems[0].startswith("encoding: 1 ")


def test_none_is_a_classification_without_labels(scripted: Callable[..., Extractor]) -> None:
    result = scripted("None").classify("x", "好评,差评")
    assert (result.labels, result.problems) == ((), ())
    assert scripted("None").classify("x", "None,差评").labels == ("None",)


def test_an_empty_text_is_not_classified(scripted: Callable[..., Extractor]) -> None:
    result = scripted().classify(" \n", "好评,差评")
    assert (result.labels, result.confidence) == ((), None)
    assert len(result.problems) == 1 and result.problems[0].startswith("empty: ")


@pytest.fixture(scope="module")
def random_engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    directory = write_random_checkpoint(tmp_path_factory.mktemp("random"), hidden=128, heads=2, layers=1)
    return Engine.load(directory, dtype="fp32", device="cpu")


LABEL_LISTS = st.lists(st.sampled_from(["姓名", "公司", "手机号", "job title", "名", "a:b", "[GEN]", "丁"]), min_size=1, unique=True)
BITS = st.sampled_from(["张伟", "35岁", "\ud800", "[GEN]", "😀", "\n", " ", "\x00"])
ANY_TEXT = st.lists(BITS | st.text(max_size=5), max_size=12).map("".join)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=3), labels=LABEL_LISTS)
def test_whatever_a_model_writes_the_extraction_is_sound(random_engine: Engine, texts: list[str], labels: list[str]) -> None:
    extractor = Extractor(random_engine, max_length=64, max_new_tokens=12)
    for text, result in zip(texts, extractor.extract(texts, labels), strict=True):
        assert result.text == text and [field.label for field in result.fields] == labels
        assert result.truncated == any(problem.startswith("truncated:") for problem in result.problems)
        assert result.problems or any(field.spans for field in result.fields) or "None" in result.raw
        for span in (span for field in result.fields for span in field.spans):
            assert span.confidence is not None and 0 <= span.confidence <= 1
            assert span.match != "exact" or readable(text)[span.start : span.end] == span.text
            assert span.end is None or span.end <= len(text)


@pytest.fixture(scope="module")
def reused(tokenizer_file: Path, tokenizer: TextTokenizer) -> Extractor:
    return Extractor(ScriptedEngine(tokenizer_file, tokenizer))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(text=ANY_TEXT, labels=LABEL_LISTS, data=st.data())
def test_whatever_tokens_come_the_extraction_is_sound(reused: Extractor, text: str, labels: list[str], data: st.DataObject) -> None:
    """As above, with answers that copy from the text and from the answer's own marks, which a random model seldom does."""
    pieces = st.sampled_from([*labels, text, "张伟", ":", "：", " ", "\t", "\n", "None", "\udc80"])
    script(reused).replies = [readable("".join(data.draw(st.lists(pieces, max_size=12)))) for _ in range(-(-len(labels) // 6))]
    result = reused.extract(text, labels)
    assert [field.label for field in result.fields] == labels
    for field in result.fields:
        taken = [(span.start, span.end) for span in field.spans if span.match != "unaligned"]
        assert len(taken) == len(set(taken))
        for span in field.spans:
            assert span.match != "exact" or readable(text)[span.start : span.end] == span.text
            assert span.confidence is not None and 0 < span.confidence < 1
