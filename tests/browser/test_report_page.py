"""A report as a reader opens it: from a file, with no network, in a real browser."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import pandas
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from playwright.sync_api import Browser, Page

from seqgpt_lab.reports.figures import label_scores, variant_scores
from seqgpt_lab.reports.owner import Owner
from seqgpt_lab.reports.page import render_page
from seqgpt_lab.reports.runs import Failure, Run
from seqgpt_lab.studies.display import Html, table
from seqgpt_lab.studies.plan_study import compare_machines, plan_grid, show_plans
from tests.browser.conftest import CHROMIUM

pytestmark = pytest.mark.browser
MakePage = Callable[[Html], Path]
FONT_LIST = shutil.which("fc-list")
HAS_CHINESE_FONT = bool(FONT_LIST and subprocess.run([FONT_LIST, ":lang=zh"], capture_output=True, check=False).stdout)


@dataclass
class Seen:
    """A page that was opened, what it said on the console, and what it asked for beyond its own file."""

    page: Page
    console: list[str]
    requests: list[str]


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A failed run's page with Chinese text, a figure, a table, and output that tries to run and load things."""
    drawing = label_scores(pandas.DataFrame({"label": ["姓名", "开户银行"], "f1": [0.99, 0.8], "support": [60, 12]}))
    columns = ["kind", "documents", "precision", "recall", "string_f1", "exact_record_rate", "hallucination_rate", "parse_failure_rate"]
    wide = pandas.DataFrame({name: ["medical_registration"] * 2 for name in columns})
    hostile = "<script>document.title='taken over'</script><img src='https://pics.example/a.png' onerror='x()'><b>粗体</b>"
    cells = [
        new_markdown_cell("# 评测报告\n\n## 各标签\n\n## 错误\n\n## 文档"),
        new_code_cell("draw()", outputs=[new_output("display_data", data={"text/html": drawing._repr_html_()})]),
        new_code_cell("show()", outputs=[new_output("display_data", data={"text/html": hostile})]),
        new_code_cell("wide", outputs=[new_output("display_data", data={"text/html": wide.to_html()})]),
    ]
    run = Run(
        id="20240315-142233-123-9f3a12",
        status="failed",
        notebook="toy.ipynb",
        notebook_sha256="0" * 64,
        parameters={"name": "张伟"},
        given=("name",),
        started="2024-03-15T14:22:33.123+00:00",
        finished="2024-03-15T14:22:35.123+00:00",
        seconds=2.0,
        owner=Owner("a-host", 1, 0.0),
        error=Failure("ValueError", "坏了", 2, "Traceback: …"),
    )
    path = tmp_path / "报告 1.html"
    path.write_text(render_page(new_notebook(cells=cells), run, None), encoding="utf-8")
    return path


@pytest.fixture
def make_page(tmp_path: Path) -> MakePage:
    """Writes the page of a run that showed this table."""

    def make(shown: Html) -> Path:
        cell = new_code_cell("show()", outputs=[new_output("display_data", data={"text/html": shown.html})])
        owner, started = Owner("a-host", 1, 0.0), "2024-03-15T14:22:33.123+00:00"
        run = Run("a-run", "completed", "toy.ipynb", "0" * 64, {}, (), started, owner, seconds=2.0)
        path = tmp_path / "table.html"
        path.write_text(render_page(new_notebook(cells=[cell]), run, None), encoding="utf-8")
        return path

    return make


def open_page(browser: Browser, path: Path, scheme: str = "light") -> Iterator[Seen]:
    context = browser.new_context(offline=True, color_scheme="dark" if scheme == "dark" else "light")
    page = context.new_page()
    seen = Seen(page, [], [])
    page.on("console", lambda message: seen.console.append(message.text))
    page.on("pageerror", lambda error: seen.console.append(str(error)))
    page.on("request", lambda request: seen.requests.append(request.url))
    page.goto(path.as_uri())
    yield seen
    context.close()


@pytest.fixture(params=["light", "dark"])
def seen(browser: Browser, report: Path, request: pytest.FixtureRequest) -> Iterator[Seen]:
    yield from open_page(browser, report, request.param)


def test_it_asks_for_nothing_and_complains_of_nothing(seen: Seen, report: Path) -> None:
    assert seen.requests == [report.as_uri()]
    assert seen.console == []
    assert seen.page.title() == "评测报告"


def test_text_stands_out_from_the_ground(seen: Seen) -> None:
    ink, ground = seen.page.evaluate("[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]")
    assert abs(brightness(ink) - brightness(ground)) > 150
    label = seen.page.evaluate("getComputedStyle(document.querySelector('svg text')).fill")
    assert label == ink


