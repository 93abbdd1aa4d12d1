"""The preprocessing study on an engine that follows a rule, and what noise does to documents and their gold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.embedded.corpus.noise import apply
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.evaluation.evaluate import evaluate
from seqgpt_lab.evaluation.significance import holm
from seqgpt_lab.evaluation.verdict import Settings
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.studies.noisy import NOISE_NAMES, carried, read_pages, with_noise
from seqgpt_lab.studies.preprocessing import combine, judged_together, study_preprocessing
from tests.checkpoints import write_random_checkpoint
from tests.studies.scripted import RuledEngine

QUICK = Settings(resamples=500)
LABELS = LabelSet.of("公司,金额")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return find_checkpoint(write_random_checkpoint(tmp_path_factory.mktemp("model"), layers=1))


def documents(number: int) -> list[Document]:
    made = []
    for at in range(number):
        text = f"编号{at}\n公司【云\n智】，付5,300元。"
        gold = [Entity(label, text.index(value), text.index(value) + len(value), value) for label, value in GOLD.items()]
        made.append(Document(f"d{at}", text, tuple(gold)))
    return made


GOLD = {"公司": "云\n智", "金额": "5,300元"}


def reads_brackets(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
    """Takes what stands in brackets for the company, up to the line's end; without them it takes the mark after it along."""
    if phrase == "金额":
        return ["5,300元"] if "5,300元" in text else ["5300元"]
    inside = text.partition("【")[2].partition("】")[0].split("\n")
    return [inside[0]] if inside[0] else ["智，"]


def test_steps_are_judged_with_places_in_the_original_and_their_mistakes_are_named(checkpoint: Checkpoint) -> None:
    engine, asked = RuledEngine(checkpoint, reads_brackets), documents(12)
    steps = ["join_lines", "remove_brackets", "remove_punctuation", "email_quoting"]
    study = study_preprocessing(Extractor(engine), asked, LABELS, combine(steps), settings=QUICK)
    frame = study.frame().set_index("steps")
    # As it is, the value is cut at its line end; joined it is whole, and its place holds the line break again.
    assert frame["micro_f1"].tolist()[:2] == [0.5, 1.0] and frame.loc["join_lines", "real"]
    assert study.evaluations[("join_lines",)].extractions[0].fields[0].spans[0].text == "云\n智"
    assert study.evaluations[("remove_punctuation",)].extractions[0].fields[1].spans[0].text == "5,300元"
    mistakes = study.mistake_frame().set_index("steps")
    assert mistakes.loc["as it is", "too short"] == 12 and mistakes.loc["join_lines", "too short"] == -12
    # Without brackets it takes 智】， of the original, which sticks out of the value: another mistake than before.
    assert mistakes.loc["remove_brackets", ["too short", "too long"]].tolist() == [-12, 12]
    assert study.new_mistakes(("remove_brackets",), 1).iloc[0]["predicted"] == "智】，"
    assert study.verdicts[study.costliest].difference == min(one.difference for one in study.verdicts.values()) < 0.5
    assert len(study.new_mistakes(("remove_brackets",))) == 12 and study.new_mistakes(("email_quoting",)).empty
    assert frame.loc["email_quoting", "changed"] == 0 and frame.loc["email_quoting", "difference"] == 0.0
    # Texts that a combination leaves alone are not read twice.
    assert study.read == len(engine.asked) == 12 * 5
    assert "has a higher micro F1 than 'as it is'" in str(study.about()).replace("\\", "")
    assert json.loads(json.dumps(study.to_dict()))["combinations"][1]["steps"] == ["join_lines"]


def test_without_steps_the_scores_are_those_of_evaluate(checkpoint: Checkpoint) -> None:
    extractor, asked = Extractor(RuledEngine(checkpoint, reads_brackets)), documents(3)
    study = study_preprocessing(extractor, asked, LABELS, [("full_width",)], settings=QUICK)
    assert study.evaluations[()].scores == evaluate(extractor, asked, LABELS).scores


def test_studies_of_the_same_documents_under_several_noises_are_corrected_together(checkpoint: Checkpoint) -> None:
    engine = RuledEngine(checkpoint, reads_brackets)
    steps = combine(["join_lines", "remove_brackets"])
    apart = {
        noise: study_preprocessing(Extractor(engine), with_noise(documents(8), noise), LABELS, steps, settings=QUICK)
        for noise in ("none", "half_width")
    }
    asked = len(engine.asked)
    found = judged_together(apart)
    assert len(engine.asked) == asked and judged_together({}) == {}
    verdicts = [(noise, steps, verdict) for noise, study in found.items() for steps, verdict in study.verdicts.items()]
    assert [verdict.comparisons for _, _, verdict in verdicts] == [6] * 6
    alone = [apart[noise].verdicts[steps] for noise, steps, _ in verdicts]
    assert [verdict.adjusted_p for _, _, verdict in verdicts] == list(holm([one.p_value for one in alone]))
    assert [one.comparisons for one in alone] == [3] * 6 and found["none"].evaluations is apart["none"].evaluations
    assert "correction for 6 comparisons" in str(found["none"].about_costliest())
    other = study_preprocessing(Extractor(engine), documents(8), LABELS, steps, metric="macro_f1", settings=QUICK)
    with pytest.raises(OptionError, match="'macro_f1', 'micro_f1'"):
        judged_together({"a": apart["none"], "b": other})


