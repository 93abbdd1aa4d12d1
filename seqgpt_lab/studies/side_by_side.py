"""What comparing engines on the same prompts takes: the prompts, how far answers agree, times taken in turns. Knows no dtypes, no ranks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from seqgpt_lab.engine.checkpoint import find_checkpoint
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import Completion, Request
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.prompt import build_prompt, split_evenly
from seqgpt_lab.extraction.tokenizer import TextTokenizer
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.display import Prose, counted
from seqgpt_lab.studies.sources import Source, first


def prompts_of(model: str | Path, sources: Sequence[Source], limit: int) -> list[Request]:
    """The prompts an extractor sends for the sources' documents. limit: the first so many documents of each; 0: all.

    Raises OptionError for a negative limit and when there are no documents, DocumentError and LabelError for files that cannot be used.
    """
    tokenizer = TextTokenizer.load(find_checkpoint(model).tokenizer)
    requests = []
    for source in sources:
        groups = split_evenly(LabelSet.load(source.labels).phrases)
        for document in first(source.load(), limit):
            requests += [Request(build_prompt(tokenizer, document.text, phrases).ids) for phrases in groups]
    if not requests:
        raise OptionError("no documents, so no prompts to compare; give sources that hold documents")
    return requests


def about_prompts(requests: Sequence[Request]) -> Prose:
    """How many prompts, and how long, in a sentence."""
    lengths = [len(request.prompt_ids) for request in requests]
    return Prose(
        f"{counted(len(requests), 'prompt')} of {min(lengths)} to {max(lengths)} tokens, {sum(lengths) / len(lengths):.0f} on average."
    )


def agreement(answers: Sequence[Completion], wanted: Sequence[Completion]) -> dict[str, float]:
    """same_answers: share of equal answers. same_tokens: share of the wanted tokens that stand before the first difference."""
    same, kept, total = 0, 0, 0
    for mine, theirs in zip(answers, wanted, strict=True):
        same += mine.token_ids == theirs.token_ids
        pairs = list(zip(mine.token_ids, theirs.token_ids, strict=False))
        kept += next((at for at, (one, other) in enumerate(pairs) if one != other), len(pairs))
        total += len(theirs.token_ids)
    return {"same_answers": same / len(wanted), "same_tokens": kept / total if total else 1.0}


def seconds_in_turns(
    engines: Sequence[Engine], requests: Sequence[Request], rounds: int, progress: TaskProgress | None = None
) -> list[list[float]]:
    """Seconds of each engine for all requests, once a round. The engines take turns, so that a machine that slows down slows them all;
    the caller warms them up."""
    seconds: list[list[float]] = [[] for _ in engines]
    for turn in range(rounds):
        for times, engine in zip(seconds, engines, strict=True):
            started = time.perf_counter()
            engine.generate(requests)
            times.append(time.perf_counter() - started)
        if progress:
            progress("rounds", turn + 1, rounds)
    return seconds


def median_of(rounds: int) -> str:
    """For people: what a time rests on."""
    return "one round" if rounds == 1 else f"median of {rounds} rounds"


def weight_bytes(engine: Engine) -> int:
    """Bytes of the parameters in the process that holds most."""
    workers = engine.workers
    if workers:
        return max(worker.weight_bytes for worker in workers)
    return sum(parameter.nbytes for parameter in engine.model.parameters())
