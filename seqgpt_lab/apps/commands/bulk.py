"""`seqgpt-lab bulk`: a folder or file of documents in, one row a document out, through kills and faults; knows no file format."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgpt_lab.apps.console import emit_path, note
from seqgpt_lab.apps.exit_codes import INTERRUPTED
from seqgpt_lab.apps.options import (
    USUAL_TOKEN_BUDGET,
    Attention,
    BatchSize,
    Device,
    Dtype,
    Grounded,
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
from seqgpt_lab.apps.outputs import check_output, model_files
from seqgpt_lab.apps.progress import ShownProgress
from seqgpt_lab.errors import OptionError

if TYPE_CHECKING:
    from seqgpt_lab.apps.bulk.parts import Parts
    from seqgpt_lab.apps.bulk.sources import Source
    from seqgpt_lab.extraction.labels import LabelSet

_BATCHES_PER_CHUNK = 4


def bulk(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder, or a .jsonl, .csv, .tsv, .parquet or .txt file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The .jsonl or .parquet file to make.")],
    labels: LabelNames = None,
    label_set: LabelSetFile = None,
    text_column: Annotated[str, typer.Option("--text-column", help="The column of a table that holds the texts.")] = "text",
    id_column: Annotated[str, typer.Option("--id-column", help="The column of a table that holds the ids, if there is one.")] = "id",
    encoding: Annotated[str, typer.Option("--encoding", help="Of .txt, .csv and .tsv; UTF-8, else GB18030, when left out.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
    ray: Annotated[bool, typer.Option("--ray", help="Work through Ray Data; --replicas is then the number of actors.")] = False,
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
) -> None:
    """Read the labelled fields out of any number of documents, in bounded memory.

    OUT has one row a document, in input order: {"row", "id", "values", "spans", "problems", "error"}; error is the reason why a
    document could not be read, null otherwise. Of a folder every file is read that is not hidden, links to folders followed; a
    folder that cannot be read is a row that failed. What is done lies in OUT.parts until the end: a job that was killed goes on
    from there when the same command is given again. The exit code is 1 when a row failed.
    """
    from seqgpt_lab.apps.bulk.parts import Parts
    from seqgpt_lab.apps.bulk.rows import Columns
    from seqgpt_lab.apps.bulk.sources import Source
    from seqgpt_lab.apps.inputs import choose_labels

    chosen = choose_labels(labels or (), label_set)
    columns = Columns(text_column, id_column, encoding)
    documents = Source(source, columns)
    check_output("the output", out, (source, *documents.files, *documents.linked, label_set, *model_files(model)))
    options = ModelOptions(
        model, dtype, device, attention, batch_size, max_length, max_new_tokens, tensor_parallel, replicas, grounded, token_budget
    )
    job = Parts(out, _about(documents, chosen, options), overwrite=overwrite)
    if source.resolve().is_relative_to(job.folder.resolve()):
        raise OptionError(f"the input {source} lies in {job.folder}, which is removed when {out} is done; name another output")
    with job as parts:
        try:
            _run(documents, parts, chosen, options, ray)
        except KeyboardInterrupt:
            if parts.rows:
                note(f"interrupted; {parts.rows:,} rows are safe in {parts.folder}, and the same command goes on from there")
            else:
                note("interrupted before any row was done; the same command begins again")
            raise typer.Exit(INTERRUPTED) from None
        tally = parts.join(chosen.names)
    note(f"{tally.rows:,} rows, {tally.failed:,} failed, {tally.problems:,} with problems that are told in their row")
    emit_path(out)
    if tally.failed:
        raise typer.Exit(1)


def _run(source: Source, parts: Parts, labels: LabelSet, options: ModelOptions, ray: bool) -> None:
    """Do what is left of the job, here or through Ray."""
    from seqgpt_lab.apps.bulk.job import Plan, run_job, work_here

    if parts.rows:
        note(f"going on after {parts.rows:,} rows that are in {parts.folder}")
    plan = Plan(source, parts.rows, _BATCHES_PER_CHUNK * options.batch_size)
    with ShownProgress("bulk") as progress:
        if ray:
            from seqgpt_lab.apps.bulk.cluster import work_through_ray

            run_job(plan, parts, partial(work_through_ray, labels, options), progress)
        else:
            with options.load() as (_, extractor):
                run_job(plan, parts, partial(work_here, extractor, labels), progress)


def _about(source: Source, labels: LabelSet, options: ModelOptions) -> dict[str, Any]:
    """What must be the same for parts to be of the same job; how many processes work on it may differ."""
    from seqgpt_lab.engine.checkpoint import find_checkpoint
    from seqgpt_lab.studies.models import fingerprints

    return {
        "input": {"path": str(source.path.resolve()), "sha256": source.fingerprint()},
        "labels": [asdict(label) for label in labels.labels],
        "model": fingerprints(find_checkpoint(options.model)),
        "options": {key: value for key, value in asdict(options).items() if key not in ("model", "tensor_parallel", "replicas")},
    }
