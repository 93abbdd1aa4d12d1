"""Runs the same prompts in several number formats; compares what came out and how long it took, draws nothing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import pandas
import torch
from torch import Tensor

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import fresh_geometry
from seqgpt_lab.engine.requests import Request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.display import Html, Prose, table
from seqgpt_lab.studies.evaluate_kinds import evaluate_kinds
from seqgpt_lab.studies.side_by_side import agreement, median_of, prompts_of, seconds_in_turns, weight_bytes
from seqgpt_lab.studies.sources import Source

_LOGIT_PROMPTS = 32  # of these the logits are compared number by number


def compare_precisions(
    model: str | Path,
    sources: Sequence[Source],
    dtypes: Sequence[str],
    *,
    limit: int = 0,
    batch_size: int = 32,
    rounds: int = 3,
    progress: TaskProgress | None = None,
) -> pandas.DataFrame:
    """One row a dtype, the first being what the others are held against. All are held in memory at once.

    Columns: dtype; weight_bytes; rounds; seconds (median of `rounds` calls with all prompts, without drafts, in which the dtypes take
    turns); ratio (throughput over the first's); same_answers (share of prompts whose answer is token for token the first dtype's);
    same_tokens (share of answer tokens before the first difference); largest_logit_difference (at the answers' first token, over the first
    32 prompts); f1, exact_record_rate (strict). Raises OptionError for no dtypes, for dtypes that do not exist and for less than one
    round, CapacityError where they do not fit into memory together.
    """
    if rounds < 1 or not dtypes:
        raise OptionError(f"rounds is {rounds} and there are {len(dtypes)} dtypes; both must be at least 1, of fp32, bf16, fp16")
    requests = prompts_of(model, sources, limit)
    with ExitStack() as open_engines:
        engines = [open_engines.enter_context(Engine.load(model, dtype=dtype, batch_size=batch_size)) for dtype in dtypes]
        answers = [engine.generate(requests) for engine in engines]  # also the warm-up
        seconds = seconds_in_turns(engines, requests, rounds, progress)
        logits = [first_logits(engine, requests[:_LOGIT_PROMPTS]) for engine in engines]
        overall = [evaluate_kinds(engine, sources, limit=limit).to_dict()["overall"] for engine in engines]
        held = [weight_bytes(engine) for engine in engines]
    base = median(seconds[0])
    return pandas.DataFrame(
        {
            "dtype": dtype,
            "weight_bytes": held[place],
            "rounds": rounds,
            "seconds": median(seconds[place]),
            "ratio": base / median(seconds[place]),
            **agreement(answers[place], answers[0]),
            "largest_logit_difference": float((logits[place] - logits[0]).abs().max()),
            "f1": overall[place]["f1"],
            "exact_record_rate": overall[place]["exact_record_rate"],
        }
        for place, dtype in enumerate(dtypes)
    )


@torch.inference_mode()
def first_logits(engine: Engine, requests: Sequence[Request]) -> Tensor:
    """Logits [N, V] float32 of the first token of each answer; a prompt at a time, without padding."""
    rows = []
    for request in requests:
        ids = torch.tensor([request.prompt_ids], device=engine.device)
        rows.append(engine.model.logits(engine.model(ids, fresh_geometry(ids))[:, -1]).float().cpu())
    return torch.cat(rows)


def show_precisions(frame: pandas.DataFrame) -> Html:
    """The comparison of precisions for people, with units."""
    shares = {name: frame[name].map("{:.1%}".format) for name in ("same_answers", "same_tokens", "exact_record_rate")}
    heads = {
        "weight_bytes": "weights (MB)",
        "seconds": "time (s)",
        "ratio": "times the first's prompts/s",
        "same_answers": "equal answers",
        "same_tokens": "equal tokens",
        "f1": "F1",
    }
    shown = frame.assign(**shares, weight_bytes=frame["weight_bytes"] / 1e6)
    return table(shown.rename(columns={**heads, "exact_record_rate": "records wholly right"}))


def about_precisions(frame: pandas.DataFrame) -> Prose:
    """What the comparison of precisions says, in sentences, and what it does not say about other machines."""
    first, *others = frame.to_dict("records")
    text = f"{first['dtype']} is the yardstick: strict micro F1 **{first['f1']:.3f}**."
    for row in others:
        text += (
            f" {row['dtype']} reads **{row['ratio']:.2f}x** as many prompts a second ({median_of(row['rounds'])}), writes "
            f"{row['same_answers']:.1%} of the answers token for token alike, the logits of an answer's first token "
            f"differ by at most {row['largest_logit_difference']:.2g} (over at most {_LOGIT_PROMPTS} prompts), and its F1 "
            f"is {row['f1']:.3f} ({row['f1'] - first['f1']:+.3f})."
        )
    text += " Times are of this machine, with this batch size and without drafts, whose wide passes another format may do quicker: "
    return Prose(text + "`seqgpt-lab bench --dtype` measures with them.")
