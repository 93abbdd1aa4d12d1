"""What the metrics of a notebook's run say on the article's claims; reads no files and knows no machine."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seqgpt_lab.studies.batch_length import SCENARIOS, cell_name
from seqgpt_lab.studies.display import short

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


def records_of(
    metrics: Mapping[str, Any], parameters: Mapping[str, Any], timed: Mapping[str, Any], read: Mapping[str, Any]
) -> list[Record]:
    """Of any notebook's run. timed, read: the other fields of records on speed and memory, and of those on what was read right."""
    return [
        *_of_benchmark(metrics, timed),
        *_of_precisions(metrics, timed),
        *_of_wording(metrics, read),
        *_of_preprocessing(metrics, parameters, read),
        *_of_windows(metrics, parameters, read),
    ]


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
