"""`seqgpt-lab plan` and `seqgpt-lab calibrate`: what a machine can do, predicted; and its figures, measured. Knows no arithmetic."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgpt_lab.apps.console import emit, emit_path
from seqgpt_lab.apps.options import USUAL_TOKEN_BUDGET, Json, TokenBudget
from seqgpt_lab.apps.outputs import check_output
from seqgpt_lab.apps.progress import ShownProgress
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    from seqgpt_lab.engine.config import ModelConfig
    from seqgpt_lab.studies.planner import Plan


def plan(
    rig: Annotated[
        str, typer.Option("--rig", help="A bundled rig's name, or a .yaml file that `seqgpt-lab calibrate` made.")
    ] = "dual-4090",
    batch: Annotated[int, typer.Option("--batch", min=1, help="Prompts decoded together.")] = 16,
    length: Annotated[int, typer.Option("--length", min=1, help="Tokens of each prompt, padding included.")] = 512,
    output: Annotated[int, typer.Option("--output", min=1, help="Tokens of each answer.")] = 40,
    technique: Annotated[str, typer.Option("--technique", help="plain, drafted, or grounded (drafts, and a small LM head).")] = "plain",
    max_new_tokens: Annotated[
        int, typer.Option("--max-new-tokens", min=1, help="Tokens of an answer that the engine makes room for; --output if that is more.")
    ] = 256,
    token_budget: TokenBudget = USUAL_TOKEN_BUDGET,
    cached: Annotated[int, typer.Option("--cached", min=0, help="Prompt tokens whose keys are there from a shared beginning.")] = 0,
    dtype: Annotated[str, typer.Option("--dtype", help="fp16, bf16 or fp32.")] = "fp16",
    model: Annotated[str, typer.Option("--model", help="A model whose shape to plan for; empty: SeqGPT-560M's, without its files.")] = "",
    target: Annotated[
        str, typer.Option("--target", help="What the arrangement is chosen for: throughput, latency or memory.")
    ] = "throughput",
    as_json: Json = False,
) -> None:
    """Predict time, memory and throughput of a batch, and say which arrangement suits.

    Predicted, not measured: the JSON and the text name the figures that are estimates. What does not fit is an error that says what would.
    """
    from seqgpt_lab.engine.config import DTYPES
    from seqgpt_lab.errors import OptionError
    from seqgpt_lab.studies.passes import Workload, about_budget
    from seqgpt_lab.studies.planner import best, compare
    from seqgpt_lab.studies.rigs import Rig

    if dtype not in DTYPES:
        raise OptionError(f"unknown dtype {dtype!r}; choose {', '.join(DTYPES)}")
    machine = Rig.load(rig)
    usual = Workload.of(batch, length, output, technique, cached)
    work = replace(usual, max_new_tokens=max_new_tokens, token_budget=token_budget)
    plans = compare(machine, _shape(model), work, dtype)
    chosen, why = best(plans, target)
    if as_json:
        emit(json_line({"target": target, "chosen": str(chosen.arrangement), "why": why, "plans": [one.to_dict() for one in plans]}))
    else:
        emit(_in_words(plans, chosen, f"Best for {target}: {why} {about_budget(work)}".rstrip()))


def calibrate(
    output: Annotated[Path, typer.Argument(metavar="FILE.yaml", help="The rig file to write; `plan --rig FILE.yaml` reads it.")],
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure this machine's figures for `plan`.

    Prints the path of the file. Takes about a minute; let nothing else run meanwhile. Set OMP_NUM_THREADS as it will be when the lab runs.
    """
    from seqgpt_lab.errors import OptionError

    if output.suffix not in (".yaml", ".yml"):
        raise OptionError(f"{output} cannot be a rig file; give a path that ends in .yaml")
    check_output("the rig file", output)
    from seqgpt_lab.studies.calibrate import calibrate as measure

    with ShownProgress("calibrate", "measurements") as progress:
        measure(output.stem, device=device, progress=progress).save(output)
    emit_path(output)


def _shape(model: str) -> ModelConfig:
    from seqgpt_lab.engine.checkpoint import find_checkpoint
    from seqgpt_lab.engine.config import ModelConfig
    from seqgpt_lab.studies.planner import SEQGPT_560M

    return ModelConfig.read(find_checkpoint(model).config) if model else SEQGPT_560M


def _in_words(plans: list[Plan], chosen: Plan, verdict: str) -> str:
    """A table of arrangements, what the chosen one spends its time and memory on, and how sure that is."""
    from seqgpt_lab.studies.display import short
    from seqgpt_lab.studies.planner import about_counting, table

    columns = ["arrangement", "prompt_ms", "writing_ms", "batch_ms", "documents_a_second", "GB_a_worker", "limit"]
    frame = table(plans)[columns].to_string(index=False, float_format=short)
    rig, spent = chosen.machine.rig, chosen.prompt + chosen.writing
    parts = sorted(((getattr(spent, name), name) for name in spent.__slots__), reverse=True)
    time = ", ".join(f"{name} {seconds / spent.total:.0%}" for seconds, name in parts if seconds > 0.005 * spent.total)
    memory = ", ".join(f"{name} {getattr(chosen.memory, name) / 1e9:.2f}" for name in chosen.memory.__slots__)
    estimated = f"Estimates, measured by nobody: {', '.join(rig.uncertain)}." if rig.uncertain else "No figure of this rig is an estimate."
    shown = [f"{rig.about}; {chosen.machine.dtype}. Predicted:", "", frame, "", verdict, f"Time: {time}.", f"GB a worker: {memory}."]
    return "\n".join([*shown, about_counting(rig), estimated])
