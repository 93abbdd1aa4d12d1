"""What a trial can be taken away as: its result, and the code that makes it again. Writes no file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from seqgpt_lab.apps.designer.session import Trial
from seqgpt_lab.extraction.labels import Label


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the extractor was made: what Engine.load was given, and the options of Extractor that are not its defaults."""

    model: str = "tiny"
    dtype: str = "auto"
    options: tuple[tuple[str, Any], ...] = ()


def to_json(trial: Trial) -> str:
    """What a trial gave, as indented JSON: its text and the record of its extraction (with B's as `rival`, where there is one)."""
    records = [extraction.to_record() for extraction in trial.extractions]
    content = {"text": trial.design.text, **records[0], **({"rival": records[1]} if len(records) > 1 else {})}
    return json.dumps(content, ensure_ascii=False, indent=2)


def to_code(trial: Trial, recipe: Recipe) -> str:
    """A Python program that asks the same model for the same labels on the same text and prints the values."""
    labels = trial.design.label_set()
    options = "".join(f", {name}={value!r}" for name, value in recipe.options)
    wordings = "".join(f"        {_call(label)},\n" for label in labels.labels)
    return (
        "from seqgpt_lab import Engine, Extractor, LabelSet\n"
        "from seqgpt_lab.extraction.labels import Label\n\n"
        f"text = {trial.design.text!r}\n"
        f"labels = LabelSet(\n    (\n{wordings}    ),\n    name={labels.name!r},\n)\n\n"
        f"with Engine.load({recipe.model!r}, dtype={recipe.dtype!r}) as engine:\n"
        f"    result = Extractor(engine{options}).extract(text, labels)\n"
        "print(result.to_dict())\n"
    )


def _call(label: Label) -> str:
    phrase = f", {label.phrase!r}" if label.phrase != label.field else ""
    return f"Label({label.field!r}{phrase}{', multiple=True' if label.multiple else ''})"
