"""`seqgpt-lab extract`: texts in, their fields out, document by document; knows no file format and no prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from seqgpt_lab.apps.console import display_width, emit, pad, visible
from seqgpt_lab.apps.options import (
    USUAL_TOKEN_BUDGET,
    Attention,
    BatchSize,
    Device,
    Dtype,
    Grounded,
    Json,
    LabelNames,
    LabelSetFile,
    MaxLength,
    MaxNewTokens,
    Model,
    ModelOptions,
    Replicas,
    TensorParallel,
    TokenBudget,
)
from seqgpt_lab.apps.progress import ShownProgress
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    from seqgpt_lab.documents.document import Document
    from seqgpt_lab.extraction.extraction import Extraction
    from seqgpt_lab.extraction.extractor import Extractor
    from seqgpt_lab.extraction.labels import LabelSet
    from seqgpt_lab.extraction.reading import Classification
    from seqgpt_lab.extraction.spans import Span

_NO_VALUE = "-"


def extract(
    source: Annotated[str, typer.Argument(metavar="FILE|FOLDER|-", help="Documents; `-` is standard input.")] = "-",
    labels: LabelNames = None,
    label_set: LabelSetFile = None,
    classify: Annotated[bool, typer.Option("--classify", help="Choose which of the labels fit each text instead of extracting.")] = False,
    model: Model = "tiny",
    dtype: Dtype = "auto",
    device: Device = "auto",
    attention: Attention = "auto",
    batch_size: BatchSize = 32,
    token_budget: TokenBudget = USUAL_TOKEN_BUDGET,
    max_length: MaxLength = 1024,
    max_new_tokens: MaxNewTokens = 256,
    tensor_parallel: TensorParallel = 1,
    replicas: Replicas = 1,
    grounded: Grounded = False,
    as_json: Json = False,
) -> None:
    """Read the labelled fields out of documents.

    A .jsonl or .ndjson file has a document a line, {"text": …} at least; a .txt file is one document, and a folder has one in each
    of its .txt files. A .csv, .tsv, .xlsx or .xlsm file has one a row, in the column "text". Read as well: .bio, .bioes, .bmes and
    .conll, and .json from doccano and Label Studio; JSON files may also be lists, or objects of several lines each.

    Standard input is JSON, told apart as files are, when it is a JSON list or a line of it is a JSON object with a "text"; a CSV or
    TSV table when its first line names several columns, one of them "text", and the next row has a cell for each; otherwise all of it
    is ONE plain text, the newline at its end left out.

    Results come in the documents' order. With --json, a line each: {"id", "values", "spans", "problems"}, or with --classify
    {"id", "labels", "confidence", "problems"}. Lines that hold no document are named on standard error, the others are used, and
    the exit code is 1.
    """
    from seqgpt_lab.apps.inputs import choose_labels, read_documents, report_problems

    chosen = choose_labels(labels or (), label_set)
    reading = read_documents(source)
    report_problems(source, reading)
    options = ModelOptions(
        model, dtype, device, attention, batch_size, max_length, max_new_tokens, tensor_parallel, replicas, grounded, token_budget
    )
    if reading.documents:
        with options.load() as (_, extractor), ShownProgress("classify" if classify else "extract") as progress:
            run = _classify if classify else _extract
            for results in run(extractor, reading.documents, chosen, batch_size, progress):
                with progress.paused():
                    emit("\n".join(json_line(result.to_record()) if as_json else _in_words(result) for result in results))
    if reading.problems:
        raise typer.Exit(1)


def _extract(
    extractor: Extractor, documents: Sequence[Document], labels: LabelSet, batch_size: int, progress: ShownProgress
) -> Iterator[list[Extraction]]:
    """A batch of documents at a time, so that results come out while later documents wait."""
    for start in range(0, len(documents), batch_size):
        batch = documents[start : start + batch_size]
        yield extractor.extract(batch, labels, progress=partial(_count, progress, start, len(batch), len(documents)))
        progress(start + len(batch), len(documents))


def _count(progress: ShownProgress, before: int, batch: int, documents: int, done: int, total: int) -> None:
    """Documents done, from how many of the current batch's prompts are; with hundredths of few documents, for one may take minutes."""
    steps = 100 if documents < 100 else 1
    progress((before * steps + batch * steps * done // total) / steps, documents)


def _classify(
    extractor: Extractor, documents: Sequence[Document], labels: LabelSet, _batch_size: int, progress: ShownProgress
) -> Iterator[list[Classification]]:
    """A document at a time."""
    for number, document in enumerate(documents, start=1):
        yield [extractor.classify(document, labels)]
        progress(number, len(documents))


def _in_words(result: Extraction | Classification) -> str:
    """A paragraph: the document's id, a line a value, a line a problem, an empty line."""
    from seqgpt_lab.extraction.extraction import Extraction

    if isinstance(result, Extraction):
        width = max(display_width(visible(field.label)) for field in result.fields)
        rows = [(field.label, _span_in_words(span)) for field in result.fields for span in field.spans or (None,)]
        lines = [f"  {pad(visible(label), width)}  {value}" for label, value in rows]
    else:
        sure = "" if result.confidence is None else f"  {result.confidence:.2f}"
        lines = [f"  {visible('、'.join(result.labels)) or _NO_VALUE}{sure}"]
    return "\n".join([visible(result.document_id), *lines, *(f"  ! {visible(problem)}" for problem in result.problems), ""])


def _span_in_words(span: Span | None) -> str:
    """`张伟  [0, 2)  0.98`, and how well the text agrees where it does not read the same."""
    if span is None:
        return _NO_VALUE
    place = "" if span.start is None else f"  [{span.start}, {span.end})"
    sure = "" if span.confidence is None else f"  {span.confidence:.2f}"
    match = "" if span.match == "exact" else f"  {span.match}"
    return f"{visible(span.text)}{place}{sure}{match}"