def brightness(colour: str) -> float:
    """The mean of the channels of `rgb(r, g, b)`, 0 to 255."""
    channels = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
    return sum(channels) / 3


@pytest.mark.skipif(not HAS_CHINESE_FONT, reason="no font with Chinese on this machine: apt-get install fonts-wqy-microhei")
def test_chinese_is_drawn_in_headings_tables_and_figures(seen: Seen) -> None:
    """Different characters give different pictures: boxes for missing glyphs would all look the same."""
    for selector, first, second in (("h1", "评", "测"), (".parameters td.value", "张", "伟"), ("svg text", "姓", "银")):
        pictures = pictures_of(seen.page, selector, first, second)
        assert pictures[0] != pictures[1], f"{first} and {second} look the same in {selector}"


def test_contents_lead_to_their_sections_and_code_unfolds(seen: Seen) -> None:
    seen.page.get_by_role("link", name="错误").click()
    assert seen.page.evaluate("document.querySelector(':target').textContent") == "错误"
    code = seen.page.locator("details.input").first
    assert not code.locator("pre").is_visible()
    code.locator("summary").click()
    assert code.locator("pre").is_visible()


def test_the_data_of_a_figure_can_be_saved(seen: Seen) -> None:
    with seen.page.expect_download() as download:
        seen.page.get_by_role("link", name="Data (CSV)").click()
    assert "开户银行" in Path(download.value.path()).read_text(encoding="utf-8-sig")


# Of every line of text in a drawing: its left, top, right and bottom, in pixels from the drawing's corner; then the drawing's size.
LINES = """() => {
  const drawing = document.querySelector('svg').getBoundingClientRect()
  const lines = [...document.querySelectorAll('svg text, svg tspan')].filter(one => !one.querySelector('tspan'))
  const placed = box => [box.left - drawing.left, box.top - drawing.top, box.right - drawing.left, box.bottom - drawing.top]
  return [...lines.map(one => placed(one.getBoundingClientRect())), placed(drawing)]
}"""


def test_texts_of_a_figure_lie_in_it_and_not_upon_each_other(browser: Browser) -> None:
    names = ["as it is", "join_lines + strip_spaces + half_width + ocr_correction + remove_brackets", "供应商、采购方、合同金额、" * 4]
    scores = {"micro_f1": 0.94, "real": False, "difference": -0.292, "low": -0.367, "high": -0.224}
    page = browser.new_page()
    page.set_content(variant_scores(pandas.DataFrame({"variant": names}).assign(**scores)).svg)
    *boxes, (_, _, width, height) = page.evaluate(LINES)
    assert len(boxes) >= 12
    for left, top, right, bottom in boxes:
        assert left >= 0 and top >= 0 and right <= width and bottom <= height
    for one, other in itertools.combinations(boxes, 2):
        across, down = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
        assert across <= 0 or down <= 4  # lines of one name stand close: their boxes hold the font's accents too
    page.close()


def test_it_fits_a_narrow_screen_and_a_sheet_of_paper(seen: Seen) -> None:
    seen.page.set_viewport_size({"width": 380, "height": 800})
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 380
    # A figure's words keep a size that can be read: it scrolls, its caption does not.
    heights = seen.page.evaluate("[...document.querySelectorAll('figure svg text')].map(one => one.getBoundingClientRect().height)")
    assert heights and min(heights) > 9
    assert max(seen.page.evaluate("[...document.querySelectorAll('figcaption')].map(one => one.getBoundingClientRect().right)")) <= 380
    seen.page.emulate_media(media="print")
    seen.page.set_viewport_size({"width": 718, "height": 1000})  # A4 within its margins
    assert max(seen.page.evaluate("[...document.querySelectorAll('table')].map(one => one.getBoundingClientRect().right)")) <= 718
    assert not seen.page.locator("details.input").first.is_visible()
    assert seen.page.pdf(format="A4").startswith(b"%PDF")


# Of what is shown as HTML: the width it needs, the width it has, and how far it is from the window's left.
WIDTHS = "[...document.querySelectorAll('.output.html')].map(one => [one.scrollWidth, one.clientWidth, one.getBoundingClientRect().left])"


