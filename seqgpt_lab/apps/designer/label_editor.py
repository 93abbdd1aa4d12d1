"""Widgets to edit one label set: a line to type in, labels as chips, what lint says of them, a button a fix. Knows no session."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import ipywidgets

from seqgpt_lab.apps.designer.fragments import chips, warning
from seqgpt_lab.extraction.drafts import Draft, drafts_of
from seqgpt_lab.extraction.lint import Finding

# Lint may find a fault in every label; a page of hundreds of buttons helps nobody.
_SHOWN_FINDINGS = 12


class LabelEditor:
    """title: before the line; hook: a CSS class. changed: told the line after every letter; accepted: told a finding to be mended."""

    def __init__(self, title: str, hook: str, changed: Callable[[str], None], accepted: Callable[[Finding], None]) -> None:
        self._changed, self._accepted = changed, accepted
        self._shown: Sequence[Finding] = ()
        self._rows: dict[Finding, ipywidgets.HBox] = {}
        self._showing = False
        self.line = ipywidgets.Textarea(
            description=title, placeholder="姓名，年龄，邮箱→email", rows=2, continuous_update=True, layout={"width": "auto"}
        )
        self.line.observe(self._edited, names="value")
        self.chips, self.findings = ipywidgets.HTML(), ipywidgets.VBox()
        self.box = ipywidgets.VBox([self.line, self.chips, self.findings])
        self.box.add_class(hook)

    def show(self, typed: str, drafts: Sequence[Draft], findings: Sequence[Finding]) -> None:
        """Show these labels and what is wrong with them, without telling that anything changed.

        A line that already says so stays as it is, so that nothing moves under the fingers of whoever types.
        """
        if [draft.written for draft in drafts_of(self.line.value)] != [draft.written for draft in drafts]:
            self._showing = True
            self.line.value = typed
            self._showing = False
        self.chips.value = chips(drafts)
        if findings != self._shown:
            self._shown = findings
            self._show_findings(findings)

    def _show_findings(self, findings: Sequence[Finding]) -> None:
        """A finding that stays keeps its row, and with it the focus of whoever was about to press its button."""
        old = self._rows
        self._rows = {finding: old.get(finding) or self._row(finding) for finding in findings[:_SHOWN_FINDINGS]}
        left = len(findings) - _SHOWN_FINDINGS
        more = [ipywidgets.HTML(warning(f"… and {left} more"))] if left > 0 else []
        old_children, self.findings.children = self.findings.children, [*self._rows.values(), *more]
        for child in set(old_children) - set(self.findings.children):
            child.close()

    def _edited(self, _change: object) -> None:
        if not self._showing:
            self._changed(self.line.value)

    def _row(self, finding: Finding) -> ipywidgets.HBox:
        said = ipywidgets.HTML(warning(f"{finding.label}: {finding.reason}", blocking=finding.blocking))
        if finding.fix is None:
            return ipywidgets.HBox([said])
        button = ipywidgets.Button(description=finding.fix.what, tooltip=f"{finding.label}: {finding.fix.what}")
        button.layout.width, button.layout.flex = "auto", "0 0 auto"
        button.on_click(lambda _button: self._accepted(finding))
        button.add_class("seqgpt-fix")
        row = ipywidgets.HBox([button, said])
        row.add_class("seqgpt-finding")
        return row
