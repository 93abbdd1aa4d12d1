"""Measurements on claims: committed ones, and those that runs of notebooks left; says where and how each was made. Judges nothing."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import ClaimError
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.precision_and_parallel import agreement, prompts_of
from seqgpt_lab.studies.sources import Source

METRICS = "metrics.json"
RECORD = "run.json"
_RIG_CARD = "RTX 4090"
# How the benchmark's notebook names what it measures on claims.
_BENCHMARK_NAMES = {"embedding cache": "embedding-cache", "reuse of a text": "embedding-cache", "dynamic padding": "dynamic-padding"}
_CLAIMED_WHOLE_BYTES = 28e9


@dataclass(frozen=True, slots=True)
class Record:
    """A measurement on a claim: what came out, on which machine and by which command, and whether the claim holds there.

    applies: whether the conditions of the claim were met (its machine, its model); holds: None where that was not to be told.
    """

    claim: str
    found: str
    machine: str
    command: str
    date: str
    applies: bool
    holds: bool | None


def load_records(paths: Sequence[str | Path] = ()) -> list[Record]:
    """Measurements on claims: the committed ones, then those in `paths`: JSON files with `claims`, or folders of runs.

    Raises ClaimError for a file that cannot be read or a record that does not say where it was measured.
    """
    found = []
    for path in [bundled("claim_records.json"), *map(Path, paths)]:
        found += _of_run(path) if path.is_dir() else [_record(entry, path) for entry in _read(path).get("claims", [])]
    return found


def _read(source: Path) -> dict[str, Any]:
    try:
        found = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClaimError(f"{source} holds no records of claims ({error}); give a run's folder or a JSON file with `claims`") from error
    if not isinstance(found, dict):
        raise ClaimError(f"{source} holds {type(found).__name__}, wanted a JSON object")
    return found


def _record(entry: Any, source: Path) -> Record:
    try:
        record = Record(**entry)
    except TypeError as error:
        raise ClaimError(f"{source}: {entry!r} is no record of a claim ({error})") from error
    if not record.machine or not record.command:
        raise ClaimError(f"{source}: the record on {record.claim!r} does not say on which machine and by which command it was measured")
    return record


def _of_run(folder: Path) -> list[Record]:
    """What a completed run measured on claims: of the benchmark, of the comparison of precisions, of this notebook itself."""
    run, metrics = _read(folder / RECORD), _read(folder / METRICS)
    if run.get("status") != "completed":
        raise ClaimError(f"{folder} is a run that is {run.get('status')!r}, not completed; its numbers are not used")
    machine = run.get("machine", {})
    words = "".join(f" -p {name} {run['parameters'][name]}" for name in run.get("given", []) if name != "run_dir")
    model = (run.get("model") or {}).get("source", "tiny")
    about = {
        "machine": describe(machine.get("cpu", "unknown"), machine.get("cores", 0), machine.get("gpus", [])) + f", model {model}",
        "command": f"seqgpt-lab run notebooks/{Path(str(run['notebook'])).name}{words}",
        "date": str(run.get("finished", ""))[:10],
        # The claims are about SeqGPT-560M on two cards; anything else is shown beside them and decides nothing.
        "applies": sum(_RIG_CARD in name for name in machine.get("gpus", [])) >= 2 and model != "tiny",
    }
    return [*_of_benchmark(metrics, about), *_of_arrangements(metrics, about)]


def _of_benchmark(metrics: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    found = []
    for row in metrics.get("claims", []):
        claim = _BENCHMARK_NAMES.get(row.get("claim", ""))
        numbers = re.findall(r"\d+(?:\.\d+)?", f"{row.get('measured', '')}"), re.findall(r"\d+(?:\.\d+)?", f"{row.get('article', '')}")
        if claim and all(numbers):
            # Half of what is claimed still counts as holding: conditions such as the lengths were not given.
            holds = float(numbers[0][0]) >= 0.5 * float(numbers[1][0])
            found.append(Record(claim, f"{row['measured']} ({row['how']})", **about, holds=holds))
    return found


def _of_arrangements(metrics: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    found = []
    for row in metrics.get("arrangements", []):
        if row.get("weight_share", 1.0) < 1.0:
            whole = row["weight_bytes_a_process"] / row["weight_share"]
            text = f"{row['arrangement']} hold {row['weight_share']:.3f} of the weights each; the whole is {whole / 1e9:.3f} GB"
            found.append(Record("memory", text, **about, holds=abs(whole / _CLAIMED_WHOLE_BYTES - 1) < 0.2))
    return found


def measure_determinism(model: str, sources: Sequence[Source], *, limit: int, dtype: str = "auto") -> Record:
    """Generate the same batches twice in one process and compare token by token; the claim is about the same machine and batch."""
    requests = prompts_of(model, sources, limit)
    with Engine.load(model, dtype=dtype) as engine:
        first, second = engine.generate(requests), engine.generate(requests)
        kind, device = str(engine.dtype).removeprefix("torch."), str(engine.device)
    same = agreement(second, first)["same_answers"]
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return Record(
        claim="determinism",
        found=f"{same:.1%} of {len(requests)} answers the same twice ({kind} on {device})",
        machine=describe(platform.machine(), torch.get_num_threads(), gpus) + f", model {model}",
        command=f"seqgpt-lab run notebooks/07_claims.ipynb -p model {model} -p limit {limit}",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        applies=True,
        holds=same == 1.0,
    )


def describe(cpu: str, cores: int, gpus: Sequence[str]) -> str:
    """A machine in words, its cards first; `no GPU` where there is none, so that no figure of a CPU is taken for one of a card."""
    return f"{' + '.join(gpus) if gpus else 'no GPU'}, {cpu} ({cores} cores)"
