"""Measurements on claims: committed ones, and those that runs of notebooks left; says where and how each was made. Judges nothing."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import ClaimError
from seqgpt_lab.machine import processors
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.claim_metrics import Record, records_of
from seqgpt_lab.studies.display import counted
from seqgpt_lab.studies.models import trained_in
from seqgpt_lab.studies.planner import SEQGPT_560M
from seqgpt_lab.studies.run_files import METRICS, RECORD
from seqgpt_lab.studies.side_by_side import agreement, prompts_of
from seqgpt_lab.studies.sources import Source

_RIG_CARD = "RTX 4090"


def load_records(paths: Sequence[str | Path] = ()) -> list[Record]:
    """Measurements on claims: the committed ones, then those in `paths`: JSON files with `claims` (such as a run of notebook 07 leaves),
    what `seqgpt-lab doctor --json` wrote, or folders of runs.

    Raises ClaimError for a file that cannot be read or holds none of these, or a record that does not say where it was measured.
    """
    found = []
    for path in [bundled("claim_records.json"), *map(Path, paths)]:
        if path.is_dir():
            found += _of_run(path)
        else:
            content = _read(path)
            found += _of_doctor(content, path) if "lines" in content else _of_claims(content, path)
    return found


def _read(source: Path) -> dict[str, Any]:
    try:
        found = json.loads(source.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ClaimError(f"{source} holds no records of claims ({error}); give a run's folder or a JSON file with `claims`") from error
    if not isinstance(found, dict):
        raise ClaimError(f"{source} holds {type(found).__name__}, wanted a JSON object")
    return found


def _of_claims(content: Mapping[str, Any], source: Path) -> list[Record]:
    """The records of a file of claims. Another file, such as a run's metrics, would count for nothing without a word."""
    entries = content.get("claims")
    if not isinstance(entries, list):
        raise ClaimError(f"{source} has no list `claims`, so it says nothing on claims; give the folder of a run, or a file that has one")
    return [_record(entry, source) for entry in entries]


def _record(entry: Any, source: Path) -> Record:
    try:
        record = Record(**entry)
    except TypeError as error:
        raise ClaimError(f"{source}: {entry!r} is no record of a claim ({error})") from error
    if not record.machine or not record.command:
        raise ClaimError(f"{source}: the record on {record.claim!r} does not say on which machine and by which command it was measured")
    return record


def _of_doctor(content: Mapping[str, Any], path: Path) -> list[Record]:
    """What the machine check says of the disk and of flash-attn. One disk, and one way to attend, tell of no factor between two."""
    try:
        lines = {line["name"]: line for line in content["lines"]}
        cards, processor, disk, flash = (lines[name]["found"] for name in ("cards", "processor", "disk", "flash-attn"))
        gpus = [cards] if lines["cards"]["status"] == "ok" else []
    except (KeyError, TypeError) as error:
        raise ClaimError(f"{path} is not what `seqgpt-lab doctor --json` writes ({error!r} is missing)") from error
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d")
    about = {"machine": f"{' + '.join(gpus) or 'no GPU'}, {processor}", "command": "seqgpt-lab doctor --json", "date": written}
    return [
        Record("storage", f"the model's disk: {disk}", **about, applies=False, holds=None),
        Record("flash-attention", f"flash-attn here: {flash}", **about, applies=False, holds=None),
    ]


def _of_run(folder: Path) -> list[Record]:
    """What a completed run measured on claims."""
    run, metrics = _read(folder / RECORD), _read(folder / METRICS)
    if run.get("status") != "completed":
        raise ClaimError(f"{folder} is a run that is {run.get('status')!r}, not completed; its numbers are not used")
    machine = run.get("machine", {})
    words = _as_typed({name: run["parameters"][name] for name in run.get("given", []) if name != "run_dir"})
    model = (run.get("model") or {}).get("source", "tiny")
    on_the_rig = sum(_RIG_CARD in name for name in machine.get("gpus", [])) >= 2
    weights = str((run.get("model") or {}).get("sha256", {}).get("model.safetensors", ""))[:8]
    about = {
        "machine": describe(machine.get("cpu", "unknown"), machine.get("cores", 0), machine.get("gpus", []))
        + f", model {model}{f' ({weights})' if weights else ''}",
        "command": f"seqgpt-lab run notebooks/{Path(str(run['notebook'])).name}{words}",
        "date": str(run.get("finished", ""))[:10],
    }
    # The claims are about SeqGPT-560M on two cards; anything else is shown beside them and decides nothing. What a model reads right does
    # not depend on the machine.
    claimed = trained_in(run.get("model") or {}, SEQGPT_560M)
    timed, read = {**about, "applies": on_the_rig and claimed}, {**about, "applies": claimed}
    return records_of(metrics, run["parameters"], timed, read)


def _as_typed(parameters: Mapping[str, object]) -> str:
    """Parameters as they are typed in a shell, a blank before each."""
    values = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in parameters.items()}
    return "".join(f" -p {name} {shlex.quote(value)}" for name, value in values.items())


def measure_determinism(model: str, sources: Sequence[Source], *, limit: int, kinds: Sequence[str] = ()) -> Record:
    """Generate the same batches twice in one process and compare token by token; the claim is about the same machine and batch.

    kinds: as the notebook was given them, for the command that makes this measurement again. Raises as `prompts_of` and `Engine.load` do.
    """
    requests = prompts_of(model, sources, limit)
    with Engine.load(model) as engine:
        first, second = engine.generate(requests), engine.generate(requests)
        kind, device = str(engine.dtype).removeprefix("torch."), str(engine.device)
    same = agreement(second, first)["same_answers"]
    given = {"model": model, **({"kinds": list(kinds)} if kinds else {}), "limit": limit}
    # Cards whose CUDA does not start are counted too, and cannot be asked for their names; then the CPU has answered.
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    return Record(
        claim="determinism",
        found=f"{same:.1%} of {len(requests)} answers the same twice ({kind} on {device})",
        machine=describe(platform.machine(), processors(), gpus) + f", model {model}",
        command=f"seqgpt-lab run notebooks/07_claims.ipynb{_as_typed(given)}",
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        applies=True,
        holds=same == 1.0,
    )


def describe(cpu: str, cores: int, gpus: Sequence[str]) -> str:
    """A machine in words, its cards first; `no GPU` where there is none, so that no figure of a CPU is taken for one of a card."""
    return f"{' + '.join(gpus) if gpus else 'no GPU'}, {cpu} ({counted(cores, 'core')})"
