"""The site of runs as a reader uses it: from a file share, with no network, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from seqgpt_lab.reports.owner import Owner
from seqgpt_lab.reports.runs import Failure, Run, write_run
from seqgpt_lab.reports.site import build_site

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three completed runs of two kinds of document with rising scores, and a killed one."""
    root = tmp_path_factory.mktemp("site")
    for number in range(4):
        folder = root / "runs" / f"2024031{number}-000000-000-00000{number}"
        folder.mkdir(parents=True)
        strict = {"micro": {"f1": 0.6 + number / 10}, "exact_record_rate": number / 10, "per_label": {"姓名": {"f1": 0.5 + number / 10}}}
        if number < 3:
            metrics = {"overall": {"f1": 0.6 + number / 10}, "kinds": {"简历": {"strict": strict}, "invoice": {"strict": strict}}}
            (folder / "metrics.json").write_text(json.dumps(metrics))
        (folder / "report.html").write_text("<html><body><main><h1>报告</h1></main></body></html>", encoding="utf-8")
        run = Run(
            id=folder.name,
            status="completed" if number < 3 else "killed",
            notebook="06_evaluation.ipynb" if number < 3 else "01_quickstart.ipynb",
            notebook_sha256="0" * 64,
            parameters={"model": "tiny", "limit": number, "documents": ["数据 集/一个 很长 的 名字.jsonl", "another/long/path.jsonl"]},
            given=(),
            started=f"2024-03-1{number}T14:22:33.123+00:00",
            error=Failure("ValueError", "the file was gone") if number == 3 else None,
            owner=Owner("a-host", 1, 0.0),
            folder=folder,
        )
        write_run(run)
    return build_site(root / "runs", root / "分享 1")


@pytest.fixture
def page(browser: Browser, index: Path) -> Iterator[Page]:
    context = browser.new_context(offline=True)
    opened = context.new_page()
    console: list[str] = []
    requests: list[str] = []
    opened.on("console", lambda message: console.append(message.text))
    opened.on("pageerror", lambda error: console.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(index.as_uri())
    assert requests == [index.as_uri()]
    yield opened
    assert console == [] and not [url for url in requests if not url.startswith(("file:", "data:"))]
    context.close()


def test_it_fits_a_phone_and_says_there_why_a_run_ended(page: Page) -> None:
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    assert max(page.evaluate("[...document.querySelectorAll('#runs tbody tr')].map(one => one.getBoundingClientRect().height)")) < 120
    assert "the file was gone" in page.locator("#runs").inner_text()
    page.get_by_role("link", name="Compare two runs").click()
    assert page.locator("#first").evaluate("one => one.getBoundingClientRect().top") < 800


def test_runs_are_filtered_compared_and_followed_over_time(page: Page) -> None:
    assert page.locator("#runs tbody tr").count() == 4
    assert page.locator("#trends figure").count() == 2 and page.locator("#trends circle").count() == 12
    assert "姓名" in page.locator("#comparison").inner_text() and "+10.00" in page.locator("#comparison").inner_text()
    page.locator("#status").select_option("killed")
    assert page.locator("#runs tbody tr").count() == 1 and page.locator("#trends figure").count() == 0
    page.locator("#status").select_option("")
    page.locator("#search").fill('limit":"1"')
    assert page.locator("#runs tbody tr").count() == 1 and page.locator("#count").inner_text() == "1 of 4 shown"
    page.locator("#search").fill("")
    page.locator("#first").select_option(index=1)
    page.locator("#second").select_option(index=3)
    assert "-20.00" in page.locator("#comparison td.worse").first.inner_text()
    with page.expect_download() as download:
        page.get_by_role("link", name="Data (CSV)").first.click()
    assert "wholly_right" in Path(download.value.path()).read_text(encoding="utf-8-sig")
    page.get_by_role("link", name="report").first.click()
    assert page.locator("h1").inner_text() == "报告"
