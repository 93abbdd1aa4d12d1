"""What a trial can be taken away as: its result, and the code that makes it again. Writes no file."""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from dataclasses import fields

from seqgpt_lab.apps.designer.session import Trial
from seqgpt_lab.engine.config import short_name
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.evaluate import Extracts
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import Label, LabelSet


def to_json(trial: Trial) -> str:
    """What a trial gave, as indented JSON: its text and the record of its extraction (with B's as `rival`, where there is one)."""
    records = [extraction.to_record() for extraction in trial.extractions]
    content = {"text": trial.design.text, **records[0], **({"rival": records[1]} if len(records) > 1 else {})}
    return json.dumps(content, ensure_ascii=False, indent=2)


def to_code(trial: Trial, extractor: Extracts[LabelSet]) -> str:
    """A Python program that asks the same model for the same labels (A's) on the same text, and prints the same values.

    extractor: what was asked in the trial; its options and its engine's number format are written down. What only moves where the work
    is done (device, batches, processes) is not. Raises OptionError for one of which nobody knows how to make it again.
    """
    if not isinstance(extractor, Extractor) or not isinstance(extractor.engine, Engine):
        asked = type(extractor.engine if isinstance(extractor, Extractor) else extractor).__name__
        raise OptionError(f"what was asked is a {asked}, for which there is no code; run the design with an Extractor on an Engine")
    engine = extractor.engine
    labels = trial.design.label_set()
    wordings = "".join(f"        Label({label.field!r}{_written(_details(label))}),\n" for label in labels.labels)
    return (
        "from seqgpt_lab import Engine, Extractor, LabelSet\n"
        "from seqgpt_lab.extraction.labels import Label\n\n"
        f"text = {trial.design.text!r}\n"
        f"labels = LabelSet(\n    (\n{wordings}    ),\n    name={labels.name!r},\n)\n\n"
        f"with Engine.load({engine.checkpoint.source!r}, dtype={short_name(engine.dtype)!r}) as engine:\n"
        f"    result = Extractor(engine{_written(_chosen(extractor))}).extract(text, labels)\n"
        "print(result.to_dict())\n"
    )


def _details(label: Label) -> dict[str, object]:
    """All that a label says beyond its name, whichever parts a label comes to have."""
    unsaid = {one.name: one.default for one in fields(label)} | {"field": label.field, "phrase": label.field}
    return {name: getattr(label, name) for name, default in unsaid.items() if getattr(label, name) != default}


def _chosen(extractor: Extractor) -> dict[str, object]:
    """The options that are not the default."""
    arguments = inspect.signature(Extractor).parameters
    return {name: value for name, value in extractor.options.items() if value != arguments[name].default}


def _written(arguments: Mapping[str, object]) -> str:
    return "".join(f", {name}={value!r}" for name, value in arguments.items())
