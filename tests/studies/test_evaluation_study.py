from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.documents import Document, Entity, write_jsonl
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.evaluation.evaluate import evaluate, score
from seqgpt_lab.evaluation.outcome_file import read_outcomes
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.progress import Progress
from seqgpt_lab.studies.evaluate_kinds import evaluate_kinds, journaled
from seqgpt_lab.studies.evaluation_study import EvaluationStudy
from seqgpt_lab.studies.sources import Source
from tests.checkpoints import write_random_checkpoint


class Scripted:
    """Answers each document with the values at these offsets, a label each."""

    def __init__(self, answers: dict[str, dict[str, list[tuple[int, int]]]]) -> None:
        self.answers = answers

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        return [self._one(document, labels) for document in documents]

    def _one(self, document: Document, labels: LabelSet) -> Extraction:
        given = self.answers[document.id]
        spans = {label: tuple(Span(document.text[start:end], start, end) for start, end in given.get(label, [])) for label in labels.names}
        return Extraction(document.id, document.text, tuple(Field(label, spans[label]) for label in labels.names))


def document(name: str, text: str, *gold: tuple[str, int, int]) -> Document:
    return Document(name, text, tuple(Entity(label, start, end, text[start:end]) for label, start, end in gold))


@pytest.fixture
def study() -> EvaluationStudy:
    """Two kinds: one of two documents with one value missed and one wrong, one of a single document that is right."""
    resumes = [document("r1", "张伟，<b>公司", ("姓名", 0, 2)), document("r2", "李娜在云智", ("姓名", 0, 2), ("公司", 3, 5))]
    answers = {"r1": {"姓名": [(0, 2)]}, "r2": {"公司": [(2, 5)]}}
    notices = [document("n1", "周五开会", ("日期", 0, 2))]
    return EvaluationStudy(
        {
            "resume": evaluate(Scripted(answers), resumes, LabelSet.of("姓名,公司")),
            "meeting_notice": evaluate(Scripted({"n1": {"日期": [(0, 2)]}}), notices, LabelSet.of("日期")),
        },
        seconds=1.5,
    )


def test_the_summary_has_a_row_a_kind_and_one_for_all(study: EvaluationStudy) -> None:
    frame = study.summary().set_index("kind")
    assert list(frame.index) == ["resume", "meeting_notice", "all"]
    # resume: 1 right, 1 wrong, 2 missing -> P 1/2, R 1/3, F1 2/5; together 2 right -> F1 4/7.
    assert frame.loc["resume", ["documents", "support", "exact_record_rate"]].tolist() == [2, 3, 0.5]
    assert frame["f1"].tolist() == pytest.approx([2 / 5, 1.0, 4 / 7])
    assert frame["precision"].tolist() == pytest.approx([1 / 2, 1.0, 2 / 3])
    assert frame.loc["all", "exact_record_rate"] == pytest.approx(2 / 3)
    assert study.overall.f1 == pytest.approx(4 / 7)


@pytest.fixture
def faulty() -> EvaluationStudy:
    """Two letters, with an invented value and an unreadable answer in the first, a cut one and a value in a wrong place in the second; and
    a card with two values that is right."""
    letters = [document("a", "张伟来了", ("姓名", 0, 2)), document("b", "李娜找李娜", ("姓名", 0, 2))]
    card = [document("c", "王五，赵六", ("姓名", 0, 2), ("姓名", 3, 5))]
    first = (Span("张伟", 0, 2, 0.9), Span("周七", None, None, None, "unaligned"))
    read = [
        Extraction("a", letters[0].text, (Field("姓名", first),), "", False, ("parse: line 2",)),
        Extraction("b", letters[1].text, (Field("姓名", (Span("李娜", 3, 5, 0.6),)),), "", True),
    ]
    whole = [Extraction("c", card[0].text, (Field("姓名", (Span("王五", 0, 2, 0.8), Span("赵六", 3, 5, 0.8))),))]
    return EvaluationStudy({"letter": score(letters, read, ["姓名"]), "card": score(card, whole, ["姓名"])}, 1.0)


def test_faults_are_shares_of_what_they_may_befall_in_each_kind_and_in_all(faulty: EvaluationStudy) -> None:
    frame = faulty.summary().set_index("kind")
    assert frame["hallucination_rate"].tolist() == pytest.approx([1 / 3, 0, 1 / 5])
    assert frame["parse_failure_rate"].tolist() == frame["truncated_share"].tolist() == pytest.approx([1 / 2, 0, 1 / 3])
    # As strings the letters' values are right but for the invented one, by place one is; the card's are right either way.
    assert frame["string_f1"].tolist() == pytest.approx([4 / 5, 1, 8 / 9])
    assert frame["f1"].tolist() == pytest.approx([2 / 5, 1, 6 / 9])


