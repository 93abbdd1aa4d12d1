"""Measurements on claims: committed ones, and those that runs of notebooks left; says where and how each was made. Judges nothing."""

from __future__ import annotations

import json
import math
import platform
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import ClaimError
from seqgpt_lab.machine import processors
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.batch_length import SCENARIOS, cell_name
from seqgpt_lab.studies.display import counted, short
from seqgpt_lab.studies.models import trained_in
from seqgpt_lab.studies.planner import SEQGPT_560M
from seqgpt_lab.studies.side_by_side import agreement, prompts_of
from seqgpt_lab.studies.sources import Source

METRICS = "metrics.json"
RECORD = "run.json"
_RIG_CARD = "RTX 4090"
# How the benchmark's notebook names what it measures on claims.
_REUSE = "reuse of a text"
_BENCHMARK_NAMES = {"embedding cache": "embedding-cache", _REUSE: "embedding-cache", "dynamic padding": "dynamic-padding"}
_CLAIMED_FP16_SHARE = 0.7
_CLAIMED_WORDING_GAP, _CLAIMED_BRACKETS_GAP, _CLAIMED_LONG_F1 = 0.987 - 0.632, 0.994 - 0.81, 0.951
_BRACKETS_KIND = "loan_form"
# An interval over a few documents that came out alike is narrower than what is not known of others.
_FEWEST_DOCUMENTS = 30
_LONG_CHARACTERS = 10_000
_GOOD_WORDS, _VAGUE_WORDS, _ALIAS = "供应商、金额、交货期", "公司、钱、时间", ("邮箱", "email")


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

    @property
    def decides(self) -> bool:
        """Whether it says something about the claim under the claim's own conditions."""
        return self.applies and self.holds is not None


def load_records(paths: Sequence[str | Path] = ()) -> list[Record]:
    """Measurements on claims: the committed ones, then those in `paths`: JSON files with `claims` (such as a run of notebook 07 leaves),
    what `seqgpt-lab doctor --json` wrote, or folders of runs.

    Raises ClaimError for a file that cannot be read or a record that does not say where it was measured.
    """
    found = []
    for path in [bundled("claim_records.json"), *map(Path, paths)]:
        if path.is_dir():
            found += _of_run(path)
        else:
            content = _read(path)
            found += _of_doctor(content, path) if "lines" in content else [_record(entry, path) for entry in content.get("claims", [])]
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
    return [
        *_of_benchmark(metrics, timed),
        *_of_precisions(metrics, timed),
        *_of_wording(metrics, read),
        *_of_preprocessing(metrics, run["parameters"], read),
        *_of_windows(metrics, run["parameters"], read),
    ]


def _as_typed(parameters: Mapping[str, object]) -> str:
    """Parameters as they are typed in a shell, a blank before each."""
    values = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for name, value in parameters.items()}
    return "".join(f" -p {name} {shlex.quote(value)}" for name, value in values.items())


