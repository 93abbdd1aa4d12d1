"""Comparing and searching ways of asking, on an engine whose answers follow a rule, so that the right result is known."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.engine.checkpoint import Checkpoint, find_checkpoint
from seqgpt_lab.errors import DocumentError, LabelError, OptionError
from seqgpt_lab.evaluation.evaluate import evaluate
from seqgpt_lab.evaluation.resampling import Outcomes
from seqgpt_lab.evaluation.significance import holm
from seqgpt_lab.evaluation.verdict import Settings
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.studies.asking import Ledger, Variant
from seqgpt_lab.studies.phrasing import compare, faults, lint_frame, show_faults, with_first_synonyms
from seqgpt_lab.studies.phrasing_climb import Plan, candidates, first_as_good
from seqgpt_lab.studies.phrasing_search import FOUND, judged_together, search
from tests.checkpoints import write_random_checkpoint
from tests.studies.scripted import Rule, RuledEngine

VALUES = {"供应商": "云智", "合同金额": "35元", "交货期": "5日"}
SKILL = {"供应商": 0.95, "公司": 0.4, "合同金额": 0.9, "钱": 0.3, "交货期": 0.6, "时间": 0.3, "供方": 0.6, "工期": 0.97}
QUICK = Settings(resamples=500)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return find_checkpoint(write_random_checkpoint(tmp_path_factory.mktemp("model"), layers=1))


def documents(number: int, split: str) -> list[Document]:
    made = []
    for at in range(number):
        text = f"{split}{at}：云智以35元供货，5日交付，另有其他。"
        gold = [Entity(label, text.index(value), text.index(value) + len(value), value) for label, value in VALUES.items()]
        made.append(Document(f"{split}-{at}", text, tuple(gold)))
    return made


def by_skill(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
    """The right value with the phrase's probability, else a wrong one; long prompts make every phrase a little worse."""
    field = {"公司": "供应商", "供方": "供应商", "钱": "合同金额", "时间": "交货期", "工期": "交货期"}.get(phrase, phrase)
    lucky = Random(text + phrase).random() < SKILL.get(phrase, 0.0) - 0.1 * (len(phrases) > 2)
    return [VALUES[field]] if lucky and field in VALUES else ["另有"]