def test_how_far_confidences_are_from_what_is_right_is_told_over_all_kinds(faulty: EvaluationStudy) -> None:
    # One value that is right by 0.9, one that is wrong by 0.6, two that are right by 0.8; the invented one has no confidence.
    assert faulty.to_dict()["expected_calibration_error"] == pytest.approx((0.1 + 0.6 + 2 * 0.2) / 4)
    assert str(faulty.about_calibration()) == (
        "Over 4 values the model is sure by 0.775 on average, and 75.0% are right; expected calibration error **0.275**."
    )
    silent = score([document("d", "周五开会")], [Extraction("d", "周五开会", ())], ["姓名"])
    assert "gave no values" in str(EvaluationStudy({"a": silent}, 1.0).about_calibration())


def test_every_label_of_every_kind_has_its_scores(study: EvaluationStudy) -> None:
    frame = study.label_scores()
    assert frame[["kind", "label", "support"]].values.tolist() == [
        ["resume", "姓名", 2],
        ["resume", "公司", 1],
        ["meeting_notice", "日期", 1],
    ]
    assert frame["f1"].tolist() == pytest.approx([2 / 3, 0.0, 1.0])


def test_mistakes_are_counted_and_listed(study: EvaluationStudy) -> None:
    counts = study.mistake_counts().set_index("kind")["mistakes"]
    assert (counts["missed"], counts["too long"], counts.sum()) == (1, 1, 2)
    assert study.mistake_list().values.tolist() == [
        ["resume", "r2", "missed", "姓名", "李娜", ""],
        ["resume", "r2", "too long", "公司", "云智", "在云智"],
    ]
    assert len(study.mistake_list(limit=1)) == 1


def test_examples_begin_with_the_most_mistaken_and_escape_the_text(study: EvaluationStudy) -> None:
    shown = BeautifulSoup(study.examples(3).html, "html.parser")
    assert [heading.get_text() for heading in shown.find_all("h3")] == [
        "resume · r2 · 2 mistakes",
        "meeting_notice · n1 · wholly right",
        "resume · r1 · wholly right",
    ]
    assert "公司, too long: should be 云智, the model gave 在云智" in shown.get_text()
    assert "姓名, missed: the model did not give 李娜" in shown.get_text()
    assert not shown.find_all("b") and "<b>公司" in shown.get_text()
    assert len(BeautifulSoup(study.examples(1).html, "html.parser").find_all("h3")) == 1


def test_the_sentences_follow_from_the_numbers(study: EvaluationStudy) -> None:
    summary = str(study.about_summary())
    assert "Of 3 documents, 2 came out wholly right (66.7%)" in summary
    assert "**0.571**" in summary and "at 2 documents/s" in summary
    assert "Best: meeting\\_notice (1.000); worst: resume (0.400)." in summary
    assert (
        str(study.about_labels())
        == "2 of 3 labels stay under a strict F1 of 0.9: resume · 公司 (0.000, n = 1), resume · 姓名 (0.667, n = 2)."
    )
    many = EvaluationStudy({f"{kind}{number}": one for number in range(6) for kind, one in study.evaluations.items()}, 1.0)
    assert "12 of 18 labels" in str(many.about_labels()) and str(many.about_labels()).endswith(", and 2 more.")
    assert "All 3 labels reach" in str(study.about_labels(below=0.0))
    assert str(study.about_mistakes(shown=1)) == "2 mistakes: 1 missed, 1 too long. The table shows the first 1."
    assert str(study.about_examples(2)) == (
        "Shown: 2 of 3 documents, the most mistaken of each kind in turn; 1 document of them all has mistakes."
    )


def test_what_was_neither_wanted_nor_given_and_what_is_alike_is_called_neither_good_nor_best() -> None:
    right = evaluate(Scripted({"n1": {"日期": [(0, 2)]}}), [document("n1", "周五开会", ("日期", 0, 2))], LabelSet.of("日期,地点"))
    alike = EvaluationStudy({"a": right, "b": right}, 0.001)
    assert "It is the same for every kind." in str(alike.about_summary()) and "Best" not in str(alike.about_summary())
    assert "at 2,000 documents/s" in str(alike.about_summary())
    left_out = "Left out, for no value was to be found or was given: 2 labels."
    assert str(alike.about_labels()) == f"All 2 labels reach a strict F1 of 0.9. {left_out}"
    empty = evaluate(Scripted({"n1": {}}), [document("n1", "周五开会")], LabelSet.of("日期,地点"))
    assert str(EvaluationStudy({"a": empty}, 1.0).about_labels()) == f"No label can be judged. {left_out}"
    # One document, however many of its answers are unreadable.
    odd = replace(right.extractions[0], problems=("parse: x", "parse: y"))
    told = str(EvaluationStudy({"a": score(right.documents, [odd], ["日期"])}, 1.0).about_summary())
    assert "Faults: 1 document with an unreadable answer." in told


