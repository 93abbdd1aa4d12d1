"""The designer: ipywidgets over a session. Every handler shows what went wrong, for a widget's callback would swallow it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import ipywidgets

from seqgpt_lab.apps.designer import fragments
from seqgpt_lab.apps.designer.contest import Contest
from seqgpt_lab.apps.designer.export_box import ExportBox
from seqgpt_lab.apps.designer.label_editor import LabelEditor
from seqgpt_lab.apps.designer.session import Session, Stopped, Trial
from seqgpt_lab.apps.designer.work import Worker
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress

# Not 100%: that leaves no room for the margins, and the right edge is cut.
_WIDE = {"width": "auto"}
# A kernel may hand what was typed and the click after it to two threads, and a page holds letters back while those before are being
# read, but not a click: work waits so long, in seconds, for what was typed before.
_LETTERS_ARRIVE = 0.05
_TABS = ("Marks", "Values", "Raw", "A/B", "History", "Export")
_A_B = _TABS.index("A/B")


class Designer:
    """A page to design labels on. session: what it shows.

    Shown by a notebook as it is. Extraction runs in a thread of its own, one at a time, so that the page can be used and the work
    be stopped meanwhile; `worker.wait()` waits for it.
    """

    def __init__(self, session: Session) -> None:
        self.session, self.worker = session, Worker(self._told)
        self._showing = self._failed = False
        self._build_inputs()
        self._build_buttons()
        self._build_results()
        self.page = ipywidgets.VBox([self.text, self.sampling, self.labels.box, self.buttons, self.status, self.results])
        self.page.add_class("seqgpt-designer")
        self._show_design()

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widgets, and a sentence for pages that have no kernel to run them."""
        bundle = dict(self.page._repr_mimebundle_(**options) or {})
        return {
            **bundle,
            "text/html": fragments.note("The designer needs a running kernel: open this notebook in JupyterLab, or with voila."),
        }

    def _build_inputs(self) -> None:
        self.text = ipywidgets.Textarea(
            placeholder="Paste a text here", tooltip="The text to ask", rows=6, continuous_update=False, layout=_WIDE
        )
        self.text.add_class("seqgpt-input")
        self.text.observe(self.safely(lambda: self.session.write(self.text.value), when_shown=False), names="value")
        self.collection = ipywidgets.Dropdown(options=list(self.session.collections), description="Samples")
        sample = self._button("Sample", "sample", "The next sample document of this kind", self._sample)
        its_labels = self._button("Its labels", "its-labels", "Take the label set these samples are usually asked with", self._take_labels)
        self.sampling = ipywidgets.HBox([self.collection, sample, its_labels])
        self.labels = self._label_editor("Labels", rival=False)
        self.rival = self._label_editor("Labels B", rival=True)

    def _build_buttons(self) -> None:
        self.run_button = self._button("Run", "run", "Ask the text for label set A", self._run, "primary")
        self.stop_button = self._button("Stop", "stop", "End the work under way", self.worker.stop, disabled=True)
        self.undo_button = self._button("Undo", "undo", "Back to before the last change", self.session.undo)
        self.redo_button = self._button("Redo", "redo", "Forward again", self.session.redo)
        self.bar = ipywidgets.IntProgress(value=0, max=1, layout={"visibility": "hidden", "flex": "1 1 auto", "width": "auto"})
        self.buttons = ipywidgets.HBox([self.run_button, self.stop_button, self.undo_button, self.redo_button, self.bar])
        self.status = self._html("status")

    def _build_results(self) -> None:
        self.marks, self.values, self.raw, self.contest = map(self._html, ("marks", "values", "raw", "contest"))
        self.history = ipywidgets.Select(options=[], rows=8, tooltip="Trials so far, the newest first", layout=_WIDE)
        self.history.add_class("seqgpt-history")
        again = self._button("Take up again", "again", "Back to the text and labels of this trial", self._take_up_again)
        self.export = ExportBox(self.session, self.safely)
        pages = [self.marks, self.values, self.raw, self._comparison(), ipywidgets.VBox([self.history, again]), self.export.box]
        self.results = ipywidgets.Tab(pages, titles=_TABS)

    def _comparison(self) -> ipywidgets.VBox:
        copy = self._button("Copy A to B", "copy", "Make B the same as A, then change it", self.session.copy_to_rival)
        self.text_button = self._button("Compare on this text", "compare-text", "Ask this text for A and for B", partial(self._run, True))
        self.limit = ipywidgets.BoundedIntText(
            value=0, min=0, max=1_000_000, description="first (0: all)", style={"description_width": "8em"}, layout={"width": "16em"}
        )
        self.documents_button = self._button(
            "Compare on documents", "compare-documents", "Ask the chosen samples for A and B, and judge the difference", self._compare
        )
        row = ipywidgets.HBox([copy, self.text_button, self.documents_button, self.limit], layout={"flex_flow": "row wrap"})
        return ipywidgets.VBox([self.rival.box, row, self.contest])

    def safely(self, action: Callable[[], None], when_shown: bool = True) -> Callable[[object], None]:
        """A handler that does the action, then shows the design as it is now, or the error. when_shown: also while we set widgets.

        An error of before goes away first: whoever does something else has read it, and would take it for this action's.
        """

        def handler(_event: object) -> None:
            if self._showing and not when_shown:
                return
            if self._failed:
                self._tell("")
            try:
                action()
            except Exception as error:
                self._fail(error)
            self._show_design()

        return handler

    def _run(self, with_rival: bool = False) -> None:
        self._start(partial(self.session.run, with_rival=with_rival), self._show_trial)

    def _compare(self) -> None:
        self._start(lambda told: self.session.compare(self.collection.value or "", self.limit.value, told), self._show_contest)

    def _start(self, work: Callable[..., Any], show: Callable[[Any], None]) -> None:
        """Do the work in its thread, on what the boxes say by then: whatever was typed before the click has come."""

        def settled(progress: TaskProgress) -> Any:
            time.sleep(_LETTERS_ARRIVE)
            return work(progress)

        def done(result: Any) -> None:
            show(result)
            self._set_busy(False)

        self._set_busy(True)
        self.worker.start(settled, done, self._fail)

    def _sample(self) -> None:
        document = self.session.next_document(self.collection.value or "")
        self._tell(fragments.note(f"sample {document.id}"))

    def _take_labels(self) -> None:
        self.session.use_labels_of(self.collection.value or "")

    def _take_up_again(self) -> None:
        if self.history.index is None:
            raise OptionError("no trial is chosen; press Run, then choose one in the list")
        trial = self.session.trials[self.history.index]
        self.session.return_to(trial)
        self._draw(trial)
        self._tell(fragments.note(f"back at trial {len(self.session.trials) - self.history.index}; Undo leads forth again"))

    def _show_trial(self, trial: Trial) -> None:
        self._draw(trial)
        self.history.options = [one.title for one in self.session.trials]
        if len(trial.extractions) > 1:
            self.results.selected_index = _A_B
        elif self.results.selected_index >= _A_B:
            self.results.selected_index = 0
        found = sum(bool(field.spans) for field in trial.extractions[0].fields)
        took = " and ".join(f"{seconds:.2f} s" for seconds in trial.seconds)
        self._tell(fragments.note(f"{found} of {len(trial.extractions[0].fields)} fields found in {took}"))

    def _draw(self, trial: Trial) -> None:
        document = self.session.document_of(trial.design)
        self.marks.value, self.raw.value = fragments.marks(trial), fragments.raw(trial)
        self.values.value = fragments.values(trial, document)
        if len(trial.extractions) > 1:
            self.contest.value = self.marks.value + self.values.value
        self.export.show(trial)

    def _show_contest(self, contest: Contest) -> None:
        self.contest.value = fragments.contest(contest)
        self._tell(fragments.note("compared; the verdict is under A/B"))
        self.results.selected_index = _A_B

    def _show_design(self) -> None:
        """Show the session's design in the widgets that edit it."""
        self._showing = True
        try:
            design = self.session.design
            self.text.value = design.text
            self.labels.show(design.typed(), design.labels, self.session.findings())
            self.rival.show(design.typed(rival=True), design.rival, self.session.findings(rival=True))
            self.undo_button.disabled, self.redo_button.disabled = not self.session.can_undo, not self.session.can_redo
        finally:
            self._showing = False

    def _fail(self, error: Exception) -> None:
        if isinstance(error, Stopped):
            self._tell(fragments.note("stopped; nothing was changed"))
        else:
            self._tell(fragments.failure(error), failed=True)
        self._set_busy(self.worker.at_work)

    def _tell(self, fragment: str, failed: bool = False) -> None:
        self.status.value, self._failed = fragment, failed

    def _told(self, task: str, done: int, total: int) -> None:
        self.bar.max, self.bar.value, self.bar.description = total, done, task

    def _set_busy(self, busy: bool) -> None:
        for button in (self.run_button, self.text_button, self.documents_button):
            button.disabled = busy
        self.stop_button.disabled = not busy
        self.bar.layout.visibility = "visible" if busy else "hidden"

    def _label_editor(self, title: str, rival: bool) -> LabelEditor:
        return LabelEditor(
            title,
            "seqgpt-labels-b" if rival else "seqgpt-labels",
            lambda typed: self.safely(lambda: self.session.relabel(typed, rival))(None),
            lambda finding: self.safely(lambda: self.session.accept(finding, rival))(None),
        )

    def _button(
        self, name: str, hook: str, tooltip: str, action: Callable[[], None], style: str = "", disabled: bool = False
    ) -> ipywidgets.Button:
        button = ipywidgets.Button(description=name, tooltip=tooltip, button_style=style, disabled=disabled)
        button.layout.width, button.layout.flex = "auto", "0 0 auto"
        button.on_click(self.safely(action))
        button.add_class(f"seqgpt-{hook}")
        return button

    def _html(self, hook: str) -> ipywidgets.HTML:
        shown = ipywidgets.HTML()
        shown.add_class(f"seqgpt-{hook}")
        return shown
