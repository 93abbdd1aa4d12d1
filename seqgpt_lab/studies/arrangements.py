"""Runs the same prompts in several arrangements of processes, ranks and replicas; compares what came out, draws nothing.

Times are medians of rounds in which the arrangements take turns, so that a machine that slows down slows them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import pandas
import torch

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.config import ModelConfig, resolve_device
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import Bloom
from seqgpt_lab.engine.placement import check_counts, check_world_size, place
from seqgpt_lab.engine.requests import MAX_NEW_TOKENS
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies import run_files
from seqgpt_lab.studies.display import Html, Prose, short, table
from seqgpt_lab.studies.planner import Arrangement
from seqgpt_lab.studies.side_by_side import agreement, median_of, prompts_of, seconds_in_turns, weight_bytes
from seqgpt_lab.studies.sources import Source

_CLAIMED_GB = (28.0, 14.2)  # on one card, and on each of two


def parse_arrangements(model: str | Path, arrangements: Sequence[str]) -> list[Arrangement]:
    """The arrangements, before anything is loaded. Raises OptionError for texts that are none, and for what cannot work with this model
    or on this machine."""
    parsed = [_parse(text) for text in arrangements]
    config, device = ModelConfig.read(find_checkpoint(model).config), resolve_device("auto")
    for one in parsed:
        check_counts(one.ranks, one.replicas)
        check_world_size(one.ranks, config)
        if one.workers > 1:
            place(one.ranks, one.replicas, device)
    return parsed


def fitting_arrangements(model: str | Path, arrangements: Sequence[str]) -> list[Arrangement]:
    """As parse_arrangements, without those for which this machine, having cards, has too few; where it has too few for all it raises."""
    cards = torch.cuda.device_count() if resolve_device("auto").type == "cuda" else math.inf
    return parse_arrangements(model, [text for text in arrangements if _parse(text).workers <= cards] or arrangements)


def _parse(text: str) -> Arrangement:
    """`2x1` is two ranks, one replica. Raises OptionError for anything else."""
    ranks, _, replicas = text.partition("x")
    if not (ranks.isdecimal() and replicas.isdecimal() and int(ranks) and int(replicas)):
        raise OptionError(f"the arrangement {text!r} is not RANKSxREPLICAS with both at least 1; write 1x1, 2x1 or 1x2")
    return Arrangement(int(ranks), int(replicas))


def compare_arrangements(
    model: str | Path,
    sources: Sequence[Source],
    arrangements: Sequence[str],
    *,
    dtype: str = "auto",
    limit: int = 0,
    batch_size: int = 32,
    rounds: int = 3,
    max_new_tokens: int = MAX_NEW_TOKENS,
    progress: TaskProgress | None = None,
) -> pandas.DataFrame:
    """One row an arrangement (`1x1`, `2x1`, `1x2`: ranks x replicas), the first being what the others are held against; none for one that
    needs more cards than this machine has.

    Columns: arrangement; processes; same_answers; rounds; seconds (median of `rounds`); prompts_a_second; ratio (throughput over the
    first's); weight_bytes_a_process (the largest); weight_share (of the whole model). Raises OptionError for arrangements that cannot work
    (see `fitting_arrangements`), and for less than one round.
    """
    if rounds < 1 or not arrangements:
        raise OptionError(f"rounds is {rounds} and there are {len(arrangements)} arrangements; both must be at least 1")
    parsed = fitting_arrangements(model, arrangements)
    requests = [replace(request, max_new_tokens=max_new_tokens) for request in prompts_of(model, sources, limit)]
    with ExitStack() as open_engines:
        engines = [
            open_engines.enter_context(
                Engine.load(model, dtype=dtype, batch_size=batch_size, tensor_parallel=one.ranks, replicas=one.replicas)
            )
            for one in parsed
        ]
        answers = [engine.generate(requests) for engine in engines]  # also the warm-up
        seconds = seconds_in_turns(engines, requests, rounds, progress)
        held, whole = [weight_bytes(engine) for engine in engines], _whole_bytes(engines[0])
    base = median(seconds[0])
    return pandas.DataFrame(
        {
            "arrangement": str(one),
            "processes": one.workers,
            "same_answers": agreement(mine, answers[0])["same_answers"],
            "rounds": rounds,
            "seconds": median(times),
            "prompts_a_second": len(requests) / median(times),
            "ratio": base / median(times),
            "weight_bytes_a_process": bytes_held,
            "weight_share": bytes_held / whole,
        }
        for one, mine, times, bytes_held in zip(parsed, answers, seconds, held, strict=True)
    )


def _whole_bytes(engine: Engine) -> int:
    """Bytes of all the model's parameters, wherever they are."""
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in Bloom(engine.config).parameters()) * engine.dtype.itemsize