def test_metrics_are_written_whole_and_hold_the_scores(study: EvaluationStudy, tmp_path: Path) -> None:
    study.write_metrics("")
    study.write_metrics(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["overall"]["f1"] == pytest.approx(4 / 7) and metrics["overall"]["exact_records"] == 2
    assert metrics["mistakes"] == {"missed": 1, "too long": 1}
    assert metrics["kinds"]["resume"]["strict"]["per_label"]["公司"]["support"] == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["metrics.json", "outcomes.jsonl"]
    assert read_outcomes(tmp_path / "outcomes.jsonl")["resume"].labels == ("姓名", "公司")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Engine:
    return Engine.load(write_random_checkpoint(tmp_path_factory.mktemp("model")), dtype="fp32", device="cpu")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    write_jsonl(tmp_path / "resume.jsonl", [document(f"r{number}", "张伟在云智", ("姓名", 0, 2)) for number in range(3)])
    (tmp_path / "resume.yaml").write_text("name: resume\nfields:\n- field: 姓名\n", encoding="utf-8")
    return Source("resume", tmp_path / "resume.jsonl", tmp_path / "resume.yaml")


def test_a_loaded_model_is_evaluated_on_the_first_documents(engine: Engine, source: Source) -> None:
    told: list[tuple[str, int, int]] = []
    study = evaluate_kinds(engine, [source], limit=2, progress=lambda *step: told.append(step))
    assert [one.id for one in study.evaluations["resume"].documents] == ["r0", "r1"]
    assert told[-1] == ("resume", 2, 2) and study.seconds > 0
    assert list(study.summary()["kind"]) == ["resume"]
    assert evaluate_kinds(engine, [source]).documents == 3


def test_bad_options_and_files_are_refused_before_any_extraction(engine: Engine, source: Source, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="limit is -1"):
        evaluate_kinds(engine, [source], limit=-1)
    with pytest.raises(OptionError, match="0 sources"):
        evaluate_kinds(engine, [])
    told: list[tuple[str, int, int]] = []
    missing = Source("notice", tmp_path / "notice.jsonl", source.labels)
    with pytest.raises(DocumentError, match=r"notice\.jsonl"):
        evaluate_kinds(engine, [source, missing], progress=lambda *step: told.append(step))
    assert not told


def test_a_table_is_scored_by_its_gold_columns_and_files_without_any_gold_are_refused(
    engine: Engine, source: Source, tmp_path: Path
) -> None:
    (tmp_path / "resume.csv").write_text("text,姓名\n张伟在云智,张伟\n在云智,\n", encoding="utf-8")
    table = Source("resume", tmp_path / "resume.csv", source.labels)
    assert evaluate_kinds(engine, [table]).overall.support == 1
    (tmp_path / "letter.csv").write_text("text,姓名\n张伟在云智,\n", encoding="utf-8")
    told: list[tuple[str, int, int]] = []
    bare = Source("letter", tmp_path / "letter.csv", source.labels)
    with pytest.raises(DocumentError, match=r"none of the 1 documents in .*letter\.csv has gold, so nothing can be scored.*\(姓名\)"):
        evaluate_kinds(engine, [table, bare], progress=lambda *step: told.append(step))
    assert not told


def test_gold_for_none_of_the_labels_is_refused_and_fields_without_gold_are_named(engine: Engine, tmp_path: Path) -> None:
    documents, labels = tmp_path / "letter.jsonl", tmp_path / "letter.yaml"
    write_jsonl(documents, [document("d", "张伟在云智", ("姓名", 0, 2))])
    labels.write_text("fields: [{field: 血型}]", encoding="utf-8")
    with pytest.raises(
        LabelError, match=r"letter\.jsonl have gold for ⟪.*姓名.*⟫, the labels ask for \['血型'\], so nothing can be scored"
    ):
        evaluate_kinds(engine, [Source("letter", documents, labels)])
    read = [document("a", "张伟是A型", ("姓名", 0, 2)), document("b", "李娜是B型", ("姓名", 0, 2))]
    answers = {name: {"姓名": [(0, 2)], "血型": [(3, 5)]} for name in ("a", "b")}
    half = EvaluationStudy({"letter": evaluate(Scripted(answers), read, LabelSet.of("姓名,血型"))}, seconds=1.0)
    assert str(half.about_summary()).endswith("No document here has gold for letter · 血型: the 2 values given there count as wrong.")


def test_documents_an_earlier_run_read_make_nothing_quicker(engine: Engine, source: Source, tmp_path: Path) -> None:
    whole = evaluate_kinds(engine, [source], run_dir=tmp_path)
    assert (whole.taken_over, whole.to_dict()["taken_over"]) == (0, 0) and "had been read before" not in str(whole.about_summary())
    again = evaluate_kinds(engine, [source], run_dir=tmp_path)
    assert (again.documents, again.taken_over, again.to_dict()["taken_over"]) == (3, 3, 3)
    assert "documents/s" not in str(again.about_summary())
    partly = replace(whole, seconds=2.0, taken_over=2)
    assert "at 0.5 documents/s (2 documents had been read before)." in str(partly.about_summary())


def test_what_a_run_has_extracted_is_not_extracted_again(engine: Engine, source: Source, tmp_path: Path) -> None:
    source.labels.write_text("fields:\n- field: 姓名\n  personal: true\n", encoding="utf-8")
    first = evaluate_kinds(engine, [source], run_dir=tmp_path)
    told: list[tuple[str, int, int]] = []
    assert evaluate_kinds(engine, [source], run_dir=tmp_path, progress=lambda *step: told.append(step)).evaluations == first.evaluations
    assert told == []
    first.write_metrics(tmp_path)
    assert not (tmp_path / "journals").exists()
    personal = json.loads((tmp_path / "personal.json").read_text(encoding="utf-8"))
    spans = [span for one in first.evaluations["resume"].extractions for field in one.fields for span in field.spans]
    assert {"张伟", *(span.text for span in spans)} <= set(personal["姓名"])


@pytest.mark.parametrize(
    ("options", "differing"),
    [
        ({"window_length": 100}, "window_length was 1024 and is 100"),
        ({"overlap": 3}, "overlap was 64 and is 3"),
        ({"grounded": True}, "grounded was False and is True"),
        ({"max_length": 512}, "max_length was 1024 and is 512"),
        ({"max_new_tokens": 9}, "max_new_tokens was 4 and is 9"),
        ({"labels_per_prompt": 1}, "labels_per_prompt was 6 and is 1"),
    ],
)
def test_whatever_decides_answers_is_in_the_journal(engine: Engine, tmp_path: Path, options: dict[str, Any], differing: str) -> None:
    texts, labels, path = [document("a", "张伟在云智")], LabelSet.of("姓名"), tmp_path / "journal"
    journaled(Extractor(engine, max_new_tokens=4), path, labels).extract(texts, labels)
    with pytest.raises(DocumentError, match=differing):
        journaled(Extractor(engine, **{"max_new_tokens": 4} | options), path, labels).extract(texts, labels)


def test_whether_a_label_may_have_several_values_is_in_the_journal(engine: Engine, tmp_path: Path) -> None:
    texts, path = [document("a", "张伟在云智")], tmp_path / "journal"
    several, one = (LabelSet((Label("姓名", multiple=multiple),)) for multiple in (True, False))
    extractor = Extractor(engine, max_new_tokens=4)
    journaled(extractor, path, several).extract(texts, several)
    with pytest.raises(DocumentError, match=r"multiple was \[True\] and is \[False\]"):
        journaled(extractor, path, one).extract(texts, one)


@pytest.mark.parametrize(
    ("gold", "given", "told"),
    [
        ({"甲方": (0, 2), "乙方": (3, 5)}, {"甲方": (3, 5)}, ["甲方, missed: the model did not give 张伟"]),
        ({"乙方": (3, 5)}, {"甲方": (3, 5)}, ["甲方, wrong label: the model gave 李娜, which is 乙方"]),
        ({}, {"甲方": (3, 5)}, ["甲方, spurious: the model gave 李娜, which is not to be found there"]),
    ],
)
def test_a_mistake_is_told_so_that_it_can_be_understood_alone(
    gold: dict[str, tuple[int, int]], given: dict[str, tuple[int, int]], told: list[str]
) -> None:
    text = "张伟、李娜"
    document = Document("d", text, tuple(Entity(label, *place, text[slice(*place)]) for label, place in gold.items()))
    fields = tuple(Field(label, (Span(text[slice(*place)], *place, 0.9),)) for label, place in given.items())
    evaluation = score([document], [Extraction("d", text, fields)], ["甲方", "乙方"])
    shown = BeautifulSoup(EvaluationStudy({"合同": evaluation}, 1.0).examples(1).html, "html.parser")
    assert set(told) <= {item.get_text() for item in shown.find_all("li")}
