"""Claims beside what the planner predicts for a rig and what records of runs have measured, with a verdict; measures nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import yaml

from seqgpt_lab.errors import CapacityError, ClaimError
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.claim_metrics import Record
from seqgpt_lab.studies.claim_predictions import PREDICTIONS, Prediction
from seqgpt_lab.studies.display import counted
from seqgpt_lab.studies.rigs import Rig

Verdict = Literal["confirmed", "contradicted", "physically impossible", "not testable here"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
_TEXTS = ("id", "text", "conditions", "tested_by", "prediction")


@dataclass(frozen=True, slots=True)
class Claim:
    """What was claimed under which conditions; tested_by: the notebook that tests it; prediction: a name in PREDICTIONS, or none."""

    id: str
    text: str
    conditions: str
    tested_by: str
    prediction: str
    claimed: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Finding:
    """A claim with its prediction, its records and the verdict, and why."""

    claim: Claim
    prediction: Prediction | None
    records: tuple[Record, ...]
    verdict: Verdict
    why: str


def load_claims(path: str | Path | None = None) -> list[Claim]:
    """The bundled claims, or those of a file. Raises ClaimError for a file that is none or a claim that lacks something."""
    source = Path(path) if path else bundled("claims.yaml")
    try:
        entries = yaml.safe_load(source.read_text(encoding="utf-8"))["claims"]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, TypeError, KeyError) as error:
        raise ClaimError(f"{source} holds no claims ({' '.join(str(error).split())}); wanted a YAML file with a list `claims`") from error
    return [_claim(entry, source) for entry in entries]


def _claim(entry: Any, source: Path) -> Claim:
    wanted = {*_TEXTS, "claimed"}
    if not isinstance(entry, dict) or set(entry) != wanted:
        raise ClaimError(f"{source}: {entry!r} is no claim; one has {', '.join(sorted(wanted))}")
    if entry["prediction"] not in {"none", *PREDICTIONS}:
        raise ClaimError(
            f"{source}: claim {entry['id']!r} wants the prediction {entry['prediction']!r}; there are none, {', '.join(PREDICTIONS)}"
        )
    return Claim(**{name: str(entry[name]) for name in _TEXTS}, claimed=dict(entry["claimed"]))


def judge(claims: Sequence[Claim], records: Sequence[Record], rig: Rig) -> list[Finding]:
    """A finding a claim, in their order. Raises ClaimError for a record on a claim that there is not."""
    unknown = sorted({record.claim for record in records} - {claim.id for claim in claims})
    if unknown:
        raise ClaimError(f"there are records on unknown claims: {', '.join(unknown)}")
    return [_judge(claim, tuple(record for record in records if record.claim == claim.id), rig) for claim in claims]


def _judge(claim: Claim, records: tuple[Record, ...], rig: Rig) -> Finding:
    """What was measured under the claim's conditions decides; else physics may rule it out; else nobody knows yet."""
    prediction = _predicted(claim, rig) if claim.prediction != "none" else None
    deciding = [record for record in records if record.decides]
    if deciding:
        latest = max(reversed(deciding), key=lambda record: record.date)  # of one day's, the one given last
        verdict: Verdict = "confirmed" if latest.holds else "contradicted"
        against = sum(record.holds is not latest.holds for record in deciding)
        but = f"; {counted(against, 'earlier measurement')} found otherwise" if against else ""
        return Finding(claim, prediction, records, verdict, f"measured under its conditions on {latest.machine}{but}")
    if prediction is not None and prediction.impossible:
        return Finding(claim, prediction, records, "physically impossible", prediction.impossible)
    other = "; measurements elsewhere are shown, and decide nothing" if records else ""
    return Finding(
        claim, prediction, records, "not testable here", f"nothing was measured under its conditions ({claim.conditions}){other}"
    )


def _predicted(claim: Claim, rig: Rig) -> Prediction:
    """What a rig is too small for is told in place of a figure: that it cannot run the model says nothing of another machine."""
    try:
        return PREDICTIONS[claim.prediction](rig, claim.claimed)
    except CapacityError as error:
        return Prediction(str(error))
