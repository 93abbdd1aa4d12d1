"""The designer's widgets, clicked as the browser clicks them: what they show, and that nothing goes wrong silently."""

from __future__ import annotations

import ast
import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from ipywidgets import Button, Widget

from seqgpt_lab.apps.designer.design import Design
from seqgpt_lab.apps.designer.panel import Designer
from seqgpt_lab.apps.designer.session import Session
from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import CheckpointError
from seqgpt_lab.extraction.drafts import drafts_of
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.progress import Progress
from tests.apps.designer.conftest import TEXT, KnownValues

HOSTILE = "<img src=x onerror=alert(1)>张伟</textarea><script>alert(2)</script>"


@pytest.fixture
def designer(session: Session) -> Designer:
    return Designer(session)


def buttons(designer: Designer) -> dict[str, Button]:
    return {one.description: one for one in walk(designer.page) if isinstance(one, Button)}


def walk(widget: Widget) -> Iterator[Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from walk(child)


def click(designer: Designer, name: str) -> str:
    """Press a button, wait for what it starts; gives the status as text."""
    buttons(designer)[name].click()
    assert designer.worker.wait(60)
    return BeautifulSoup(designer.status.value, "html.parser").get_text()


def test_a_run_shows_marks_values_and_the_raw_answer(designer: Designer) -> None:
    assert click(designer, "Run").startswith("2 of 2 fields found in ")
    assert [mark.contents[0] for mark in BeautifulSoup(designer.marks.value, "html.parser")("mark")] == ["张伟", "35岁"]
    assert "0.90" in designer.values.value and "expected" not in designer.values.value
    assert "raw &lt;b&gt;answer" in designer.raw.value
    assert len(designer.history.options) == 1 and not designer.run_button.disabled and designer.stop_button.disabled


def test_a_sample_is_shown_with_what_is_expected(designer: Designer) -> None:
    assert click(designer, "Sample") == "sample s0"
    assert designer.text.value == f"0号：{TEXT}"
    click(designer, "Run")
    assert "expected" in designer.values.value


def test_typing_labels_lints_them_at_once_and_a_fix_is_one_click(designer: Designer) -> None:
    designer.labels.line.value = "姓名，关键信息，"
    assert "关键信息" in designer.labels.findings.children[0].children[1].value
    assert designer.labels.line.value == "姓名，关键信息，"
    click(designer, "remove it")
    assert designer.labels.line.value == "姓名" and not designer.labels.findings.children
    click(designer, "Undo")
    assert designer.labels.line.value == "姓名，关键信息" and len(designer.labels.findings.children) == 1
    click(designer, "Redo")
    assert designer.labels.line.value == "姓名" and buttons(designer)["Redo"].disabled


def test_label_sets_are_compared_on_the_text_and_on_documents(designer: Designer) -> None:
    click(designer, "Copy A to B")
    designer.rival.line.value = "姓名→名，年龄"
    click(designer, "Compare on this text")
    assert designer.results.titles[designer.results.selected_index] == "A/B"
    assert "value A" in designer.contest.value and "value B" in designer.contest.value
    click(designer, "Compare on documents")
    text = BeautifulSoup(designer.contest.value, "html.parser").get_text()
    assert "'B' has a lower micro F1 than 'A' on 20 documents" in text and "公司: marked in the documents" in text
    click(designer, "Run")
    assert designer.results.selected_index == 0


def test_letters_that_come_after_the_click_are_asked_too(designer: Designer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes and buttons do not share a line to the kernel: what was typed before a click may be heard after it."""
    monkeypatch.setattr("seqgpt_lab.apps.designer.panel._LETTERS_ARRIVE", 2.0)
    designer.labels.line.value = "姓"
    designer.run_button.click()
    designer.labels.line.value = "姓名，年龄，公司"
    assert designer.worker.wait(60) and "3 of 3 fields found" in designer.status.value
    click(designer, "Copy A to B")
    designer.limit.value = 1
    buttons(designer)["Compare on documents"].click()
    designer.limit.value = 12
    assert designer.worker.wait(60) and "On 12 documents" in designer.contest.value


def test_history_leads_back_to_a_trial(designer: Designer) -> None:
    click(designer, "Run")
    designer.labels.line.value = "公司"
    click(designer, "Run")
    designer.history.index = 1
    click(designer, "Take up again")
    assert designer.labels.line.value == "姓名，年龄" and "云智科技</mark>" not in designer.marks.value


@pytest.mark.parametrize(
    ("error", "told"),
    [(CheckpointError("no <weights>; load it again"), "no <weights>; load it again"), (ZeroDivisionError("0"), "fault of the lab")],
)
def test_an_error_is_shown_and_the_page_goes_on(designer: Designer, extractor: KnownValues, error: Exception, told: str) -> None:
    extractor.raises = error
    for name in ("Run", "Compare on documents"):
        designer.session.copy_to_rival()
        assert told in click(designer, name)
        assert 'role="alert"' in designer.status.value and "<weights>" not in designer.status.value
        assert not designer.run_button.disabled and designer.stop_button.disabled
    extractor.raises = None
    assert "fields found" in click(designer, "Run")


def test_an_error_is_gone_once_something_else_is_done(designer: Designer, tmp_path: Path) -> None:
    export = designer.export
    export.path.value = str(tmp_path / "a.yaml")
    assert not click(designer, "Save") and "saved as" in export.told.value
    export.path.value = str(tmp_path / "b.yaml")
    assert "cannot be read" in click(designer, "Load label set") and not export.told.value
    export.path.value = str(tmp_path / "a.yaml")
    assert not click(designer, "Load label set") and "label set A is now" in export.told.value
    designer.labels.line.value = "，".join(map(str, range(201)))
    assert "201 labels" in designer.status.value
    designer.labels.line.value = "姓名"
    assert not designer.status.value
    assert "of 1 fields found" in click(designer, "Run")
    designer.labels.line.value = "姓名，年龄"
    assert "of 1 fields found" in designer.status.value, "only errors go away"


def test_every_button_either_does_something_or_says_why_not() -> None:
    """On an empty session: no text, no labels, no samples, nothing run."""
    designer = Designer(Session(KnownValues()))
    silent = []
    for name, button in buttons(designer).items():
        designer.status.value = ""
        told = click(designer, name)
        if not (told or button.disabled or name == "Copy A to B"):
            silent.append(name)
    assert not silent


def test_text_and_labels_are_shown_and_never_run(designer: Designer) -> None:
    designer.text.value = HOSTILE
    designer.labels.line.value = "姓名，<script>x</script>，<img src=y onerror=z>"
    click(designer, "Copy A to B")
    click(designer, "Compare on this text")
    click(designer, "Compare on documents")
    click(designer, "Export")
    for widget in walk(designer.page):
        if type(widget).__name__ == "HTML":
            page = BeautifulSoup(widget.value, "html.parser")
            assert not page.find_all(["script", "img", "textarea"]), widget.value
            assert not [tag for tag in page.find_all(True) if any(name.startswith("on") for name in tag.attrs)]


class Waiting(KnownValues):
    """Waits with its answer until it is told to go on."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go_on = threading.Event(), threading.Event()

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        self.reached.set()
        assert self.go_on.wait(60)
        return super().extract(documents, labels)


def test_work_is_seen_stopped_and_never_doubled(session: Session) -> None:
    session.extractor = waiting = Waiting()
    designer = Designer(session)
    session.copy_to_rival()
    buttons(designer)["Compare on documents"].click()
    assert waiting.reached.wait(60)
    assert designer.run_button.disabled and not designer.stop_button.disabled and designer.bar.layout.visibility == "visible"
    designer.run_button.click()
    assert "one thing at a time" in designer.status.value and designer.run_button.disabled
    buttons(designer)["Stop"].click()
    waiting.go_on.set()
    assert designer.worker.wait(60)
    assert "stopped" in designer.status.value and waiting.asked == [8]
    assert not designer.run_button.disabled and designer.bar.layout.visibility == "hidden"


def test_exports_are_shown_saved_and_loaded_again(designer: Designer, tmp_path: Path) -> None:
    export = designer.export
    export.format.value = "Code"
    assert "nothing was run yet" in click(designer, "Export")
    click(designer, "Run")
    click(designer, "Export")
    assert "there is no code" in designer.status.value and export.content.value == ""
    export.format.value = "Result (JSON)"
    click(designer, "Export")
    assert json.loads(export.content.value)["values"] == {"姓名": "张伟", "年龄": "35岁"}
    export.format.value = "Label set (YAML)"
    export.path.value = str(tmp_path / "a.yaml")
    click(designer, "Save")
    assert LabelSet.load(tmp_path / "a.yaml").names == ("姓名", "年龄")
    designer.labels.line.value = "公司"
    click(designer, "Load label set")
    assert designer.labels.line.value == "姓名，年龄"
    for path, name in ((tmp_path / "no" / "a.yaml", "Save"), (tmp_path / "b.yaml", "Load label set")):
        export.path.value = str(path)
        assert str(path) in click(designer, name)


def test_a_file_of_someone_else_is_replaced_only_when_save_is_pressed_again(designer: Designer, tmp_path: Path) -> None:
    theirs = tmp_path / "labels.yaml"
    theirs.write_text("fields: [甲]", encoding="utf-8")
    designer.export.path.value = str(theirs)
    assert "is there already" in click(designer, "Save") and theirs.read_text(encoding="utf-8") == "fields: [甲]"
    assert not click(designer, "Save") and LabelSet.load(theirs).names == ("姓名", "年龄")
    designer.labels.line.value = "公司"
    assert not click(designer, "Save") and LabelSet.load(theirs).names == ("公司",)


def test_a_file_is_found_again_under_the_name_that_it_was_saved_with(
    designer: Designer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    designer.export.path.value = "~/a.yaml"
    assert not click(designer, "Save") and (tmp_path / "a.yaml").exists()
    designer.labels.line.value = "公司"
    assert not click(designer, "Load label set") and designer.labels.line.value == "姓名，年龄"
    assert not click(designer, "Save"), "what was loaded is worked on"


def test_code_is_exported_as_the_session_s_extractor_was_made(random_model: Path) -> None:
    with Engine.load(random_model) as engine:
        designer = Designer(Session(Extractor(engine, max_new_tokens=3, grounded=True), design=Design(TEXT, drafts_of("姓名"))))
        click(designer, "Run")
        designer.export.format.value = "Code"
        click(designer, "Export")
    assert ast.parse(designer.export.content.value) and 'download="extract.py"' in designer.export.link.value
    assert f"Engine.load({str(random_model)!r}" in designer.export.content.value
    assert "Extractor(engine, max_new_tokens=3, grounded=True)" in designer.export.content.value


def test_a_page_without_a_kernel_says_what_is_missing(designer: Designer) -> None:
    bundle = designer._repr_mimebundle_()
    assert "JupyterLab" in bundle["text/html"] and "application/vnd.jupyter.widget-view+json" in bundle
