"""Findings on claims as readers see them: counted in sentences, at a glance, one by one, and for programs; judges nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pandas

from seqgpt_lab.studies import run_files
from seqgpt_lab.studies.claim_metrics import Record
from seqgpt_lab.studies.claims import VERDICTS, Finding
from seqgpt_lab.studies.display import Html, Prose, counted

_NOTHING_MEASURED = "nothing yet"


def about_claims(findings: Sequence[Finding]) -> Prose:
    """How many claims got which verdict, in sentences."""
    counts = {verdict: [one.claim.id for one in findings if one.verdict == verdict] for verdict in VERDICTS}
    parts = [f"{verdict}: {len(names)} ({', '.join(names)})" for verdict, names in counts.items() if names]
    records = [record for one in findings for record in one.records]
    deciding = sum(record.decides for record in records)
    return Prose(
        f"{counted(len(findings), 'claim')}; {'; '.join(parts)}. Shown: {counted(len(records), 'measurement')}, {deciding} of which under "
        "the conditions of a claim; the others, and predictions, confirm and contradict nothing."
    )


def verdicts_table(findings: Sequence[Finding]) -> pandas.DataFrame:
    """One row a claim: its name, what is claimed, the verdict."""
    return pandas.DataFrame({"name": one.claim.id, "claim": one.claim.text, "verdict": one.verdict} for one in findings)


def claims_table(findings: Sequence[Finding]) -> pandas.DataFrame:
    """One row a claim, for programs: id, claim, verdict, why, conditions, tested by, predicted for the rig, measured (what, where, how)."""
    return pandas.DataFrame(
        {
            "id": one.claim.id,
            "claim": one.claim.text,
            "verdict": one.verdict,
            "why": one.why,
            "conditions": one.claim.conditions,
            "tested_by": one.claim.tested_by,
            "predicted": _predicted(one),
            "measured": " | ".join(f"{record.found} [{record.machine}, {record.date}: {record.command}]" for record in one.records)
            or _NOTHING_MEASURED,
        }
        for one in findings
    )


def claims_one_by_one(findings: Sequence[Finding], rig: str) -> Html:
    """Each claim with all that is known of it: verdict and why, conditions, what is predicted for the rig, each measurement."""
    return Html("".join(_claim(one, rig) for one in findings))


def _claim(one: Finding, rig: str) -> str:
    measured = "".join(f"<li>{_measurement(record)}</li>" for record in one.records)
    told = {
        "Verdict": f"<strong>{html.escape(one.verdict)}</strong>: {html.escape(one.why)}",
        "Conditions of the claim": html.escape(one.claim.conditions),
        f"Predicted for {rig}": html.escape(_predicted(one)),
        "Measured": f"<ul>{measured}</ul>" if measured else _NOTHING_MEASURED,
        "Tested by": html.escape(one.claim.tested_by),
    }
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{value}</dd>" for name, value in told.items())
    return f"<h3>{html.escape(f'{one.claim.id}: {one.claim.text}')}</h3><dl>{rows}</dl>"


def _predicted(one: Finding) -> str:
    return one.prediction.text if one.prediction else "no prediction"


def _measurement(record: Record) -> str:
    weight = "decides" if record.decides else "decides nothing"
    where = html.escape(f"{record.date}, {record.machine}; {weight}")
    return f"{html.escape(record.found)}<br><small>{where}<br><code>{html.escape(record.command)}</code></small>"


def write_metrics(run_dir: str | Path, findings: Sequence[Finding]) -> None:
    """Write the verdicts, and the records as `load_records` reads them, as `<run_dir>/metrics.json`, atomically.

    An empty `run_dir` means nowhere. Raises OSError.
    """
    records = [asdict(record) for finding in findings for record in finding.records]
    run_files.write_metrics(run_dir, {"verdicts": claims_table(findings).to_dict("records"), "claims": records})
