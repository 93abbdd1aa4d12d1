from __future__ import annotations

import base64
import re
import warnings
from xml.etree import ElementTree

import pandas
import pytest
from bs4 import BeautifulSoup

from seqgpt_lab.reports.drawing import Drawing
from seqgpt_lab.reports.figures import kind_scores, label_scores, mistake_counts, reliability, variant_scores

LABELS = pandas.DataFrame(
    {"kind": ["简历", "a & b"], "label": pandas.Series(["姓名", "$x$ <b>\x07\ud800"], dtype=object), "f1": [0.987, 0.5], "support": [60, 7]}
)
KINDS = pandas.DataFrame({"kind": ["resume"], "f1": [0.91], "exact_record_rate": [0.75], "documents": [40]})
STEPS = ["join_lines", "strip_spaces", "half_width", "ocr_correction", "remove_brackets"]
MISTAKES = pandas.DataFrame({"kind": ["missed", "too long"], "mistakes": [4, 0]})


def variants(names: list[str]) -> pandas.DataFrame:
    scores = {"micro_f1": 0.94, "real": False, "difference": -0.292, "low": -0.367, "high": -0.224}
    return pandas.DataFrame({"variant": names}).assign(**scores)


def texts(drawing: Drawing) -> list[str]:
    return ["".join(element.itertext()) for element in ElementTree.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text")]


def test_names_and_numbers_are_real_text() -> None:
    found = texts(label_scores(LABELS))
    assert "简历 · 姓名" in found and "a & b · $x$ <b>\ufffd\ufffd" in found
    assert "0.987  (n = 60)" in " ".join(found).replace("\xa0", " ") or "0.987 (n = 60)" in found
    assert any("30 of 40 records wholly right" in text for text in texts(kind_scores(KINDS)))
    assert {"missed", "too long", "4", "0"} <= set(texts(mistake_counts(MISTAKES)))


@pytest.mark.parametrize(
    "drawing", [label_scores(LABELS), kind_scores(KINDS), mistake_counts(MISTAKES)], ids=["labels", "kinds", "mistakes"]
)
def test_a_drawing_names_no_host_no_fixed_ink_and_no_machine_font(drawing: Drawing) -> None:
    assert re.findall(r'https?://[^"\s]+', drawing.svg) in ([], ["http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"])
    assert "currentColor" in drawing.svg and not re.search("#0[1-4]0[1-4]0[1-4]", drawing.svg)
    assert "DejaVu" not in drawing.svg and "<style" not in drawing.svg
    assert "sans-serif" in drawing.svg


def test_the_figure_offers_its_numbers() -> None:
    html = label_scores(LABELS)._repr_html_()
    found = re.search(r'href="data:text/csv;charset=utf-8;base64,([^"]+)"', html)
    assert found is not None
    table = base64.b64decode(found[1]).decode("utf-8-sig")
    assert table.startswith("kind,label,f1,support\n") and "简历,姓名,0.987,60" in table
    assert "<b>" not in html.replace("&lt;b&gt;", "")


def test_chinese_raises_no_warning_and_drawing_twice_gives_the_same() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert label_scores(LABELS) == label_scores(LABELS)


def test_nothing_to_draw_is_said() -> None:
    assert "nothing to draw" in texts(label_scores(LABELS.iloc[:0]))
    assert "nothing to draw" in texts(mistake_counts(MISTAKES.iloc[:0]))


def bar_ends(drawing: Drawing) -> list[float]:
    bars = re.findall(r'<path d="([^"]+)"[^>]*style="fill: var\(--bar', drawing.svg)
    return [max(float(x) for x in re.findall(r"[ML] ([\d.]+) ", bar)) for bar in bars]


def red_bars(drawing: Drawing) -> list[bool]:
    return [colour == "--bar-2" for colour in re.findall(r"fill: var\((--bar(?:-2)?),", drawing.svg)]


def test_a_long_bar_is_a_high_score() -> None:
    high, low = bar_ends(label_scores(LABELS))
    assert high > low


def test_a_label_of_which_nothing_is_to_be_found_is_no_success() -> None:
    frame = pandas.DataFrame({"label": ["姓名", "身份证号", "邮箱"], "f1": [0.5, 1.0, 0.0], "support": [4, 0, 0]})
    drawing = label_scores(frame)
    half, idle, wrong = bar_ends(drawing)
    assert half > idle == wrong
    assert [note for note in texts(drawing) if "n =" in note] == ["0.500  (n = 4)", "nothing to find  (n = 0)", "0.000  (n = 0)"]


def test_red_bars_are_explained_and_mean_that_something_is_wrong() -> None:
    scores = label_scores(LABELS)
    assert red_bars(scores) == [False, True] and "red: below 0.9" in scores.caption
    assert not any(red_bars(mistake_counts(MISTAKES)))
    bins = {"low": [0.1, 0.8], "high": [0.2, 0.9], "values": [5, 20], "confidence": [0.15, 0.85], "right": [0.2, 0.5]}
    sure = reliability(pandas.DataFrame(bins))
    assert red_bars(sure) == [False, True] and "red: fewer are right" in sure.caption


def test_a_long_name_is_broken_into_lines_of_one_text() -> None:
    """One text, so that masking finds a value that a line's end cuts."""
    names = [" + ".join(STEPS), "、".join(["供应商", "采购方", "预付款比例"] * 4), "x" * 90]
    drawing = variant_scores(variants(names))
    found = texts(drawing)
    assert set(names) <= set(found)
    elements = [one for one in ElementTree.fromstring(drawing.svg).iter("{http://www.w3.org/2000/svg}text") if len(one)]
    assert [len(one) for one in elements] == [4, 4, 4]
    assert all(len(line.text or "") <= 27 for one in elements for line in one)


def test_a_screen_reader_is_told_of_the_image_and_of_the_link_beside_it() -> None:
    figure = BeautifulSoup(label_scores(LABELS)._repr_html_(), "html.parser")
    image, link = figure.select_one("[role=img][aria-label]"), figure.select_one("a[download]")
    assert image is not None and image.select_one("svg") is not None
    assert link is not None and link.find_parent(attrs={"role": "img"}) is None
