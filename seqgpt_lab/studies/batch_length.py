"""Latency and throughput over batch, length and technique; the article's scenarios and claims beside them; what to use for a target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas
import torch

from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.model import fresh_geometry
from seqgpt_lab.errors import OptionError
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies import run_files
from seqgpt_lab.studies.benchmark import Benchmark, run_benchmark
from seqgpt_lab.studies.contestants import Contestant, choose_contestants
from seqgpt_lab.studies.display import Html, Prose, plain, short, table
from seqgpt_lab.studies.speeds import best_of
from seqgpt_lab.studies.workloads import Texts, Workload

MANY_LABELS = "one text, every label set"


@dataclass(frozen=True, slots=True)
class Scenario:
    """What the article runs on two RTX 4090, and the figure it claims for it, if any; seconds a batch, documents a second."""

    name: str
    batch: int
    length: int
    claimed_seconds: float | None = None
    claimed_rate: float | None = None


SCENARIOS = (
    Scenario("real time", 1, 256, claimed_seconds=0.142),
    Scenario("bulk", 16, 512, claimed_rate=832.0),
    Scenario("long text", 4, 1024),
)
_PADDED = 512  # what the article pads to without dynamic padding
_CLAIMED_EMBEDDING, _CLAIMED_PADDING = 3.2, 0.040


def techniques_named(names: Sequence[str]) -> list[Contestant]:
    """This engine's contestants of these names, in their order. Raises OptionError naming those there are."""
    known = {contestant.name: contestant for contestant in choose_contestants()}
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise OptionError(f"there are no techniques {unknown or 'given'}; there are {list(known)}")
    return [known[name] for name in names]


def measure_grid(
    model: str | Path,
    texts: Texts,
    batches: Sequence[int],
    lengths: Sequence[int],
    techniques: Sequence[str],
    *,
    dtype: str = "auto",
    rounds: int = 1,
    record: str | Path = "",
    progress: TaskProgress | None = None,
) -> Benchmark:
    """Every technique at every batch and length, and on one text of the greatest length with every label set.

    A prompt a place in the batch, each of about `length` tokens. record: a file that keeps what is measured; empty: none.
    Raises OptionError for empty lists and techniques that do not exist.
    """
    contestants = techniques_named(techniques)
    if not batches or not lengths or min(*batches, *lengths, rounds) < 1:
        raise OptionError(f"batches {list(batches)}, lengths {list(lengths)} and rounds {rounds} must be whole numbers from 1")
    cells = dict.fromkeys([(batch, length) for length in lengths for batch in batches])
    workloads = [texts.of_length(cell_name(batch, length), batch=batch, tokens=length, rounds=rounds) for batch, length in cells]
    workloads.append(texts.one_text_many_labels(MANY_LABELS, tokens=max(lengths), rounds=rounds))
    kept = Path(record) if record else None
    return run_benchmark(model, workloads, contestants, dtype=dtype, record=kept, progress=progress and _in_one(workloads, progress))


def _in_one(workloads: Sequence[Workload], progress: TaskProgress) -> TaskProgress:
    """One progress over all cells: a bar for each would be a page of bars."""
    names = [workload.name for workload in workloads]
    return lambda name, done, total: progress("cells", names.index(name) + (done == total), len(names))


def cell_name(batch: int, length: int) -> str:
    """The workload's name in what is measured."""
    return f"batch {batch}, {length} tokens"


def grid_frame(found: Benchmark) -> pandas.DataFrame:
    """A row a cell and technique: technique, batch, length, latency (seconds until a batch is answered), documents_a_second."""
    frame = found.table()
    frame = frame[frame["workload"] != MANY_LABELS]
    length = frame["workload"].str.extract(r", (\d+) tokens$")[0].astype(int)
    rows = frame.assign(technique=frame["contestant"], length=length, latency=frame["seconds_a_batch"])
    return rows[["technique", "batch", "length", "latency", "documents_a_second", "same_answers"]].reset_index(drop=True)