def at_random(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
    """Right four times in five, whatever the phrase: all wordings are alike."""
    field = phrase.rstrip("0123456789")
    return [VALUES[field]] if Random(text + phrase).random() < 0.8 else ["另有"]


def vague() -> LabelSet:
    return LabelSet((Label("供应商", "公司", ("供方",)), Label("合同金额", "钱"), Label("交货期", "时间", ("工期",))), "采购")


def numbered(suffix: str) -> LabelSet:
    return LabelSet(tuple(Label(name, name + suffix) for name in VALUES))


def test_fields_are_shown_in_their_order_with_every_variants_f1_and_what_it_rests_on(checkpoint: Checkpoint) -> None:
    extractor, asked = Extractor(RuledEngine(checkpoint, by_skill)), documents(10, "a")
    found = compare(extractor, asked, [Variant("vague", vague()), Variant("named", LabelSet.of("交货期,供应商,合同金额"))], settings=QUICK)
    frame, long = found.field_frame(), found.label_frame().set_index(["variant", "field"])
    assert list(frame) == ["field", "F1 of vague", "F1 of named", "gold_values"] and list(frame["field"]) == list(VALUES)
    assert list(frame["gold_values"]) == [10] * 3
    assert [*frame["F1 of named"]] == [long.loc[("named", field), "f1"] for field in VALUES]
    heads = [head.get_text() for head in BeautifulSoup(found.show().html, "html.parser").select("thead th")]
    assert heads[:3] == ["variant", "phrases", "labels per prompt"] and "difference (points)" in heads
    assert f"<td>{100 * found.frame()['difference'][1]:+.2f}</td>" in found.show().html


def test_a_label_set_by_first_synonyms_and_the_faults_of_what_was_typed() -> None:
    assert with_first_synonyms(vague()).phrases == ("供方", "钱", "工期")
    assert faults("姓名,关键信息")[["label", "fault"]].values.tolist() == [["关键信息", "vague"]] and faults("姓名,年龄").empty
    found = lint_frame([Variant("a", LabelSet.of("姓名,关键信息"))])
    assert list(found.iloc[0])[:3] == ["a", "关键信息", "vague"] and "<td>关键信息</td>" in str(show_faults(found))


def test_that_lint_finds_nothing_is_said_instead_of_a_table_of_heads_alone() -> None:
    for found in (faults("姓名,年龄"), lint_frame([Variant("a", LabelSet.of("姓名"))]), lint_frame([])):
        assert str(show_faults(found)) == "Lint finds no fault in these labels."


def test_a_comparison_scores_as_evaluate_does_and_judges_against_the_first(checkpoint: Checkpoint) -> None:
    extractor, asked = Extractor(RuledEngine(checkpoint, by_skill)), documents(40, "a")
    named = LabelSet.of("供应商,合同金额,交货期")
    found = compare(extractor, asked, [Variant("vague", vague()), Variant("named", named), Variant("alone", named, 1)], settings=QUICK)
    frame = found.frame().set_index("variant")
    for name, labels in (("vague", vague()), ("named", named)):
        assert frame.loc[name, "micro_f1"] == pytest.approx(evaluate(extractor, asked, labels).scores.strict.micro.f1)
    assert (
        frame.loc["named", "real"]
        and frame.loc["named", "difference"] > 0.2
        and frame.loc["alone", "micro_f1"] > frame.loc["named", "micro_f1"]
    )
    assert [verdict.comparisons for verdict in found.verdicts] == [2, 2]
    assert found.calls == 40 * (1 + 1 + 3)
    assert json.loads(json.dumps(found.to_dict()))["variants"][1]["variant"] == "named"
    fields = found.label_frame().set_index(["variant", "field"])
    assert fields.loc[("vague", "合同金额"), "phrase"] == "钱" and fields.loc[("vague", "合同金额"), "support"] == 40


def test_a_label_that_takes_one_value_is_scored_on_the_one_that_is_kept(checkpoint: Checkpoint, tmp_path: Path) -> None:
    def names_two(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
        return ["云智", "35元"]

    extractor, asked, journal = Extractor(RuledEngine(checkpoint, names_two)), documents(3, "a"), tmp_path / "answers.json"
    one, several = (Variant("x", LabelSet((Label("供应商", multiple=multiple),))) for multiple in (False, True))
    for variant in (one, several, replace(one, labels=LabelSet((Label("供应商"),)))):
        found = Ledger(extractor, asked, journal).outcomes(variant).score("micro_f1")
        assert found == evaluate(extractor, asked, variant.labels).scores.strict.micro.f1 == (1.0 if variant is one else 2 / 3)
    # Kept answers are told apart in the same way, and a label of which nobody said is answered like one that may have several.
    again = Ledger(extractor, asked, journal)
    assert [again.outcomes(variant).score("micro_f1") for variant in (one, several)] == [1.0, 2 / 3] and again.made == 0


def test_all_questions_about_a_text_are_asked_next_to_one_another(checkpoint: Checkpoint) -> None:
    engine = RuledEngine(checkpoint, by_skill)
    compare(Extractor(engine), documents(5, "a"), [Variant("a", vague(), 2), Variant("b", numbered(""), 1)], settings=QUICK)
    texts = [text for text, _ in engine.asked]
    assert len(texts) == 5 * 5 and [texts.index(text) for text in texts] == sorted(texts.index(text) for text in texts)


def test_two_identical_variants_are_asked_once_and_do_not_differ(checkpoint: Checkpoint) -> None:
    found = compare(
        Extractor(RuledEngine(checkpoint, by_skill)), documents(20, "a"), [Variant("a", vague()), Variant("b", vague())], settings=QUICK
    )
    assert found.calls == 20 and not found.verdicts[0].real
    assert "no real difference" in str(found.about())


def false_alarms(checkpoint: Checkpoint, repeats: int, resamples: int) -> float:
    """The share of comparisons of wordings that are alike in which one is called better."""
    extractor, wrong = Extractor(RuledEngine(checkpoint, at_random)), 0
    variants = [Variant("a", numbered("1")), Variant("b", numbered("2"))]
    for repeat in range(repeats):
        wrong += compare(extractor, documents(40, f"r{repeat}-"), variants, settings=Settings(resamples)).verdicts[0].real
    return wrong / repeats


def test_wordings_that_are_alike_are_rarely_told_apart(checkpoint: Checkpoint) -> None:
    assert false_alarms(checkpoint, 12, 400) <= 0.25


@pytest.mark.full
@pytest.mark.timeout(1800)
def test_false_alarms_stay_under_five_in_a_hundred_over_200_repeats(checkpoint: Checkpoint) -> None:
    assert false_alarms(checkpoint, 200, 2_000) <= 0.05


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_search_among_wordings_that_are_alike_recommends_a_change_at_most_once_in_twenty(checkpoint: Checkpoint) -> None:
    labels = LabelSet(tuple(Label(name, synonyms=(f"{name}1", f"{name}2")) for name in VALUES))
    extractor, wrong = Extractor(RuledEngine(checkpoint, at_random)), 0
    for repeat in range(200):
        dev, test = documents(20, f"d{repeat}-"), documents(40, f"t{repeat}-")
        plan = Plan(budget=400, phrases_per_field=2, labels_per_prompt=(3,), random_orders=0)
        wrong += search(extractor, Variant("x", labels), dev, test, plan, settings=Settings(2_000)).recommended.name == FOUND
    assert wrong / 200 <= 0.05


def test_a_search_from_vague_labels_finds_the_planted_wording(checkpoint: Checkpoint) -> None:
    told: list[tuple[str, int, int]] = []
    plan = Plan(labels_per_prompt=(1, 2, 3))
    extractor = Extractor(RuledEngine(checkpoint, by_skill))
    found = search(
        extractor,
        Variant("x", vague()),
        documents(40, "d"),
        documents(60, "t"),
        plan,
        settings=QUICK,
        progress=lambda *step: told.append(step),
    )
    phrases = dict(zip(found.best.labels.names, found.best.labels.phrases, strict=True))
    assert phrases == {"供应商": "供应商", "合同金额": "合同金额", "交货期": "工期"}
    assert found.best.labels_per_prompt <= 2
    assert found.best_score > found.start_score + 0.3 and found.verdict.better == FOUND and found.recommended is found.best
    assert not found.spent and found.calls <= plan.budget
    assert told[-1][0] == "test" and all(0 <= done <= total for _, done, total in told)
    assert found.changes().set_index("field").loc["合同金额", ["as_given", "found"]].tolist() == ["钱", "合同金额"]
    assert "On documents that the search never saw" in str(found.about()) and "Keep the labels" not in str(found.about())
    assert json.loads(json.dumps(found.to_dict()))["best"]["phrases"] == phrases


def test_all_fields_by_their_names_are_tried_first_and_together(checkpoint: Checkpoint) -> None:
    """Among vague words a good one is not seen: here a phrase is only understood beside others that are clear."""

    def beside_clear_ones(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
        return [VALUES[phrase]] if set(phrases) == set(VALUES) else ["另有"]

    dev, test = documents(10, "d"), documents(10, "t")
    found = search(Extractor(RuledEngine(checkpoint, beside_clear_ones)), Variant("x", vague()), dev, test, Plan(20), settings=QUICK)
    assert found.best.labels.phrases == tuple(VALUES) and found.best_score == 1.0 and found.spent
    assert found.history["step"].iloc[0] == "all fields by their names"


def test_a_search_finds_the_order_that_is_read_best(checkpoint: Checkpoint) -> None:
    best = tuple(reversed(VALUES))

    def in_order(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
        return [VALUES[phrase]] if tuple(phrases) == best else ["另有"]

    dev, test, plan = documents(10, "d"), documents(10, "t"), Plan(labels_per_prompt=(3,), random_orders=0)
    found = search(Extractor(RuledEngine(checkpoint, in_order)), Variant("x", LabelSet.of(list(VALUES))), dev, test, plan, settings=QUICK)
    assert found.best.labels.names == best and found.verdict.better == FOUND
    assert found.history.set_index("step").loc["order", "change"].tolist()[0] == "、".join(best)


def test_fields_are_asked_in_the_order_of_the_documents_those_without_gold_last(checkpoint: Checkpoint) -> None:
    best = (*VALUES, "地址")

    def in_order(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
        return [VALUES.get(phrase, "")] if tuple(phrases) == best else ["另有"]

    dev, test, plan = documents(10, "d"), documents(10, "t"), Plan(labels_per_prompt=(6,), random_orders=0)
    given = Variant("x", LabelSet.of("地址,合同金额,供应商,交货期"))
    found = search(Extractor(RuledEngine(checkpoint, in_order)), given, dev, test, plan, settings=QUICK)
    assert found.best.labels.names == best


def some_times_in_ten(right: dict[str, int]) -> Rule:
    """Each phrase is read right in so many of ten documents, others never."""
    return lambda text, phrase, phrases: [VALUES[phrase] if int(text[1]) < right.get(phrase, 0) else "另有"]


@pytest.mark.parametrize(
    ("plan", "tried"),
    [
        (Plan(phrases_per_field=2), 2),
        (Plan(60), 1),  # seven tenths of 60 calls are for three fields on ten documents, a call each
    ],
)
def test_the_field_that_is_read_worst_comes_first_and_none_takes_more_than_its_share(
    checkpoint: Checkpoint, plan: Plan, tried: int
) -> None:
    labels = LabelSet(tuple(Label(name, synonyms=tuple(f"{name}{number}" for number in "甲乙丙")) for name in VALUES))
    engine = RuledEngine(checkpoint, some_times_in_ten({"供应商": 10, "合同金额": 4, "交货期": 7}))
    found = search(Extractor(engine), Variant("x", labels), documents(10, "d"), documents(10, "t"), plan, settings=QUICK)
    steps = [(step, count) for step, count in zip(found.history["step"], found.history["tried"], strict=True) if "phrase of" in step]
    assert steps[:3] == [(f"phrase of {name}", tried) for name in ("合同金额", "交货期", "供应商")]


def test_what_reads_other_documents_worse_is_not_recommended(checkpoint: Checkpoint) -> None:
    """The development documents are of another kind than the others."""

    def misleading(text: str, phrase: str, phrases: Sequence[str]) -> list[str]:
        return ["5日" if phrase == ("工期" if text.startswith("d") else "时间") else "另有"]

    given = Variant("x", LabelSet((Label("交货期", "时间", ("工期",)),)))
    found = search(Extractor(RuledEngine(checkpoint, misleading)), given, documents(10, "d"), documents(10, "t"), settings=QUICK)
    assert found.best.labels.phrases == ("工期",) and (found.start_score, found.best_score) == (0.0, 1.0)
    assert found.verdict.real and found.recommended is found.start and "Keep the labels as given" in str(found.about())


def test_names_that_lint_finds_fault_with_or_that_are_taken_are_not_tried(checkpoint: Checkpoint) -> None:
    some = [Document(f"{at}", f"{at}：云智", (Entity("重要内容", 2, 4, "云智"),)) for at in range(4)]
    labels = LabelSet((Label("重要内容", "公司"), Label("公司", "单位")))
    found = search(Extractor(RuledEngine(checkpoint, by_skill)), Variant("x", labels), some[:2], some[2:], settings=QUICK)
    assert "all fields by their names" not in found.history["step"].tolist()


def test_a_search_that_finds_nothing_says_to_keep_what_is_there(checkpoint: Checkpoint) -> None:
    labels = LabelSet.of("供应商,合同金额")
    found = search(
        Extractor(RuledEngine(checkpoint, by_skill)), Variant("x", labels, 2), documents(8, "d"), documents(8, "t"), settings=QUICK
    )
    assert found.best.labels.phrases == labels.phrases and not found.verdict.real
    assert found.recommended is found.start and "Keep the labels as given" in str(found.about())
    assert any("No label asks for 交货期" in note for note in found.test.notes)


def test_a_search_is_held_to_gold_of_its_own_documents(checkpoint: Checkpoint) -> None:
    """Where only the test documents are marked, every wording scores nothing on dev, and what is found there says nothing."""
    extractor, test = Extractor(RuledEngine(checkpoint, by_skill)), documents(4, "t")
    partly = [replace(one, gold=one.gold[:1]) for one in documents(4, "d")]
    told = str(search(extractor, Variant("x", vague()), partly, test, settings=QUICK).about())
    assert "None of the development documents has gold for 合同金额、交货期: every value given there counts as wrong" in told.replace(
        "\\", ""
    )
    others = [replace(one, gold=(Entity("日期", 0, 1, "d"),)) for one in documents(4, "d")]
    with pytest.raises(LabelError, match=r"the development documents have gold for ⟪.*日期.*⟫, the labels ask for"):
        search(extractor, Variant("x", vague()), others, test, settings=QUICK)


def test_what_is_asked_first_stays_unless_it_does_clearly_worse() -> None:
    def right(name: str, first: int, last: int) -> Outcomes:
        hits = (np.arange(40) >= first) & (np.arange(40) < last)
        return Outcomes(name, tuple(map(str, range(40))), ("A",), np.stack([hits, ~hits, ~hits], axis=-1)[:, None].astype(int))

    # Two documents mended and one broken is chance; twenty mended are not.
    assert first_as_good([right("a", 0, 30), right("b", 1, 32)], "micro_f1") == 0
    assert first_as_good([right("a", 0, 10), right("b", 0, 30), right("c", 1, 32)], "micro_f1") == 1
    assert first_as_good([right("a", 0, 31), right("b", 0, 31)], "micro_f1") == 0
    assert first_as_good([right("a", 0, 0), right("b", 0, 40)], "micro_f1") == 1
    # The second reads worse than the first, and varies so much that it is not clearly below the third.
    assert first_as_good([right("a", 0, 32), right("b", 9, 40), right("c", 0, 36)], "micro_f1") == 2
    assert first_as_good([right("a", 0, 20), right("b", 20, 40)], "micro_f1") == 0


def test_all_verdicts_on_the_same_documents_are_corrected_together(checkpoint: Checkpoint) -> None:
    extractor, test = Extractor(RuledEngine(checkpoint, by_skill)), documents(30, "t")
    clear = Variant("clear", LabelSet(tuple(Label(name) for name in VALUES)))
    comparison = compare(extractor, test, [clear, Variant("vague", vague())], settings=QUICK)
    found = search(extractor, Variant("x", vague()), documents(20, "d"), test, Plan(400), settings=QUICK)
    alone = (comparison.verdicts[0], found.verdict)
    comparison, found, beside = judged_together(comparison, found)
    verdicts = (*comparison.verdicts, found.verdict, *beside.verdicts)
    assert [one.comparisons for one in verdicts] == [3, 3, 3] and {one.comparisons for one in alone} == {1}
    assert [one.p_value for one in verdicts[:2]] == [one.p_value for one in alone]
    assert [one.adjusted_p for one in verdicts] == list(holm([one.p_value for one in verdicts]))
    assert (beside.verdicts[0].baseline, beside.verdicts[0].variant) == ("clear", FOUND) and beside.calls == 0
    assert found.to_dict()["test"]["verdicts"][0]["comparisons"] == 3
    with pytest.raises(OptionError, match="by exact_record_rate, the search by micro_f1"):
        judged_together(replace(comparison, metric="exact_record_rate"), found)


@pytest.mark.parametrize("budget", [30, 100, 170])
def test_a_search_never_spends_more_than_its_budget(checkpoint: Checkpoint, budget: int) -> None:
    engine = RuledEngine(checkpoint, by_skill)
    found = search(Extractor(engine), Variant("x", vague()), documents(10, "d"), documents(10, "t"), Plan(budget), settings=QUICK)
    on_dev = sum(text.startswith("d") for text, _ in engine.asked)
    assert on_dev == found.calls <= budget and found.spent
    assert list(found.history["calls"]) == sorted(found.history["calls"])


def test_a_search_that_was_killed_ends_the_same_without_asking_again(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("seqgpt_lab.studies.asking._PROMPTS_A_WRITE", 20)
    dev, test = documents(10, "d"), documents(10, "t")
    whole = RuledEngine(checkpoint, by_skill)
    wanted = search(Extractor(whole), Variant("x", vague()), dev, test, settings=QUICK)
    killed = RuledEngine(checkpoint, by_skill, dies_after=100)
    with pytest.raises(KeyboardInterrupt):
        search(Extractor(killed), Variant("x", vague()), dev, test, settings=QUICK, journal=tmp_path / "journal")
    again = RuledEngine(checkpoint, by_skill)
    found = search(Extractor(again), Variant("x", vague()), dev, test, settings=QUICK, journal=tmp_path / "journal")
    assert (found.best, found.calls, found.verdict) == (wanted.best, wanted.calls, wanted.verdict)
    assert found.history.equals(wanted.history)
    # All but what was under way when the kill came.
    assert len(again.asked) <= len(whole.asked) - 100 + 20
    once_more = RuledEngine(checkpoint, by_skill)
    search(Extractor(once_more), Variant("x", vague()), dev, test, settings=QUICK, journal=tmp_path / "journal")
    assert not once_more.asked


def test_a_journal_of_something_else_is_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path, extractor = tmp_path / "answers.json", Extractor(RuledEngine(checkpoint, by_skill))
    Ledger(extractor, documents(3, "a"), path).ask(Variant("x", vague()).questions)
    with pytest.raises(LabelError, match="documents was"):
        Ledger(extractor, documents(3, "b"), path)
    for options, differing in (
        ({"max_new_tokens": 9}, "max_new_tokens was 256 and is 9"),
        ({"window_length": 100}, "window_length was 1024 and is 100"),
        ({"overlap": 3}, "overlap was 64 and is 3"),
        ({"grounded": True}, "grounded was False and is True"),
    ):
        with pytest.raises(LabelError, match=differing):
            Ledger(Extractor(extractor.engine, **options), documents(3, "a"), path)  # type: ignore[arg-type]
    path.write_text("{", encoding="utf-8")
    with pytest.raises(LabelError, match="cannot be read"):
        Ledger(extractor, documents(3, "a"), path)


def test_only_prompts_that_changed_are_asked_again(checkpoint: Checkpoint) -> None:
    ledger = Ledger(Extractor(RuledEngine(checkpoint, by_skill)), documents(5, "a"))
    variant = Variant("x", vague(), 2)
    ledger.ask(variant.questions)
    changed = replace(variant, labels=vague().reworded({"交货期": "工期"}))
    assert (ledger.made, ledger.cost(changed.questions)) == (10, 5)
    outcomes = ledger.outcomes(changed)
    assert (ledger.made, ledger.asked) == (15, 15)
    turned = ledger.outcomes(replace(changed, labels=changed.labels.reordered(["合同金额", "交货期", "供应商"])))
    assert turned.labels == outcomes.labels and np.array_equal(turned.counts, outcomes.counts)


def test_candidates_come_from_the_given_the_label_set_and_the_built_in_without_faulty_ones() -> None:
    labels = LabelSet((Label("邮箱", "联系", ("邮件地址", "信息", "邮箱:", "email")), Label("甲")))
    found = candidates(labels, {"邮箱": ["e-mail", "Email"]})
    assert found["邮箱"][:5] == ("联系", "邮箱", "e-mail", "Email", "邮件地址") and "电子邮箱" in found["邮箱"]
    assert not {"信息", "邮箱:", "email"} & set(found["邮箱"]) and found["甲"] == ("甲",)
    with pytest.raises(OptionError, match="丙"):
        candidates(labels, {"丙": ["x"]})


def test_bad_input_is_refused_before_the_model_is_asked(checkpoint: Checkpoint) -> None:
    engine = RuledEngine(checkpoint, by_skill)
    extractor, variant, some = Extractor(engine), Variant("x", vague()), documents(4, "a")
    with pytest.raises(DocumentError, match="0 documents"):
        compare(extractor, [], [variant, replace(variant, name="y")])
    with pytest.raises(DocumentError, match="4 texts are both"):
        search(extractor, variant, some, some)
    with pytest.raises(LabelError, match="give the fields the gold's names"):
        compare(extractor, some, [Variant("x", LabelSet.of("公司")), Variant("y", LabelSet.of("公司->单位"))])
    with pytest.raises(OptionError, match="the labels as given alone take 4"):
        search(extractor, variant, some, documents(4, "b"), Plan(budget=3))
    for too_few in ([], [variant]):
        for asked in (some, [replace(one, gold=()) for one in some]):  # what was typed comes before what is in the documents
            with pytest.raises(OptionError, match="at least two"):
                compare(extractor, asked, too_few)
    with pytest.raises(OptionError, match=r"'x'.* given twice"):
        compare(extractor, some, [variant, replace(variant, labels=numbered(""))])
    with pytest.raises(LabelError, match=r"'x' asks for the fields .*'供应商', '合同金额', '交货期'.*'one' for .*'供应商'"):
        compare(extractor, some, [variant, Variant("one", LabelSet.of("供应商"))])
    bare = [replace(one, gold=()) for one in documents(4, "b")]
    with pytest.raises(DocumentError, match="none of the 4 test documents has gold, so nothing can be scored"):
        search(extractor, variant, some, bare)
    with pytest.raises(DocumentError, match="there are 1 documents"):
        search(extractor, variant, some, documents(1, "b"))
    with pytest.raises(OptionError, match="budget 0"):
        Plan(budget=0)
    with pytest.raises(OptionError, match="at least 1 is needed"):
        Variant("x", vague(), 0)
    assert not engine.asked