def _of_benchmark(metrics: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    """Of notebook 04: the article's scenarios, caching and padding.

    It runs one process on one card, the claims are of two and of FP16: what one card misses decides only where half the time, which is the
    most that a second card could give, would miss it too.
    """
    found, ran = [], metrics.get("machine", {})
    about = {**about, "applies": about["applies"] and (ran.get("device", "cuda"), ran.get("dtype", "float16")) == ("cuda", "float16")}
    for claim, scenario in zip(("latency", "throughput"), SCENARIOS, strict=False):
        rows = [row for row in metrics.get("table", []) if row["workload"] == cell_name(scenario.batch, scenario.length)]
        if rows:
            best = min(rows, key=lambda row: float(row["seconds_a_batch"]))
            seconds, rate = float(best["seconds_a_batch"]), float(best["documents_a_second"])
            text = f"{best['contestant']}: {short(seconds * 1000)} ms a batch of {scenario.batch}, {short(rate)} documents/s"
            most, least = scenario.claimed_seconds or math.inf, scenario.claimed_rate or 0.0
            met = seconds <= most and rate >= least
            within_two_cards = seconds / 2 <= most and 2 * rate >= least
            undecided = within_two_cards and not met
            found.append(Record(claim, f"{text} at {scenario.length} tokens", **about, holds=None if undecided else met))
    for row in metrics.get("claims", []):
        claim = _BENCHMARK_NAMES.get(row.get("claim", ""), "")
        if claim:
            # Half of what is claimed still counts as holding: conditions such as the lengths were not given. What is gained by keeping
            # keys and values stands beside the claim; it is on embeddings, and says nothing of these.
            judged = row["claim"] != _REUSE and "figure" in row
            holds = row["figure"] >= 0.5 * row["claimed"] if judged else None
            found.append(Record(claim, f"{row['claim']}: {row['measured']} ({row['how']})", **about, holds=holds))
    return found


def _of_precisions(metrics: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    """Of notebook 08: what a rank holds of the weights, and what half precision gains.

    The weights are not all that a card holds, so their size speaks neither for nor against gigabytes a card.
    """
    found = []
    for row in metrics.get("arrangements", []):
        if row.get("weight_share", 1.0) < 1.0:
            whole = row["weight_bytes_a_process"] / row["weight_share"]
            text = f"{row['arrangement']} hold {row['weight_share']:.3f} of the weights each; the whole is {whole / 1e9:.3f} GB"
            found.append(Record("memory", text, **about, holds=None))
    seconds = {row["dtype"]: row["seconds"] for row in metrics.get("precisions", []) if "seconds" in row}
    for half in ("fp16", "bf16"):
        if "fp32" in seconds and half in seconds:
            share = seconds[half] / seconds["fp32"]
            text = f"{half} takes {share:.0%} of fp32's time ({short(seconds[half])} s of {short(seconds['fp32'])} s)"
            found.append(Record("fp16-share", text, **about, holds=share <= 1 - _CLAIMED_FP16_SHARE if half == "fp16" else None))
    return found


def _of_wording(metrics: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    """Of notebook 02: the article's words, or 邮箱 asked for as email."""
    variants = metrics.get("comparison", {}).get("variants", [])
    if len(variants) != 2:
        return []
    good, other = variants
    (verdict,) = metrics["comparison"]["verdicts"]
    names = f"{good['variant']} / {other['variant']}"
    text = (
        f"strict micro F1 of {names}: {good['micro_f1']:.3f} / {other['micro_f1']:.3f} on {verdict['documents']} documents, records wholly "
    )
    text += f"right {good['exact_record_rate']:.1%} / {other['exact_record_rate']:.1%}; {_certainty(verdict)}"
    gap = good["micro_f1"] - other["micro_f1"]
    if good["variant"] == _GOOD_WORDS and other["variant"] == _VAGUE_WORDS:
        # An accuracy of unknown kind on one contract: only whether the words matter as much as claimed can be told.
        return [Record("label-wording", text, **about, holds=_gap_holds(gap, _CLAIMED_WORDING_GAP, verdict))]
    if (good["variant"], other["variant"]) == _ALIAS:
        return [Record("aliases", text, **about, holds=gap < 0 if verdict["real"] else None)]
    return []


def _of_preprocessing(metrics: Mapping[str, Any], parameters: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    """Of notebook 03: brackets kept and removed, on documents without noise. Texts without brackets are the same either way, so they
    tell of the claim only where most have some."""
    rows = {tuple(row["steps"]): row for row in metrics.get("none", {}).get("combinations", [])}
    kept, removed = rows.get(()), rows.get(("remove_brackets",))
    if kept is None or removed is None:
        return []
    verdict, gap = removed["verdict"], kept["micro_f1"] - removed["micro_f1"]
    text = f"strict micro F1 with brackets kept {kept['micro_f1']:.3f}, removed {removed['micro_f1']:.3f} on {verdict['documents']} texts"
    text += f", {removed['changed']} of which hold some; {_certainty(verdict)}"
    kind = Path(parameters.get("documents") or parameters.get("kind", "")).name.split(".")[0]
    about = {**about, "applies": about["applies"] and kind == _BRACKETS_KIND}
    have_brackets = 0 < removed["changed"] >= 0.5 * verdict["documents"]
    return [Record("punctuation", text, **about, holds=_gap_holds(gap, _CLAIMED_BRACKETS_GAP, verdict) if have_brackets else None)]


def _gap_holds(gap: float, claimed: float, verdict: Mapping[str, Any]) -> bool | None:
    """Whether at least half of a claimed gap, baseline minus variant, is there; None where the documents do not tell.

    What may be chance says nothing against a claim, unless the interval over documents enough leaves out even half of it.
    """
    if verdict["real"]:
        return gap >= 0.5 * claimed
    ruled_out = -verdict.get("low", -math.inf) < 0.5 * claimed
    return False if ruled_out and verdict["documents"] >= _FEWEST_DOCUMENTS else None


def _certainty(verdict: Mapping[str, Any]) -> str:
    return f"{'a real difference' if verdict['real'] else 'not shown to be more than chance'} (p = {verdict['adjusted_p']:.2g})"


def _of_windows(metrics: Mapping[str, Any], parameters: Mapping[str, Any], about: Mapping[str, Any]) -> list[Record]:
    """Of notebook 09: long texts in windows."""
    long = [row for row in metrics.get("windows", []) if row["read"] == "long"]
    if not long or parameters.get("length", 0) < _LONG_CHARACTERS:
        return []
    scores = {id(row): _f1(row["precision"], row["recall"]) for row in long}
    best = max(long, key=lambda row: scores[id(row)])
    text = f"texts of {parameters['length']} characters: strict F1 {scores[id(best)]:.3f} (recall {best['recall']:.3f}, precision "
    text += f"{best['precision']:.3f}) in windows of {best['max_length']} tokens, the best of {len(long)} settings"
    return [Record("long-text", text, **about, holds=scores[id(best)] >= _CLAIMED_LONG_F1)]


def _f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


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
