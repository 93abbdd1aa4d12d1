"""What a benchmark has measured, turn by turn, and its record on disk, from which an interrupted one goes on. Measures nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean, median
from typing import Any

from seqgpt_lab.engine.requests import Completion
from seqgpt_lab.errors import OptionError
from seqgpt_lab.files import write_json
from seqgpt_lab.studies.workloads import Workload


@dataclass(frozen=True, slots=True)
class Turn:
    """One contestant on the tasks of one round. answers: token ids of each; passes, seconds_to_first, reused_tokens: as Result, of
    this turn."""

    seconds: float
    answers: tuple[tuple[int, ...], ...]
    passes: float
    seconds_to_first: float
    reused_tokens: float

    @classmethod
    def of(cls, seconds: float, completions: Sequence[Completion]) -> Turn:
        """Of at least one completion."""
        timings = [one.timing for one in completions]
        answers = tuple(one.token_ids for one in completions)
        passes, reused = mean(timing.passes for timing in timings), mean(timing.reused for timing in timings)
        return cls(seconds, answers, passes, median(timing.prefill for timing in timings), reused)


Turns = dict[tuple[int, int], Turn]
"""By the number of the round, from 0, and the contestant's place."""


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant on one workload. seconds: of each round, which all contestants share; documents: prompts a round.

    fingerprint: the workload's, which tells it from another of its name.
    same_answers: share of answers that are token for token the first contestant's. passes: of the model, for a request on average;
    0 where an engine does not tell. seconds_to_first: the prompt's pass; 0 likewise. reused_tokens: of the prompt, computed for an earlier
    request; 0 likewise.
    """

    workload: str
    fingerprint: str
    contestant: str
    batch: int
    prompt_tokens: int
    documents: int
    answer_tokens: float
    same_answers: float
    passes: float
    seconds_to_first: float
    reused_tokens: float
    seconds: tuple[float, ...]


def results_of(workload: Workload, contestants: Sequence[str], prompt_tokens: int, turns: Turns) -> list[Result]:
    """A workload's results, a contestant each, when every turn of it is there."""
    rounds = range(len(workload.rounds) - 1)
    wanted = [answer for number in rounds for answer in turns[number, 0].answers]
    found = []
    for place, name in enumerate(contestants):
        mine = [turns[number, place] for number in rounds]
        answers = [answer for turn in mine for answer in turn.answers]
        result = Result(
            workload=workload.name,
            fingerprint=workload.fingerprint(),
            contestant=name,
            batch=workload.batch,
            prompt_tokens=prompt_tokens,
            documents=len(workload.rounds[1]),
            answer_tokens=mean(map(len, answers)),
            same_answers=mean(map(tuple.__eq__, answers, wanted)),
            passes=mean(turn.passes for turn in mine),
            seconds_to_first=median(turn.seconds_to_first for turn in mine),
            reused_tokens=mean(turn.reused_tokens for turn in mine),
            seconds=tuple(turn.seconds for turn in mine),
        )
        found.append(result)
    return found


@dataclass
class Record:
    """A benchmark's JSON file: results of whole workloads, one workload of each name, and the turns of interrupted ones.

    turns: by the workload's fingerprint and the contestants' names. path: None keeps nothing.
    """

    path: Path | None
    machine: Mapping[str, Any]
    contestants: Sequence[str]
    results: list[Result] = field(default_factory=list)
    turns: dict[tuple[str, tuple[str, ...]], Turns] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reads what is there. Raises OptionError for a file that is no record, or one of another model or machine."""
        if self.path is None or not self.path.exists():
            return
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            theirs, self.results = content["machine"], [_result(row) for row in content["results"]]
            for one in content.get("interrupted", []):
                turns = {(row["round"], row["place"]): _turn(row) for row in one["turns"]}
                self.turns[one["fingerprint"], tuple(one["contestants"])] = turns
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OptionError(f"{self.path} is not the record of a benchmark ({error!r}); name a new file") from error
        differing = [key for key in self.machine if theirs.get(key) != self.machine[key]]
        if differing:
            raise OptionError(f"{self.path} was made with another {', '.join(differing)}; name a new file")

    def whole(self, workload: Workload) -> list[Result]:
        """A workload's results in the order of the contestants; none unless all are there, of the same texts and labels."""
        about = workload.name, workload.fingerprint()
        rows = [row for row in self.results if (row.workload, row.fingerprint) == about]
        return rows if [row.contestant for row in rows] == list(self.contestants) else []

    def turns_of(self, workload: Workload) -> Turns:
        """The turns of it that are known, of the same texts and labels; those that are added to it are written too."""
        return self.turns.setdefault((workload.fingerprint(), tuple(self.contestants)), {})

    def finish(self, workload: Workload, results: Sequence[Result]) -> None:
        """Keep a workload's results in place of its turns, and of earlier results of its name."""
        del self.turns[workload.fingerprint(), tuple(self.contestants)]
        self.results = [*(row for row in self.results if row.workload != workload.name), *results]

    def write(self, content: Mapping[str, Any]) -> None:
        """content: what a benchmark of `results` writes; the turns of interrupted workloads are added."""
        if self.path is None:
            return
        interrupted = [_interrupted(*about, turns) for about, turns in self.turns.items() if turns]
        write_json(self.path, {**content, "interrupted": interrupted} if interrupted else dict(content))


def add_tables(path: Path, tables: Mapping[str, Any]) -> None:
    """Put further tables, by name and JSON-ready, into a record that a benchmark has written. Raises OSError."""
    write_json(path, {**json.loads(path.read_text(encoding="utf-8")), **tables})


def _interrupted(fingerprint: str, contestants: tuple[str, ...], turns: Turns) -> dict[str, Any]:
    rows = [{"round": at[0], "place": at[1], **asdict(turn)} for at, turn in turns.items()]
    return {"fingerprint": fingerprint, "contestants": list(contestants), "turns": rows}


def _result(row: Mapping[str, Any]) -> Result:
    return Result(**{**row, "seconds": tuple(row["seconds"])})


def _turn(row: Mapping[str, Any]) -> Turn:
    return Turn(row["seconds"], tuple(map(tuple, row["answers"])), row["passes"], row["seconds_to_first"], row["reused_tokens"])
