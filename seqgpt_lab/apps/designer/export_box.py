"""Widgets to load and save label sets and to take a result away: as YAML, as JSON, as the code that makes it again."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import ipywidgets

from seqgpt_lab.apps.designer.export import to_code, to_json
from seqgpt_lab.apps.designer.fragments import download, note
from seqgpt_lab.apps.designer.session import Session, Trial
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import write_atomically

_FORMATS = {"Label set (YAML)": "labels.yaml", "Result (JSON)": "result.json", "Code": "extract.py"}
_YAML, _JSON, _CODE = _FORMATS

Safely = Callable[[Callable[[], None]], Callable[[object], None]]


class ExportBox:
    """safely: makes a handler of an action, showing its error. What is shown was asked for with a button; it does not follow edits."""

    def __init__(self, session: Session, safely: Safely) -> None:
        self._session = session
        self._trial: Trial | None = None
        self._replaceable: set[Path] = set()  # saved or loaded here, or told to be there
        self.format = ipywidgets.ToggleButtons(options=list(_FORMATS))
        self.content = ipywidgets.Textarea(tooltip="What is exported", rows=12, disabled=True, layout={"width": "auto"})
        self.path = ipywidgets.Text(value=_FORMATS[_YAML], description="File")
        self.link, self.told = ipywidgets.HTML(), ipywidgets.HTML()
        self.format.observe(safely(self._choose), names="value")
        actions = {"Export": self._export, "Save": self._save, "Load label set": self._load}
        buttons = [ipywidgets.Button(description=name, tooltip=f"{name}: the file named on the left") for name in actions]
        for button, (name, action) in zip(buttons, actions.items(), strict=True):
            button.layout.width, button.layout.flex = "auto", "0 0 auto"
            button.on_click(safely(partial(self._do, action)))
            button.add_class(f"seqgpt-{name.split()[0].lower()}")
        row = ipywidgets.HBox([buttons[0], self.path, *buttons[1:], self.link], layout={"flex_flow": "row wrap"})
        self.box = ipywidgets.VBox([self.format, row, self.told, self.content])
        self.box.add_class("seqgpt-export-box")

    def show(self, trial: Trial) -> None:
        """Take this trial as the one to export."""
        self._trial = trial

    def _do(self, action: Callable[[], None]) -> None:
        """What was told of the action before is not of this one, which may fail."""
        self.told.value = ""
        action()

    def _choose(self) -> None:
        self.path.value = _FORMATS[self.format.value]
        self.content.value = self.link.value = self.told.value = ""

    def _export(self) -> None:
        content = self._made()
        self.content.value = content
        self.link.value = download(_FORMATS[self.format.value], content)

    def _save(self) -> None:
        """Raises OptionError the first time that a file would be replaced which was neither saved nor loaded here."""
        content, path = self._made(), self._named()
        if path.is_file() and path.resolve() not in self._replaceable:
            self._replaceable.add(path.resolve())
            raise OptionError(f"{path} is there already; press Save once more to replace it, or name another file")
        try:
            write_atomically(path, content)
        except OSError as error:
            raise OptionError(f"cannot write {path}: {error.strerror}; name a file in a folder that exists") from error
        self._replaceable.add(path.resolve())
        self.content.value, self.told.value = content, note(f"saved as {path.resolve()}")

    def _load(self) -> None:
        path = self._named()
        self._session.load(path)
        self._replaceable.add(path.resolve())
        self.told.value = note(f"label set A is now that of {path}")

    def _named(self) -> Path:
        return Path(os.path.expanduser(self.path.value))

    def _made(self) -> str:
        if self.format.value == _YAML:
            return self._session.design.label_set().to_yaml()
        if self._trial is None:
            raise OptionError("nothing was run yet, so there is no result; press Run first")
        return to_json(self._trial) if self.format.value == _JSON else to_code(self._trial, self._session.extractor)
