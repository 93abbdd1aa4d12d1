"""The designer as people use it: notebook 01 in a real JupyterLab, and through voila, in a real browser.

With SEQGPT_LAB_PICTURES=folder the pages are also photographed there, for the documentation.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page

from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.resources import bundled_notebook
from tests.browser.jupyter import TOKEN, jupyter_lab, voila

pytestmark = [pytest.mark.browser, pytest.mark.timeout(280)]
NOTEBOOK = "01_label_design.ipynb"
TEXT = "张伟，35岁，现任上海云智科技有限公司高级算法工程师，电话138****1234"
HOSTILE = '<img src=x onerror="window.taken=1"><script>window.taken=2</script>'
KERNEL_READY = """() => {
    const context = window.jupyterapp?.shell.currentWidget?.sessionContext;
    return context?.isReady && context.session?.kernel?.status === 'idle';
}"""
# What a screen reader would have nothing to say of.
NAMELESS = """() => [...document.querySelectorAll('.seqgpt-designer :is(input, textarea, select)')]
    .filter(box => ![box.getAttribute('aria-label'), box.title, box.placeholder, ...[...box.labels].map(label => label.textContent)]
        .some(name => name?.replace('\\u200b', '').trim()))
    .map(box => box.outerHTML)"""
CLICK_TO_MARKS = """() => new Promise(resolve => {
    const begun = performance.now();
    new MutationObserver((_, observer) => { observer.disconnect(); resolve(performance.now() - begun); })
        .observe(document.querySelector('.seqgpt-marks'), {childList: true, subtree: true});
    document.querySelector('.seqgpt-run').click();
})"""


@dataclass
class Visit:
    """A page with the designer on it, what went wrong on its console, and every address it asked for."""

    page: Page
    errors: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)

    def at(self, hook: str) -> Locator:
        return self.page.locator(f".seqgpt-designer .seqgpt-{hook}")

    def tab_to(self, hook: str) -> None:
        """Move the focus there with the Tab key alone."""
        for _ in range(20):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("hook => document.activeElement.closest(hook) !== null", f".seqgpt-{hook}"):
                return
        raise AssertionError(f"Tab does not lead to {hook}")

    def show(self, tab: str) -> None:
        self.page.get_by_role("tab", name=tab).click()

    def photograph(self, name: str) -> None:
        folder = os.environ.get("SEQGPT_LAB_PICTURES")
        if folder:
            self.page.locator(".seqgpt-designer").screenshot(path=Path(folder) / name)

    def stayed_here_without_errors(self) -> None:
        hosts = {urlsplit(address).hostname for address in self.addresses if not address.startswith(("data:", "blob:"))}
        assert hosts == {"127.0.0.1"}, self.addresses
        assert self.errors == []
        assert self.page.evaluate("window.taken") is None


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1180, "height": 1300})
    context.set_default_timeout(60_000)
    visit = Visit(context.new_page())
    visit.page.on("console", lambda message: visit.errors.append(message.text) if message.type == "error" else None)
    visit.page.on("pageerror", lambda error: visit.errors.append(str(error)))
    visit.page.on("request", lambda request: visit.addresses.append(request.url))
    visit.page.on("websocket", lambda socket: visit.addresses.append(socket.url))
    yield visit
    context.close()


def test_labels_are_designed_in_jupyterlab(visit: Visit, tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    shutil.copy(bundled_notebook(NOTEBOOK), tmp_path)
    with jupyter_lab(tmp_path) as address:
        visit.page.goto(f"{address}/lab/tree/{NOTEBOOK}?token={TOKEN}&reset")
        visit.page.wait_for_function(KERNEL_READY)
        visit.page.evaluate("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        visit.at("input").wait_for()
        a_text_is_typed_and_a_fix_accepted_by_keyboard(visit)
        hostile_input_is_shown(visit)
        record_property("click_to_marks_ms", a_sample_is_run(visit))
        two_label_sets_are_compared(visit)
        it_is_exported(visit, tmp_path)
        a_mistake_is_told(visit)
        assert visit.page.evaluate(NAMELESS) == []
        visit.stayed_here_without_errors()


def a_text_is_typed_and_a_fix_accepted_by_keyboard(visit: Visit) -> None:
    visit.at("input").locator("textarea").focus()
    visit.page.keyboard.insert_text(TEXT)
    visit.tab_to("labels")
    visit.page.keyboard.type("姓名,年龄, 公司，手机号，关键信息")
    visit.at("finding").filter(has_text="关键信息").wait_for()  # shown only once the last letter has come through
    visit.photograph("designer-lint.png")
    visit.tab_to("fix")
    visit.page.keyboard.press("Space")
    visit.at("finding").first.wait_for(state="detached")
    assert visit.at("labels").locator("textarea").input_value() == "姓名，年龄，公司，手机号"
    visit.tab_to("run")
    visit.page.keyboard.press("Space")
    visit.at("marks").locator("mark").first.wait_for()
    assert visit.at("marks").locator("mark").filter(has_text="张伟").count() == 1
    assert "of 4 fields found" in visit.at("status").inner_text()
    visit.photograph("designer-marks.png")


def hostile_input_is_shown(visit: Visit) -> None:
    visit.at("input").locator("textarea").fill(TEXT + HOSTILE)
    visit.at("labels").locator("textarea").fill(f"姓名，{HOSTILE}")
    visit.at("chip").filter(has_text="<script>").first.wait_for()
    visit.at("run").click()
    visit.at("marks").locator(".seqgpt-legend").filter(has_text="<script>").wait_for()
    assert HOSTILE in visit.at("marks").locator(".seqgpt-text").inner_text()


def a_sample_is_run(visit: Visit) -> float:
    """Milliseconds from the click to the marks, on a bundled document with its own labels, the third time."""
    visit.page.locator(".seqgpt-designer select").first.select_option("resume")
    visit.at("its-labels").click()
    for _ in range(3):
        visit.at("sample").click()
        visit.at("status").filter(has_text="sample resume-dev").wait_for()
        milliseconds: float = visit.page.evaluate(CLICK_TO_MARKS)
        visit.at("status").filter(has_text="of 8 fields found").wait_for()
    visit.show("Values")
    assert visit.at("values").locator("th").all_inner_texts() == ["field", "value", "confidence", "expected"]
    assert milliseconds < 5_000
    return milliseconds


def two_label_sets_are_compared(visit: Visit) -> None:
    visit.at("labels").locator("textarea").fill("姓名，年龄，邮箱")
    visit.show("A/B")
    visit.at("copy").click()
    visit.at("labels-b").locator("textarea").fill("姓名，年龄，邮箱→email")
    visit.at("compare-text").click()
    visit.at("contest").locator("mark").first.wait_for()
    visit.page.locator(".seqgpt-designer input[type=number]").fill("8")
    visit.at("compare-documents").click()
    verdict = visit.at("contest").locator(".seqgpt-note")
    verdict.wait_for()
    assert "On 8 documents" in verdict.inner_text() and "micro F1" in verdict.inner_text()
    visit.photograph("designer-ab.png")


def it_is_exported(visit: Visit, folder: Path) -> None:
    visit.show("Export")
    visit.at("export").click()
    visit.at("download").wait_for()
    with visit.page.expect_download() as download:
        visit.at("download").click()
    names = ("姓名", "年龄", "邮箱")
    assert LabelSet.load(download.value.path()).names == names
    visit.at("save").click()
    visit.at("export-box").locator(".seqgpt-note").filter(has_text="saved as").wait_for()
    assert LabelSet.load(folder / "labels.yaml").names == names
    visit.page.get_by_role("button", name="Code").click()
    visit.at("export").click()
    visit.at("download").filter(has_text="extract.py").wait_for()
    assert "Engine.load('tiny'" in visit.at("export-box").locator("textarea").input_value()


def a_mistake_is_told(visit: Visit) -> None:
    visit.at("labels").locator("textarea").fill("")
    visit.at("run").click()
    visit.page.get_by_role("alert").filter(has_text="label set A is empty").wait_for()
    visit.at("undo").click()
    visit.page.wait_for_function("document.querySelector('.seqgpt-labels textarea').value === '姓名，年龄，邮箱'")


@pytest.mark.full
def test_the_same_page_works_through_voila(visit: Visit, tmp_path: Path) -> None:
    shutil.copy(bundled_notebook(NOTEBOOK), tmp_path)
    with voila(tmp_path, NOTEBOOK) as address:
        visit.page.goto(address)
        visit.at("input").wait_for()
        a_text_is_typed_and_a_fix_accepted_by_keyboard(visit)
        hostile_input_is_shown(visit)
        a_sample_is_run(visit)
        two_label_sets_are_compared(visit)
        it_is_exported(visit, tmp_path)
        a_mistake_is_told(visit)
        visit.stayed_here_without_errors()
