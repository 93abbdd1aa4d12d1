"""The gate: noise does not trip it, real drops do, and it names what fell."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.errors import DocumentError, LabelError, OptionError, RunError
from seqgpt_lab.evaluation.evaluate import Evaluation
from seqgpt_lab.evaluation.metrics import Scores
from seqgpt_lab.evaluation.outcome_file import KindOutcomes, write_outcomes
from seqgpt_lab.evaluation.significance import judge, judge_all
from seqgpt_lab.evaluation.verdict import Settings
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.reports.candidate import latest_run
from seqgpt_lab.reports.gate import Gate, compare, compare_runs
from seqgpt_lab.reports.masking import Masker
from seqgpt_lab.reports.runs import Run, write_run

LABELS = ("姓名", "年龄", "公司", "职位", "手机号", "邮箱")
TEXT = "甲乙丙丁戊己庚"
QUICK = Settings(resamples=999)
Right = np.ndarray


def outcomes(right: Right, labels: Sequence[str] = LABELS) -> KindOutcomes:
    """A value a label in each document, one character each; right[document, label]: whether it is read right, else one too far."""
    pairs = []
    for number, row in enumerate(right):
        gold = tuple(Entity(label, place, place + 1, TEXT[place]) for place, label in enumerate(labels))
        fields = []
        for place, (label, one) in enumerate(zip(labels, row, strict=True)):
            start = place if one else place + 1
            fields.append(Field(label, (Span(TEXT[start], start, start + 1),)))
        pairs.append((Document(f"d{number}", TEXT, gold), Extraction(f"d{number}", TEXT, tuple(fields))))
    return KindOutcomes(tuple(labels), tuple(pairs))


def simulated(generator: np.random.Generator, drop: Sequence[float], noise: float = 0.02) -> Gate:
    """300 documents of six fields, nine values in ten right; the run changes some either way and loses `drop` in each field."""
    baseline = generator.random((300, len(LABELS))) < 0.9
    run = np.where(generator.random(baseline.shape) < noise * np.where(baseline, 1, 9), ~baseline, baseline)
    run &= generator.random(run.shape) >= np.array(drop) / 0.9
    return compare("baseline", {"resume": outcomes(baseline)}, "run", {"resume": outcomes(run)}, QUICK)


def trips(pairs: int, drop: Sequence[float]) -> float:
    """The share of simulated pairs that trip the gate."""
    return sum(simulated(np.random.default_rng(seed), drop).regression for seed in range(pairs)) / pairs


def test_a_sample_of_pairs_without_a_real_change_hardly_trips_it() -> None:
    assert trips(30, [0.0] * 6) <= 0.1


def test_a_sample_of_drops_of_three_points_is_caught() -> None:
    assert trips(15, [0.03] * 6) >= 0.9


@pytest.mark.full
def test_of_200_pairs_without_a_real_change_it_trips_in_at_most_one_in_twenty() -> None:
    assert trips(200, [0.0] * 6) <= 0.05


@pytest.mark.full
def test_of_200_drops_of_three_points_on_300_documents_it_catches_nine_in_ten() -> None:
    assert trips(200, [0.03] * 6) >= 0.9


def planted() -> tuple[Right, Right]:
    """A run that loses the phones of the last 20 of 60 documents, and mends one name."""
    baseline = np.ones((60, 6), dtype=bool)
    baseline[0, 0] = False
    run = np.ones((60, 6), dtype=bool)
    run[40:, 4] = False
    return baseline, run


def test_the_field_that_fell_is_named_and_its_documents_shown() -> None:
    baseline, run = planted()
    gate = compare("baseline", {"resume": outcomes(baseline)}, "run", {"resume": outcomes(run)}, QUICK)
    assert gate.regression and [(field.kind, field.label) for field in gate.named] == [("resume", "手机号")]
    assert [change.document_id for change in gate.changes] == [f"d{number}" for number in range(40, 60)]
    assert (gate.changes[0].gold, gate.changes[0].baseline, gate.changes[0].run) == (("戊",), ("戊",), ("己",))
    assert gate.to_dict()["named"] == [["resume", "手机号"]]


def test_an_improvement_and_no_change_at_all_pass() -> None:
    baseline, run = (outcomes(right) for right in planted())
    better = compare("run", {"resume": run}, "baseline", {"resume": baseline}, QUICK)
    assert not better.regression and better.named == () and better.changes == () and better.overall.real
    same = compare("a", {"resume": baseline}, "b", {"resume": baseline}, QUICK)
    assert not same.regression and same.overall.p_value == 1.0


def test_a_drop_spread_too_thin_for_any_field_is_found_in_the_whole_and_the_lowest_named() -> None:
    baseline = np.ones((60, 6), dtype=bool)
    run = baseline.copy()
    for place in range(6):
        run[place * 3 : place * 3 + 3, place] = False
    run[59, 0] = False
    gate = compare("baseline", {"resume": outcomes(baseline)}, "run", {"resume": outcomes(run)}, QUICK)
    assert not any(field.worse for field in gate.fields)
    assert gate.regression and len(gate.named) == 3 and gate.named[0].label == "姓名"


def test_where_only_the_whole_fell_no_field_is_named_that_did_not() -> None:
    baseline = np.ones((60, 6), dtype=bool)
    run = baseline.copy()
    run[:5, 2] = run[5:9, 4] = False
    gate = compare("baseline", {"resume": outcomes(baseline)}, "run", {"resume": outcomes(run)}, QUICK)
    assert gate.regression and not any(field.worse for field in gate.fields)
    assert [field.label for field in gate.named] == [LABELS[2], LABELS[4]]
    assert [change.document_id for change in gate.changes] == [f"d{number}" for number in range(9)]


def test_what_only_one_run_has_is_masked_too() -> None:
    """Kinds are names of files, which people call after whom they are about."""
    right, names = np.ones((4, 6), dtype=bool), ("张伟", "李娜", "王五")
    whole, less, one = outcomes(right), outcomes(right[:, :5], LABELS[:5]), outcomes(right[:1])
    before, after = {"resume": whole, "张伟": whole, "李娜": one}, {"resume": less, "王五": whole, "李娜": one}
    found = compare("a", before, "b", after, QUICK, partial=True).masked(Masker({"姓名": names}))
    told = json.dumps(found.to_dict(), ensure_ascii=False)
    assert not [name for name in names if name in told]
    assert [len(found.lost), len(found.new), len(found.single)] == [2, 1, 1] and found.lost[1] == "resume · 邮箱"


def test_other_documents_gold_or_fields_are_not_compared_in_silence() -> None:
    right = np.ones((4, 6), dtype=bool)
    whole = outcomes(right)
    with pytest.raises(DocumentError, match="⟪d3⟫"):
        compare("a", {"resume": whole}, "b", {"resume": outcomes(right[:3])}, QUICK)
    with pytest.raises(DocumentError, match="no kind of document with a field in common"):
        compare("a", {"resume": whole}, "b", {"invoice": whole}, QUICK)
    more, less = {"resume": whole, "invoice": whole}, {"resume": outcomes(right[:, :5], LABELS[:5])}
    with pytest.raises(DocumentError, match=r"'b' lacks what the baseline 'a' has: invoice, resume · 邮箱; .* --partial"):
        compare("a", more, "b", less, QUICK)
    fewer = compare("a", more, "b", less, QUICK, partial=True)
    assert fewer.lost == ("invoice", "resume · 邮箱") and fewer.new == () and len(fewer.fields) == 5
    further = compare("a", less, "b", more, QUICK)
    assert further.new == fewer.lost and further.lost == () and len(further.fields) == 5
    document, extraction = whole.pairs[0]
    other = KindOutcomes(LABELS, ((replace(document, gold=document.gold[:2]), extraction), *whole.pairs[1:]))
    with pytest.raises((DocumentError, LabelError), match="gold of ⟪d0⟫"):
        compare("a", {"resume": whole}, "b", {"resume": other}, QUICK)


def changed(kind: KindOutcomes, number: int, **fields: object) -> KindOutcomes:
    """With other fields in one document."""
    document, extraction = kind.pairs[number]
    other = (replace(document, **fields), extraction)  # type: ignore[arg-type]
    return KindOutcomes(kind.labels, (*kind.pairs[:number], other, *kind.pairs[number + 1 :]))


def test_ids_that_stand_for_other_texts_or_gold_are_refused_by_name() -> None:
    """Ids such as line-3 coincide for any two files, and any two files may have a value a label."""
    whole = outcomes(np.ones((7, 6), dtype=bool))
    shifted = Document("d0", f"子{TEXT}", tuple(entity.moved(1) for entity in whole.pairs[0][0].gold))
    elsewhere = KindOutcomes(LABELS, ((shifted, Extraction("d0", shifted.text, ())), *whole.pairs[1:]))
    with pytest.raises(DocumentError, match="the text of ⟪d0⟫ is not the same for 'a' and 'b'"):
        compare("a", {"resume": whole}, "b", {"resume": elsewhere}, QUICK)
    first, *others = whole.pairs[3][0].gold
    moved = changed(whole, 3, gold=(Entity(first.label, 6, 7, TEXT[6]), *others))
    with pytest.raises(DocumentError, match="the gold of ⟪d3⟫ is not the same for 'a' and 'b'; use one gold"):
        compare("a", {"resume": whole}, "b", {"resume": moved}, QUICK)
    backwards = changed(whole, 3, gold=whole.pairs[3][0].gold[::-1])
    assert not compare("a", {"resume": whole}, "b", {"resume": backwards}, QUICK).changes
    more = changed(whole, 3, gold=(*whole.pairs[3][0].gold, Entity("备注", 6, 7, TEXT[6])))
    assert compare("a", {"resume": whole}, "b", {"resume": more}, QUICK).overall.documents == 7


def test_a_field_is_judged_as_one_of_all_fields_of_all_kinds() -> None:
    baseline, run = planted()
    kinds = ("resume", "letter")
    gate = compare("a", {kind: outcomes(baseline) for kind in kinds}, "b", {kind: outcomes(run) for kind in kinds}, QUICK)
    old, new = (outcomes(right[:, :1], LABELS[:1]).outcomes(name) for name, right in zip("ab", (baseline, run), strict=True))
    name = gate.fields[0].verdict
    assert (len(gate.fields), name.comparisons, name.real) == (12, 12, False)
    alike = [replace(old, name=str(number)) for number in range(11)]
    assert name.documents_needed == judge_all(old, [new, *alike], "micro_f1", QUICK)[0].documents_needed
    assert name.documents_needed != judge(old, new, "micro_f1", QUICK).documents_needed


def test_resamples_too_few_to_name_any_field_are_refused() -> None:
    baseline, run = (outcomes(right) for right in planted())
    with pytest.raises(OptionError, match="among 6 comparisons; use at least 119"):
        compare("a", {"resume": baseline}, "b", {"resume": run}, Settings(resamples=118))
    assert compare("a", {"resume": baseline}, "b", {"resume": run}, Settings(resamples=119)).named


def test_the_only_document_of_a_kind_counts_in_the_whole_and_is_not_judged_field_by_field() -> None:
    baseline, run = planted()
    before = {"resume": outcomes(baseline), "letter": outcomes(baseline[:1])}
    gate = compare("a", before, "b", {"resume": outcomes(run), "letter": outcomes(run[:1])}, QUICK)
    assert gate.single == ("letter",) == tuple(gate.to_dict()["single"]) and gate.lost == gate.new == ()
    assert {field.kind for field in gate.fields} == {"resume"} and gate.overall.documents == 61
    one, other = ({kind: outcomes(right[:1]) for kind in ("resume", "letter")} for right in (baseline, run))
    assert compare("a", one, "b", other, QUICK).fields == ()
    with pytest.raises(DocumentError, match="'a' was measured on a single document"):
        compare("a", {"letter": one["letter"]}, "b", {"letter": other["letter"]}, QUICK)


def recorded(make_run: Callable[..., Run], folder: Path, right: Right, **changes: object) -> Run:
    folder.mkdir(parents=True)
    kind = outcomes(right)
    documents, extractions = zip(*kind.pairs, strict=True)
    write_outcomes(folder / "outcomes.jsonl", {"resume": Evaluation(Scores.from_pairs(kind.pairs, LABELS), extractions, (), documents)})
    return write_run(make_run(id=folder.name, folder=folder, **changes))


def test_runs_are_compared_from_their_folders(make_run: Callable[..., Run], tmp_path: Path) -> None:
    first, second = (recorded(make_run, tmp_path / name, right) for name, right in zip("ab", planted(), strict=True))
    assert latest_run(str(tmp_path), first).id == "b"
    assert compare_runs(first, second, QUICK).regression
    with pytest.raises(RunError, match="run b killed"):
        compare_runs(first, replace(second, status="killed"), QUICK)
    (second.folder / "outcomes.jsonl").unlink()
    with pytest.raises(RunError, match=r"left no outcomes\.jsonl"):
        compare_runs(first, second, QUICK)
    write_run(second)
    with pytest.raises(RunError, match=r"newest run of toy\.ipynb after the baseline a, b, left no outcomes\.jsonl"):
        latest_run(str(tmp_path), first)


def test_no_stale_run_is_judged_in_place_of_the_newest(make_run: Callable[..., Run], tmp_path: Path) -> None:
    times = {"old": "2024-03-14T09:00:00.000+00:00", "new": "2024-03-16T09:00:00.000+00:00", "failed": "2024-03-17T09:00:00.000+00:00"}
    right = planted()[0]
    old, new = (recorded(make_run, tmp_path / name, right, started=times[name]) for name in ("old", "new"))
    recorded(make_run, tmp_path / "other", right, started=times["failed"], notebook="elsewhere.ipynb")
    assert latest_run(str(tmp_path), old).id == "new"
    with pytest.raises(RunError, match=r"no run of toy\.ipynb that began after the baseline new"):
        latest_run(str(tmp_path), new)
    recorded(make_run, tmp_path / "failed", right, started=times["failed"], status="failed")
    with pytest.raises(RunError, match="after the baseline old, failed, is failed; run it again"):
        latest_run(str(tmp_path), old)


def test_a_run_from_the_future_does_not_hide_all_later_ones(make_run: Callable[..., Run], tmp_path: Path) -> None:
    right = planted()[0]
    times = {"old": "2024-03-14T09:00:00.000+00:00", "new": "2024-03-16T09:00:00.000+00:00", "future": "2999-01-01T00:00:00.000+00:00"}
    old, *_ = [recorded(make_run, tmp_path / name, right, started=started) for name, started in times.items()]
    with pytest.raises(RunError, match=r"after the baseline old, future, began at 2999-01-01.*the clock was wrong"):
        latest_run(str(tmp_path), old)
