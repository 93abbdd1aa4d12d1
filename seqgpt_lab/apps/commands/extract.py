"""`seqgpt-lab extract`: texts in, their fields out, document by document; knows no file format and no prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgpt_lab.apps.console import emit, json_line, visible
from seqgpt_lab.apps.options import Attention, BatchSize, Device, Dtype, Json, MaxLength, MaxNewTokens, Model, ModelOptions
from seqgpt_lab.apps.progress import Progress

if TYPE_CHECKING:
    from seqgpt_lab.documents.document import Document
    from seqgpt_lab.extraction.extraction import Extraction, Span
    from seqgpt_lab.extraction.extractor import Classification, Extractor
    from seqgpt_lab.extraction.labels import LabelSet

ABSENT = "-"


def extract(
    source: Annotated[str, typer.Argument(metavar="[FILE.jsonl|FILE.txt|-]", help="Documents; `-` is standard input.")] = "-",
    labels: Annotated[list[str] | None, typer.Option("--labels", metavar="A,B,…", help="Labels to ask for; may be repeated.")] = None,
    label_set: Annotated[Path | None, typer.Option("--label-set", metavar="FILE.yaml", help="A label set to ask for instead.")] = None,
    classify: Annotated[bool, typer.Option("--classify", help="Choose which of the labels fit each text instead of extracting.")] = False,
    model: Model = "tiny",
    dtype: Dtype = "auto",
    device: Device = "auto",
    attention: Attention = "auto",
    batch_size: BatchSize = 32,
    max_length: MaxLength = 1024,
    max_new_tokens: MaxNewTokens = 256,
    as_json: Json = False,
) -> None:
    """Read the labelled fields out of documents.

    A .jsonl file has a document a line, {"text": …} at least; a .txt file is one document. Standard input is JSON lines when a
    line of it is a JSON object with a "text"; otherwise all of it is ONE plain text, the newline at its end left out.

    Results come in the documents' order. With --json, a line each: {"id", "values", "spans", "problems"}, or with --classify
    {"id", "labels", "confidence", "problems"}. Lines that hold no document are named on standard error, the others are used, and
    the exit code is 1.
    """
    from seqgpt_lab.apps.inputs import choose_labels, read_documents, report_problems

    chosen = choose_labels(labels or (), label_set)
    reading = read_documents(source)
    report_problems(source, reading)
    options = ModelOptions(model, dtype, device, attention, batch_size, max_length, max_new_tokens)
    if reading.documents:
        with options.load() as (_, extractor), Progress("classify" if classify else "extract") as progress:
            for text in _results(extractor, reading.documents, chosen, progress, _renderer(classify, as_json), classify, batch_size):
                with progress.paused():
                    emit(text)
    if reading.problems:
        raise typer.Exit(1)