def show_grid(grid: pandas.DataFrame) -> Html:
    """The grid for people: milliseconds, and in how many of a hundred answers a technique writes what the first one does."""
    figures = {"latency": (1000 * grid["latency"]).map(short), "documents_a_second": grid["documents_a_second"].map(short)}
    shown = grid.assign(**figures, same_answers=grid["same_answers"].map("{:.1%}".format))
    heads = {"length": "prompt (tokens)", "latency": "a batch (ms)", "documents_a_second": "documents/s"}
    return table(shown.rename(columns={**heads, "same_answers": "answers equal to the first technique's"}))


def about_rounds(found: Benchmark) -> Prose:
    """What each figure rests on, in a sentence."""
    rounds = min(len(result.seconds) for result in found.results)
    if rounds == 1:
        return Prose("Every figure is of one timed round after a warm-up: nothing here says how much a second round would differ.")
    return Prose(f"Every figure is the median of {rounds} timed rounds after a warm-up; small differences may be chance.")


def scenario_table(grid: pandas.DataFrame) -> pandas.DataFrame:
    """The article's scenarios that were measured, the quickest technique of each: what the article claims for its rig, what is measured."""
    rows = []
    for scenario in SCENARIOS:
        cells = grid[(grid["batch"] == scenario.batch) & (grid["length"] == scenario.length)]
        if cells.empty:
            continue
        best = cells.sort_values("latency").iloc[0]
        rows.append(
            {
                "scenario": scenario.name,
                "batch": scenario.batch,
                "length": scenario.length,
                "technique": best["technique"],
                "latency": best["latency"],
                "claimed_latency": scenario.claimed_seconds,
                "documents_a_second": best["documents_a_second"],
                "claimed_documents_a_second": scenario.claimed_rate,
            }
        )
    return pandas.DataFrame(rows)


def show_scenarios(scenarios: pandas.DataFrame) -> Html:
    """The scenarios for people, in milliseconds; nothing where none was measured."""
    if scenarios.empty:
        return Html("")
    scales = {"latency": 1000, "claimed_latency": 1000, "documents_a_second": 1, "claimed_documents_a_second": 1}
    figures = {name: (scale * scenarios[name].astype(float)).map(short, na_action="ignore") for name, scale in scales.items()}
    heads = {"length": "prompt (tokens)", "latency": "a batch (ms)", "claimed_latency": "article: a batch (ms)"}
    heads |= {"documents_a_second": "documents/s", "claimed_documents_a_second": "article: documents/s"}
    return table(scenarios.assign(**figures).rename(columns=heads))


def about_scenarios(scenarios: pandas.DataFrame, machine: str) -> Prose:
    """What the scenarios say, in sentences. machine: where they were measured, as `about_machine` says it."""
    if scenarios.empty:
        return Prose(f"None of the article's scenarios is among the batches and lengths of this run. {machine}")
    parts = []
    for row in scenarios.to_dict("records"):
        text = f"{row['scenario'].capitalize()}: **{short(row['latency'] * 1000)} ms** a batch of {row['batch']}, "
        text += f"{short(row['documents_a_second'])} documents/s ({plain(row['technique'])})"
        if row["claimed_latency"] == row["claimed_latency"] and row["claimed_latency"]:
            text += f"; the article claims {row['claimed_latency'] * 1000:.0f} ms"
        if row["claimed_documents_a_second"] == row["claimed_documents_a_second"] and row["claimed_documents_a_second"]:
            text += f"; the article claims {row['claimed_documents_a_second']:.0f}/s"
        parts.append(text + ".")
    return Prose(" ".join(parts) + " The article's figures are of two RTX 4090 and its own model, and stay unverified. " + machine)