def test_combinations_are_each_alone_some_together_and_all() -> None:
    assert combine(["join_lines", "simplified", "half_width"]) == [
        ("join_lines",),
        ("simplified",),
        ("half_width",),
        ("join_lines", "simplified", "half_width"),
    ]
    assert len(combine(["join_lines", "simplified", "half_width"], together=2)) == 3 + 3 + 1
    assert combine(["join_lines"]) == [("join_lines",)]


def test_bad_input_is_refused_before_the_model_is_asked(checkpoint: Checkpoint) -> None:
    engine = RuledEngine(checkpoint, reads_brackets)
    for wrong in ([], [()], [("simplified",), ("simplified",)], [("upper",)]):
        with pytest.raises(OptionError):
            study_preprocessing(Extractor(engine), documents(3), LABELS, wrong)
    with pytest.raises(OptionError):
        combine(["simplified"], together=0)
    with pytest.raises(OptionError, match="there are none, half_width"):
        with_noise(documents(2), "smudge")
    for too_few in ([], documents(1)):
        with pytest.raises(DocumentError, match="wanted at least 2"):
            study_preprocessing(Extractor(engine), too_few, LABELS, [("simplified",)])
    # Nothing could differ where no value counts, and the study would say that no step matters.
    with pytest.raises(LabelError, match=r"the documents have gold for ⟪.*公司.*⟫, the labels ask for"):
        study_preprocessing(Extractor(engine), documents(3), LabelSet.of("单位"), [("simplified",)])
    with pytest.raises(DocumentError, match="none of the 3 documents has gold, so nothing can be scored"):
        study_preprocessing(Extractor(engine), [replace(one, gold=()) for one in documents(3)], LABELS, [("simplified",)])
    assert not engine.asked


def test_gold_that_is_not_asked_for_and_fields_without_gold_are_told(checkpoint: Checkpoint) -> None:
    extractor = Extractor(RuledEngine(checkpoint, reads_brackets))
    study = study_preprocessing(extractor, documents(3), LabelSet.of("公司,日期"), [("simplified",)], settings=QUICK)
    assert "gold for 日期: every value given there counts as wrong" in str(study.about()).replace("\\", "")
    assert "No label asks for 金额" in study.to_dict()["notes"][1]


@pytest.mark.parametrize("noise", [name for name in NOISE_NAMES if name != "ocr"])
def test_synthetic_noise_is_the_same_each_time_and_keeps_gold_in_its_place(noise: str) -> None:
    noisy = with_noise(documents(6), noise, seed=3)
    assert noisy == with_noise(documents(6), noise, seed=3)
    assert all(one.text[entity.start : entity.end] == entity.text for one in noisy for entity in one.gold)
    assert noise == "none" or all(one.meta["noise"] == noise for one in noisy)


@settings(deadline=None, max_examples=150)
@given(text=st.text("张伟甲乙 \n123", min_size=1, max_size=15), read=st.text("张伟甲乙 \n1l3", max_size=15))
def test_gold_is_carried_into_whatever_was_read(text: str, read: str) -> None:
    before, replaced = carried(text, read)
    assert "".join(front + core for front, core in zip(before, replaced, strict=True)) == read
    moved = apply(Document("d", text, tuple(Entity("A", at, at + 1, text[at]) for at in range(len(text)))), (before, replaced))
    assert all(moved.text[entity.start : entity.end] == entity.text for entity in moved.gold)


def test_pages_are_read_by_whatever_engine_there_is() -> None:
    sizes = []

    def misread(page: object) -> str:
        sizes.append(page.shape)  # type: ignore[attr-defined]
        return "编号0 公司【云智】，付5,3O0元"

    (found,) = read_pages(documents(1), misread)
    assert [entity.text for entity in found.gold] == ["云智", "5,3O0元"] and found.meta["noise"] == "ocr"
    assert sizes[0][2] == 3 and sizes[0][1] > sizes[0][0]


@pytest.mark.full
def test_a_real_ocr_engine_reads_a_page_and_gold_follows() -> None:
    pytest.importorskip("rapidocr")
    text = "供应商：上海云智科技有限公司，合同金额：128,000元，签订日期：2024年5月9日。"
    gold = tuple(Entity("公司", text.index(value), text.index(value) + len(value), value) for value in ("上海云智科技有限公司",))
    (found,) = with_noise([Document("d", text, gold)], "ocr")
    assert found.gold[0].text.replace("\n", "") == "上海云智科技有限公司"