def show_arrangements(frame: pandas.DataFrame) -> Html:
    """The comparison of arrangements for people, with units."""
    megabytes = frame["weight_bytes_a_process"] / 1e6
    shares = {name: frame[name].map("{:.1%}".format) for name in ("same_answers", "weight_share")}
    heads = {
        "same_answers": "equal answers",
        "seconds": "time (s)",
        "prompts_a_second": "prompts/s",
        "ratio": "times the first's prompts/s",
    }
    heads |= {"weight_bytes_a_process": "weights a process (MB)", "weight_share": "of all weights"}
    return table(frame.assign(**shares, weight_bytes_a_process=megabytes).rename(columns=heads), 2)


def about_arrangements(frame: pandas.DataFrame, asked: Sequence[str] = ()) -> Prose:
    """What the comparison of arrangements says, in sentences, and what it does not say about other machines. asked: those that were to be
    compared, of which some may have needed more cards than there are."""
    first, *others = frame.to_dict("records")
    text = f"{first['arrangement'].capitalize()}: {short(first['prompts_a_second'])} prompts/s ({median_of(first['rounds'])})."
    for row in others:
        equal = "with the same answers" if row["same_answers"] == 1 else f"with only {row['same_answers']:.1%} of the answers the same"
        text += f" {row['arrangement'].capitalize()}: **{row['ratio']:.2f}x** that, {equal}."
    left_out = [name for name in (str(_parse(each)) for each in asked) if name not in set(frame["arrangement"])]
    if left_out:
        text += f" Left out, for each process needs a card of its own and there are too few: {', '.join(left_out)}."
    return Prose(text + " Measured on this machine and no other: a GPU's ratios have to be measured on that GPU.")


def about_memory(frame: pandas.DataFrame) -> Prose:
    """The largest share of the weights that one process holds, beside what the article claims of memory."""
    sharded = frame[frame["weight_share"] < 1]
    whole = frame["weight_bytes_a_process"][0] / frame["weight_share"][0] / 1e6
    one, two = _CLAIMED_GB
    text = f"The article claims {one:g} GB on one card and {two:g} GB a card on two, a share of {two / one:.3f}. "
    if sharded.empty:
        return Prose(text + "No arrangement here shares the weights out, so that is not tested.")
    parts = [f"{row['arrangement']} hold {row['weight_share']:.3f} of the weights each" for _, row in sharded.iterrows()]
    return Prose(
        text
        + f"Measured: {', '.join(parts)}. A share of the weights says nothing of the cache, which halves too, nor of the {one:g} GB: "
        + f"this model's weights are {whole:,.0f} MB, so gigabytes beyond that are not weights. On a rig of two cards, ranks save memory "
        + "a card; replicas hold all weights twice and exchange nothing. Which is faster there, a run of this notebook there says."
    )


def write_metrics(run_dir: str | Path, precisions: pandas.DataFrame, arrangements: pandas.DataFrame) -> None:
    """Write both tables as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    found: dict[str, Any] = {"precisions": precisions.to_dict("records"), "arrangements": arrangements.to_dict("records")}
    run_files.write_metrics(run_dir, found)
