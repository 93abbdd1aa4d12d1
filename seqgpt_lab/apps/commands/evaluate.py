"""`seqgpt-lab evaluate`: labelled documents in, scores out; knows neither how fields are read nor how they are scored."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgpt_lab.apps.console import emit, visible
from seqgpt_lab.apps.options import (
    USUAL_TOKEN_BUDGET,
    Attention,
    BatchSize,
    Device,
    Dtype,
    Grounded,
    Json,
    MaxLength,
    MaxNewTokens,
    Model,
    ModelOptions,
    Replicas,
    TensorParallel,
    TokenBudget,
)
from seqgpt_lab.apps.outputs import check_output, model_files
from seqgpt_lab.apps.progress import ShownProgress
from seqgpt_lab.apps.tables import frame_text
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    from seqgpt_lab.documents.reading import Reading
    from seqgpt_lab.evaluation.counts import Counts, Measure
    from seqgpt_lab.evaluation.evaluate import Evaluation
    from seqgpt_lab.evaluation.metrics import Scores
    from seqgpt_lab.evaluation.mistakes import Mistake
    from seqgpt_lab.extraction.labels import LabelSet


def evaluate(
    data: Annotated[str, typer.Argument(metavar="FILE|-", help="Labelled documents; `-` is JSON or a table on standard input.")],
    labels: Annotated[Path, typer.Option("--labels", metavar="SET.yaml", help="The label set to ask for and to score.")],
    output: Annotated[Path | None, typer.Option("--output", metavar="FILE", help="Also write the JSON to this file.")] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", metavar="FILE", help="Keep extractions here as they come; called again, go on from there.")
    ] = None,
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
    """Score a model on labelled documents.

    FILE is .jsonl or .ndjson, .json from doccano or Label Studio, .bio, .bioes, .bmes or .conll, or a table (.csv, .tsv, .xlsx,
    .xlsm) with a column of values for each field of the label set.

    A value counts as right only when its label and its place in the text are right (strict), or its label and its text (string).
    The JSON holds {"data", "labels", "model", "dtype", "device", "scores", "mistake_counts", "mistakes", "unusable_lines"}.
    Lines that hold no document are named on standard error, the others are scored, and the exit code is 1.
    """
    from seqgpt_lab.apps.inputs import read_labelled, report_problems
    from seqgpt_lab.errors import DocumentError
    from seqgpt_lab.evaluation.gold import check_gold
    from seqgpt_lab.extraction.labels import LabelSet
    from seqgpt_lab.files import write_json

    inputs: tuple[str | Path, ...] = (data, labels, *model_files(model))
    if journal is not None:
        check_output("--journal", journal, inputs)
    if output is not None:
        check_output("--output", output, (*inputs, journal))
    label_set = LabelSet.load(labels)
    reading = read_labelled(data, label_set.names)
    report_problems(data, reading)
    if not reading.documents:
        raise DocumentError(f"{data} holds no document to evaluate; give at least one line with gold entities")
    check_gold(reading.documents, label_set.names, f"documents in {data}")
    options = ModelOptions(
        model, dtype, device, attention, batch_size, max_length, max_new_tokens, tensor_parallel, replicas, grounded, token_budget
    )
    evaluation, about = _evaluate(reading, label_set, options, journal)
    record = {"data": data, "labels": str(labels), **about, **_record(evaluation, reading)}
    try:
        emit(json_line(record) if as_json else _in_words(evaluation))
    finally:  # neither a full disk nor a reader that is gone may cost what took hours: one of the two places has it
        if output is not None:
            write_json(output, record)
    if reading.problems:
        raise typer.Exit(1)


def _evaluate(reading: Reading, labels: LabelSet, options: ModelOptions, journal: Path | None) -> tuple[Evaluation, dict[str, str]]:
    """The evaluation, and what it was made with: model, dtype, device."""
    from seqgpt_lab.evaluation.evaluate import evaluate as evaluate_documents
    from seqgpt_lab.studies.evaluate_kinds import journaled

    with options.load() as (engine, extractor), ShownProgress("evaluate", "prompts") as progress:
        about = {"model": options.model, "dtype": str(engine.dtype).removeprefix("torch."), "device": str(engine.device)}
        chosen = extractor if journal is None else journaled(extractor, journal, labels)
        return evaluate_documents(chosen, reading.documents, labels, progress), about


def _record(evaluation: Evaluation, reading: Reading) -> dict[str, Any]:
    return {
        "scores": evaluation.scores.to_dict(),
        "mistake_counts": dict(Counter(mistake.kind for mistake in evaluation.mistakes)),
        "mistakes": [_mistake_record(mistake) for mistake in evaluation.mistakes],
        "unusable_lines": [{"line": problem.line, "message": problem.message} for problem in reading.problems],
    }


def _mistake_record(mistake: Mistake) -> dict[str, Any]:
    return {
        "id": mistake.document_id,
        "kind": mistake.kind,
        "label": mistake.label,
        "gold": [asdict(entity) for entity in mistake.gold],
        "predicted": [asdict(span) for span in mistake.predicted],
    }


def _in_words(evaluation: Evaluation) -> str:
    """Totals, a table of labels, a table of kinds where there are several, and how many mistakes of each kind."""
    scores = evaluation.scores
    columns = ["label", "support", "precision", "recall", "f1", "string_f1"]
    parts = [_totals(scores), frame_text(scores.to_frame()[columns])]
    if len(scores.by_kind) > 1:
        parts.append(frame_text(scores.kinds_frame()))
    counts = Counter(mistake.kind for mistake in evaluation.mistakes).most_common()
    parts.append("mistakes: " + (", ".join(f"{number} {kind}" for kind, number in counts) or "none"))
    if scores.gold_not_asked:
        missed = ", ".join(f"{number} {visible(label)}" for label, number in scores.gold_not_asked.items())
        parts.append(f"not scored, for the label set does not ask for them: {missed}")
    return "\n\n".join(parts)


def _totals(scores: Scores) -> str:
    return "\n".join(
        [
            f"{scores.documents} documents, {scores.strict.micro.support} gold values, {scores.values} answers",
            f"strict  {_measure(scores.strict)}",
            f"string  {_measure(scores.string)}",
            f"absent  {_prf(scores.absent)}  (the answer that a label is not in the text)",
            f"faults  {scores.hallucination_rate:.1%} of values not in the text, {scores.parse_failure_rate:.1%} of documents not parsed, "
            f"{scores.truncated_share:.1%} cut",
        ]
    )


def _measure(measure: Measure) -> str:
    return (
        f"{_prf(measure.micro)}  macro F1 {measure.macro.f1:.3f}  "
        f"exact records {measure.exact_records} of {measure.documents} ({measure.exact_record_rate:.1%})"
    )


def _prf(counts: Counts) -> str:
    return f"precision {counts.precision:.3f}  recall {counts.recall:.3f}  F1 {counts.f1:.3f}"