def test_a_wide_table_takes_the_room_of_the_window(browser: Browser, make_page: MakePage) -> None:
    shares = ["precision", "recall", "f1", "string f1", "exact record rate", "hallucination rate", "parse failure rate", "truncated share"]
    path = make_page(
        table(pandas.DataFrame({"kind": ["medical_registration"], "documents": 60, "support": 400, **dict.fromkeys(shares, 0.987)}))
    )
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(path.as_uri())
    ((needed, seen, left),) = page.evaluate(WIDTHS)
    assert 920 < needed <= seen and left >= 0 and page.evaluate("document.documentElement.scrollWidth") <= 1200
    page.close()


# Of each number, and each head of a column, in how many lines its first word stands.
CELL_LINES = """[...document.querySelectorAll('main td, main th')]
  .filter(one => /^[0-9.]+$|^[a-z]+$/.test(one.textContent.trim())).map(one => {
  const range = document.createRange(); range.selectNodeContents(one); return range.getClientRects().length; })"""


def test_on_paper_no_number_is_broken_into_two(browser: Browser, make_page: MakePage) -> None:
    shares = ["precision", "recall", "f1", "string f1", "exact record rate", "hallucination rate", "parse failure rate", "truncated share"]
    path = make_page(
        table(pandas.DataFrame({"kind": ["medical_registration"], "documents": 60, "support": 400, **dict.fromkeys(shares, 0.987)}))
    )
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # A4 within its margins
    page.goto(path.as_uri())
    page.emulate_media(media="print")
    lines = page.evaluate(CELL_LINES)
    assert len(lines) >= 15 and set(lines) == {1}
    assert page.evaluate("document.documentElement.scrollWidth") <= 718
    page.close()


@pytest.mark.parametrize("several", [True, False], ids=["machines", "batches"])
def test_the_planners_tables_fit_the_window(browser: Browser, make_page: MakePage, several: bool) -> None:
    """With all that may differ between rows: 32 prompts of 1,024 tokens wait for each other."""
    batches, lengths = [1, 32], [256, 1024]
    frame = (
        compare_machines(["dual-4090", "h100"], 16, 256, 40, "fp16") if several else plan_grid("dual-4090", batches, lengths, 40, "fp16")
    )
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    page.goto(make_page(show_plans(frame)[1]).as_uri())
    ((needed, seen, left),) = page.evaluate(WIDTHS)
    assert needed <= seen and left >= 0
    page.close()


def test_on_a_phone_a_column_of_chinese_stays_readable(browser: Browser, make_page: MakePage) -> None:
    row = {"kind": ["medical_registration"], "documents": [8], "gold values": [53], "fields": ["患者姓名、性别、年龄、科室、医生、诊断"]}
    path = make_page(table(pandas.DataFrame({**row, "files": ["medical_registration.test.jsonl medical_registration.yaml"]})))
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    assert page.get_by_role("cell", name="患者姓名").evaluate("one => one.getBoundingClientRect().width") > 100
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


@pytest.mark.skipif(not HAS_CHINESE_FONT, reason="no font with Chinese on this machine: apt-get install fonts-wqy-microhei")
def test_chinese_is_drawn_for_a_reader_without_any_chinese_font(browser: Browser, report: Path, tmp_path: Path) -> None:
    """The browser of a machine that has Latin letters only: two characters look different, and do not without the page's font."""
    (tmp_path / "fonts").mkdir()
    shutil.copy(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), tmp_path / "fonts")
    config, bare = tmp_path / "fonts.conf", tmp_path / "bare.html"
    config.write_text(f"<fontconfig><dir>{tmp_path / 'fonts'}</dir><cachedir>{tmp_path / 'cache'}</cachedir></fontconfig>")
    bare.write_text(re.sub("@font-face {[^}]*}", "", report.read_text(encoding="utf-8")), encoding="utf-8")
    arguments, environment = ["--no-sandbox", "--disable-dev-shm-usage"], {**os.environ, "FONTCONFIG_FILE": str(config)}
    poor = browser.browser_type.launch(executable_path=CHROMIUM, args=arguments, env=environment)
    for path, drawn in ((report, True), (bare, False)):
        page = poor.new_context(offline=True).new_page()
        page.goto(path.as_uri())
        for selector, first, second in (("h1", "评", "测"), ("svg text", "姓", "银")):
            pictures = pictures_of(page, selector, first, second)
            assert (pictures[0] != pictures[1]) == drawn, f"{selector} in {path.name}"
    poor.close()


def pictures_of(page: Page, selector: str, *characters: str) -> list[bytes]:
    """How the first such element looks with each of these characters in it."""
    element = page.locator(selector).first
    pictures = []
    for character in characters:
        element.evaluate("(element, text) => { element.textContent = text }", character)
        pictures.append(element.screenshot())
    return pictures
