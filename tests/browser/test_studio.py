"""The studio in a real browser: two visitors at once, one model, sessions of their own, nothing taken for markup."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Error, Page, expect

from seqgpt_lab.apps.designer.samples import sample_collections
from seqgpt_lab.apps.serving.batcher import Batcher
from seqgpt_lab.apps.serving.guard import Guard, Limits
from seqgpt_lab.apps.serving.studio import OPEN_PATHS, SharedExtractor, create_studio
from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.resources import bundled
from tests.apps.conftest import ScriptedEngine
from tests.apps.serving.conftest import free_port
from tests.checkpoints import write_random_checkpoint

pytestmark = pytest.mark.browser
TOKEN = "0123456789abcdef"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> ScriptedEngine:
    return ScriptedEngine(find_checkpoint(write_random_checkpoint(tmp_path_factory.mktemp("studio"), hidden=64, heads=1, layers=1)))


@pytest.fixture(scope="module")
def address(engine: ScriptedEngine) -> Iterator[str]:
    batcher = Batcher(engine, capacity=64)
    studio = create_studio(SharedExtractor(Extractor(engine), batcher, 60.0), sample_collections(kinds=["resume"]))
    port = free_port()
    guarded = Guard(studio, Limits(TOKEN, open_paths=OPEN_PATHS))
    server = uvicorn.Server(uvicorn.Config(guarded, "127.0.0.1", port, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join(30)
    batcher.close()


@pytest.fixture(scope="module")
def visitors(address: str, browser: Browser) -> Iterator[tuple[Page, Page]]:
    """Two people who have entered with the token."""
    contexts = [browser.new_context() for _ in range(2)]
    pages = [context.new_page() for context in contexts]
    for page in pages:
        page.goto(address)
        expect(page.locator("#main")).to_be_hidden()
        page.fill("#token", TOKEN)
        page.click("#enter")
        expect(page.locator("#main")).to_be_visible()
    yield pages[0], pages[1]
    for context in contexts:
        context.close()


@pytest.mark.parametrize("wrong", ["0123456789abcdeX", "不是这个令牌"])
def test_a_wrong_token_is_told_and_the_right_one_enters_by_keyboard(address: str, browser: Browser, wrong: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(address)
    expect(page.locator("#token")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_empty()
    page.fill("#token", wrong)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("This is not the token of this server.")
    expect(page.locator("#main")).to_be_hidden()
    page.fill("#token", TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_visible()
    assert page.url == address, "the token is in no address"
    context.close()


def ask(page: Page, text: str, labels: str) -> None:
    page.fill("#text", text)
    page.fill("#labels", labels)
    page.click("#run")


def test_two_visitors_have_sessions_of_their_own_over_one_model(visitors: tuple[Page, Page], engine: ScriptedEngine) -> None:
    first, second = visitors
    ask(first, "张伟，35岁", "姓名，年龄")
    ask(second, "李娜来了", "姓名")
    expect(first.locator("#marks mark")).to_have_count(2)
    expect(second.locator("#marks mark")).to_have_count(1)
    assert "李娜" not in first.content() and "张伟" not in second.content()
    assert engine.loaded == [], "no visitor loads a model: all are answered by the one that the server has"
    first.fill("#text", "别的")
    first.click("#undo")
    expect(first.locator("#text")).to_have_value("张伟，35岁")
    expect(second.locator("#text")).to_have_value("李娜来了")


def test_samples_findings_and_errors_are_shown(visitors: tuple[Page, Page]) -> None:
    page = visitors[0]
    page.click("#its-labels")
    expect(page.locator("#labels")).to_have_value("，".join(LabelSet.load(bundled("labels", "resume.yaml")).names))
    expect(page.locator("#yaml")).to_have_text(LabelSet.load(bundled("labels", "resume.yaml")).to_yaml())
    page.click("#sample")
    expect(page.locator("#text")).not_to_have_value("张伟，35岁")
    ask(page, "张伟", "姓名，姓名")
    expect(page.locator("#findings button").first).to_be_visible()
    expect(page.locator("#error [role=alert]")).to_be_visible()
    page.locator("#findings button").first.click()
    expect(page.locator("#labels")).to_have_value("姓名")


@pytest.mark.full
def test_two_visitors_of_a_real_studio_share_one_copy_of_the_weights(tmp_path: Path, browser: Browser) -> None:
    """A quarter of a gigabyte of weights, so that a second copy would show in the memory of the process."""
    model = write_random_checkpoint(tmp_path, hidden=512, heads=8, layers=8, vocabulary=60_000)
    weights = (model / "model.safetensors").stat().st_size
    port = free_port()
    words = ["--port", str(port), "--model", str(model), "--dtype", "fp32", "--max-new-tokens", "8"]
    studio = subprocess.Popen([sys.executable, "-m", "seqgpt_lab", "studio", *words], env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        memory = [_resident(studio)]
        for number in range(1, 5):
            page = browser.new_context().new_page()
            _open(page, f"http://127.0.0.1:{port}/", studio)
            ask(page, f"张伟，{number}岁", "姓名，年龄")
            expect(page.locator("#values")).not_to_be_empty(timeout=120_000)
            memory.append(_resident(studio))
    finally:
        studio.terminate()
        assert studio.wait(60) == 0
    assert memory[1] > weights and memory[4] - memory[1] < weights / 2, f"bytes after each visitor: {memory}; the weights: {weights}"


def _open(page: Page, address: str, studio: subprocess.Popen[bytes]) -> None:
    for _ in range(1200):
        try:
            page.goto(address)
            break
        except Error:
            assert studio.poll() is None, "the studio did not start"
            time.sleep(0.1)
    expect(page.locator("#main")).to_be_visible()


def _resident(process: subprocess.Popen[bytes]) -> int:
    return int(Path(f"/proc/{process.pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_was_typed_is_never_markup(visitors: tuple[Page, Page]) -> None:
    page = visitors[1]
    ask(page, f"张伟{HOSTILE}", "姓名")
    expect(page.locator("#marks mark")).to_have_count(1)
    assert page.title() == "SeqGPT Studio" and page.locator("main img").count() == 0


def test_what_cannot_be_taken_stays_where_it_was_typed(visitors: tuple[Page, Page]) -> None:
    page, many = visitors[0], "，".join(f"标签{number}" for number in range(201))
    ask(page, "张伟", many)
    expect(page.locator("#error [role=alert]")).to_contain_text("201 labels")
    expect(page.locator("#labels")).to_have_value(many)
    ask(page, "张伟", "姓名")
    expect(page.locator("#marks mark")).to_have_count(1)


def test_a_pasted_column_of_labels_is_as_many_labels(visitors: tuple[Page, Page]) -> None:
    page = visitors[0]
    page.fill("#text", "name\njob title\nage")
    page.focus("#text")
    page.keyboard.press("Control+A")
    page.keyboard.press("Control+C")
    for box in ("#labels", "#rival"):
        page.fill(box, "")
        page.focus(box)
        page.keyboard.press("Control+V")
        page.keyboard.press("Tab")
        expect(page.locator(box)).to_have_value("name，job title，age")