@torch.inference_mode()
def measure_claims(engine: Engine, texts: Texts, found: Benchmark, *, batch: int, length: int, repeats: int = 3) -> pandas.DataFrame:
    """The article's claims on the embedding cache and dynamic padding as rows: claim, article, measured, how, figure, claimed.

    figure, claimed: the numbers in `measured` and `article`, factors and milliseconds, for whoever judges.

    An embedding cache can save at most what the embeddings cost, so the prompt's pass is timed with and without them. Padding is timed as
    one pass over `batch` prompts of short documents, as many as there are, padded to the longest and to 512. Whatever was measured
    before, this must not fail for want of documents.
    """
    model, device = engine.model, engine.device
    ids = torch.zeros(batch, length, dtype=torch.int64, device=device)
    whole = best_of(lambda: model(ids, fresh_geometry(ids)), device, repeats, elapsed=True)
    embedding = best_of(lambda: model.word_embeddings_layernorm(model.word_embeddings(ids)), device, repeats, elapsed=True)
    longest = min(_PADDED, max(texts.prompt_tokens(task) for task in texts.nearest(115, batch)))
    tight, padded = (
        best_of(lambda row=row: model(row, fresh_geometry(row)), device, repeats, elapsed=True)  # type: ignore[misc]
        for row in (torch.zeros(batch, count, dtype=torch.int64, device=device) for count in (longest, _PADDED))
    )
    rows: list[dict[str, str | float]] = [
        {
            "claim": "embedding cache",
            "article": f"{_CLAIMED_EMBEDDING:g}x throughput",
            "measured": f"at most {whole / max(whole - embedding, 1e-9):.4f}x",
            "how": f"embeddings take {embedding / whole:.2%} of the pass over {batch} prompts of {length} tokens",
            "figure": whole / max(whole - embedding, 1e-9),
            "claimed": _CLAIMED_EMBEDDING,
        },
        {
            "claim": "dynamic padding",
            "article": f"{_CLAIMED_PADDING * 1000:.0f} ms saved",
            "measured": f"{short((padded - tight) * 1000)} ms saved",
            "how": f"{batch} prompts padded to their longest ({longest} tokens) and to {_PADDED}",
            "figure": (padded - tight) * 1000,
            "claimed": _CLAIMED_PADDING * 1000,
        },
    ]
    return pandas.DataFrame(rows + _reuse_rows(found))


def _reuse_rows(found: Benchmark) -> list[dict[str, str | float]]:
    """What keeping embeddings, and keeping the whole of a text's pass, gives where the run had both sides of the comparison."""
    names = {result.contestant for result in found.results if result.workload == MANY_LABELS}
    pairs = (
        ("embedding cache", "ours, embedding cache", "ours without prefix"),
        ("reuse of a text", "ours", "ours without prefix"),  # `ours, plain` goes without drafts too, which are most of its distance
    )
    return [
        {
            "claim": claim,
            "article": f"{_CLAIMED_EMBEDDING:g}x throughput",
            "measured": f"{found.ratio(MANY_LABELS, name, against):.2f}x",
            "how": f"{name!r} against {against!r} on one text asked with every label set",
            "figure": found.ratio(MANY_LABELS, name, against),
            "claimed": _CLAIMED_EMBEDDING,
        }
        for claim, name, against in pairs
        if {name, against} <= names
    ]


def recommend(grid: pandas.DataFrame, *, latency: float = 0.0, rate: float = 0.0) -> Prose:
    """Which batch and technique to use at each length. latency: most seconds until a batch is answered; rate: least documents a second; 0:
    no such wish. Within the wishes the highest throughput wins, among equals the lower latency."""
    wishes = [f"at most {latency * 1000:.0f} ms a batch"] * bool(latency) + [f"at least {rate:g} documents/s"] * bool(rate)
    parts = [f"Wished: {' and '.join(wishes)}." if wishes else "No target was given: the highest throughput wins."]
    for length, cells in grid.groupby("length"):
        fit = cells[(cells["latency"] <= (latency or float("inf"))) & (cells["documents_a_second"] >= rate)]
        if fit.empty:
            quickest, most = cells.sort_values("latency").iloc[0], cells.sort_values("documents_a_second").iloc[-1]
            parts.append(
                f"{length} tokens: nothing measured here fits; the quickest takes {short(quickest['latency'] * 1000)} ms "
                f"(batch {quickest['batch']}), the most is {short(most['documents_a_second'])} documents/s (batch {most['batch']})."
            )
            continue
        best = fit.sort_values(["documents_a_second", "latency"], ascending=[False, True]).iloc[0]
        parts.append(
            f"{length} tokens: **batch {best['batch']}**, {plain(best['technique'])}: {short(best['documents_a_second'])} documents/s, "
            f"{short(best['latency'] * 1000)} ms a batch."
        )
    return Prose("\n\n".join(parts))


def write_metrics(run_dir: str | Path, found: Benchmark, claims: pandas.DataFrame) -> None:
    """Write everything measured as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    run_files.write_metrics(run_dir, {**found.to_dict(), "claims": claims.to_dict("records")})
