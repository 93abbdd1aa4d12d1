"""One finding of the machine check, and the lines of all of them as text or JSON; knows nothing of machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["ok", "note", "warning", "failed"]
_MARKS = {"ok": "ok     ", "note": "note   ", "warning": "WARNING", "failed": "FAILED "}
_INDENT = " " * 9


@dataclass(frozen=True, slots=True)
class Line:
    """status: ok; note (as it is, nothing to mend); warning (works, slower or at risk); failed (does not work as expected).

    name: stable, for programs and the troubleshooting page. expected: empty where nothing is. fix: a sentence or a command to copy.
    """

    name: str
    status: Status
    found: str
    expected: str = ""
    why: str = ""
    fix: str = ""


def exit_code(lines: Sequence[Line]) -> int:
    """1 when a line failed, else 0."""
    return int(any(line.status == "failed" for line in lines))


def as_json(lines: Sequence[Line], rig: str) -> dict[str, Any]:
    """JSON-ready: the rig compared with (empty for none), whether all is well, how many lines of each status, the lines."""
    counts = {status: sum(line.status == status for line in lines) for status in _MARKS}
    return {"rig": rig, "ok": not exit_code(lines), "counts": counts, "lines": [asdict(line) for line in lines]}


def as_text(lines: Sequence[Line], rig: str) -> str:
    """For people: a line each, and below it why it matters and how to mend it unless all is well."""
    shown = [f"Compared with {rig}." if rig else "Compared with no rig; name one with --rig."]
    for line in lines:
        expected = f"  (expected: {line.expected})" if line.expected and line.status != "ok" and line.expected != line.found else ""
        shown.append(f"{_MARKS[line.status]}  {line.name}: {line.found}{expected}")
        if line.status in ("warning", "failed"):
            shown += [f"{_INDENT}{head} {text}" for head, text in (("why:", line.why), ("fix:", line.fix)) if text]
        elif line.status == "note" and line.why:
            shown.append(f"{_INDENT}{line.why}")
    counts = as_json(lines, rig)["counts"]
    return "\n".join([*shown, ", ".join(f"{number} {status}" for status, number in counts.items() if number)])
