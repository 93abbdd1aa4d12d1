"""`seqgpt-lab bench`: this engine and others on the same prompts, as a table, a JSON file and a chart; measures nothing itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seqgpt_lab.apps.console import emit, note
from seqgpt_lab.apps.options import Dtype, Json, Model
from seqgpt_lab.apps.outputs import check_output, model_files
from seqgpt_lab.apps.progress import ShownProgress
from seqgpt_lab.apps.tables import frame_text
from seqgpt_lab.documents.utf8 import json_line

if TYPE_CHECKING:
    import pandas

    from seqgpt_lab.studies.benchmark import Benchmark
    from seqgpt_lab.studies.workloads import Texts, Workload

MANY_LABELS = "900 tokens, 8 label sets"
_DOCUMENTS_OF_A_KIND = 2  # for arrangements


def bench(
    model: Model = "tiny",
    against: Annotated[str, typer.Option("--against", help="Peers, with commas: transformers,ctranslate2. Empty: none.")] = "",
    dtype: Dtype = "auto",
    batches: Annotated[str, typer.Option("--batches", help="Most prompts decoded together, with commas: a workload each.")] = "1,16",
    tokens: Annotated[int, typer.Option("--tokens", min=32, help="Tokens of a prompt, about.")] = 115,
    labels: Annotated[int, typer.Option("--labels", min=1, max=6, help="Labels a prompt; they decide how long answers are.")] = 4,
    documents: Annotated[int, typer.Option("--documents", min=1, help="Prompts a round; at batch 1 a quarter of them.")] = 32,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Timed rounds, in which all take turns, after a warm-up.")] = 3,
    grounded: Annotated[bool, typer.Option("--grounded/--no-grounded", help="Also run grounded decoding.")] = True,
    ablation: Annotated[bool, typer.Option("--ablation/--no-ablation", help="Also run without each technique in turn.")] = True,
    many_labels: Annotated[
        bool, typer.Option("--many-labels/--no-many-labels", help="Also ask one 900-token text with every bundled label set.")
    ] = True,
    roofline: Annotated[
        bool, typer.Option("--roofline/--no-roofline", help="Also measure this machine's speeds, and how far each phase is from them.")
    ] = True,
    arrangements: Annotated[
        str, typer.Option("--arrangements", help="Also RANKSxREPLICAS, with commas: 1x1,2x1,1x2. The first is what the others are held to.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE.json", help="Record; what is whole in it is kept, and not measured again.")
    ] = None,
    chart: Annotated[Path | None, typer.Option("--chart", metavar="FILE.svg", help="Draw the throughputs here.")] = None,
    as_json: Json = False,
) -> None:
    """Measure this engine, with each technique left out in turn, against other engines on the same checkpoint and prompts.

    Answers are compared token for token with the first contestant's. Ratios are medians of rounds in which all take turns, on texts
    that no round shares. Peers need the extra `peers`. An interrupted run goes on where it was when it is given the same --output.
    """
    from seqgpt_lab.studies.arrangements import parse_arrangements
    from seqgpt_lab.studies.benchmark import run_benchmark
    from seqgpt_lab.studies.contestants import choose_contestants

    if output is not None:
        check_output("--output", output, model_files(model))
    if chart is not None:
        check_output("--chart", chart, (*model_files(model), output))
        import seqgpt_lab.reports.grids  # noqa: F401  # without matplotlib it ends here, not after the measuring
    arranged = _words(arrangements)
    if arranged:
        parse_arrangements(model, arranged)
    contestants = choose_contestants(_words(against), ablation=ablation, grounded=grounded)
    workloads = _workloads(_texts(model, labels), batches, tokens, documents, rounds, many_labels)
    bars = _Bars()
    found = run_benchmark(model, workloads, contestants, dtype=dtype, record=output, progress=bars)
    bars.close()
    extras = _extras(found, model, dtype, workloads, roofline, arranged, rounds)
    _show(found, extras, output, chart, as_json)


class _Bars:
    """A bar or lines a workload."""

    def __init__(self) -> None:
        self._workload, self._bar = "", ShownProgress("")

    def __call__(self, workload: str, done: int, total: int) -> None:
        if workload != self._workload:
            self.close()
            self._workload, self._bar = workload, ShownProgress(workload, "turns")
        self._bar(done, total)

    def close(self) -> None:
        self._bar.close()


def _words(text: str) -> list[str]:
    """What commas separate, without blanks."""
    return [word.strip() for word in text.split(",") if word.strip()]


def _workloads(texts: Texts, batches: str, tokens: int, documents: int, rounds: int, many_labels: bool) -> list[Workload]:
    from seqgpt_lab.errors import OptionError

    sizes = _words(batches)
    if not all(size.isdecimal() and int(size) for size in sizes):
        raise OptionError(f"--batches {batches!r} must be whole numbers from 1, with commas: 1,16")
    each = {int(size): max(int(size), documents if int(size) > 1 else documents // 4) for size in sizes}
    found = [texts.near(f"batch {size}", batch=size, tokens=tokens, each=number, rounds=rounds) for size, number in each.items()]
    return found + ([texts.one_text_many_labels(MANY_LABELS, tokens=900, rounds=rounds)] if many_labels else [])


def _texts(model: str, labels: int) -> Texts:
    from seqgpt_lab.studies.sources import find_sources
    from seqgpt_lab.studies.workloads import Texts

    return Texts(model, find_sources(split="test"), labels)


def _extras(
    benchmark: Benchmark, model: str, dtype: str, workloads: list[Workload], roofline: bool, arrangements: list[str], rounds: int
) -> dict[str, pandas.DataFrame]:
    """Further tables by name: how far phases are from this machine's speeds, and arrangements of processes against each other."""
    found: dict[str, pandas.DataFrame] = {}
    if roofline:
        from seqgpt_lab.engine.engine import Engine
        from seqgpt_lab.studies.roofline import about_roofline, distances, measure_phases

        note("roofline: measuring this machine")
        with Engine.load(model, dtype=dtype) as engine:
            sizes = sorted({workload.batch for workload in workloads})
            speeds, found["roofline"] = measure_phases(engine, batches=sizes, prompt=workloads[0].tokens)
            found["distances"] = distances(engine, speeds, benchmark)
        note(about_roofline(speeds, found["roofline"]).for_terminal)
    if arrangements:
        from seqgpt_lab.studies.arrangements import compare_arrangements
        from seqgpt_lab.studies.contestants import MOST_TOKENS
        from seqgpt_lab.studies.sources import find_sources

        with ShownProgress("arrangements", "rounds") as progress:
            found["arrangements"] = compare_arrangements(
                model,
                find_sources(),
                arrangements,
                dtype=dtype,
                limit=_DOCUMENTS_OF_A_KIND,
                batch_size=16,
                rounds=rounds,
                max_new_tokens=MOST_TOKENS,
                progress=lambda _, done, total: progress(done, total),
            )
    return found


def _show(found: Benchmark, extras: dict[str, pandas.DataFrame], output: Path | None, chart: Path | None, as_json: bool) -> None:
    tables = {name: frame.to_dict("records") for name, frame in extras.items()}
    if output is not None:
        from seqgpt_lab.studies.turns import add_tables

        add_tables(output, tables)
    if chart is not None:
        from seqgpt_lab.files import write_atomically
        from seqgpt_lab.reports.grids import speeds

        write_atomically(chart, speeds(found.table()).svg)
    if as_json:
        emit(json_line({**found.to_dict(), **tables}))
        return
    emit("\n\n".join(frame_text(frame) for frame in (found.table(), *extras.values())))
    note(found.about().for_terminal)
