"""`seqgpt-lab run`: a notebook and parameters in, the path of its report out; knows no notebook in particular."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from typer.core import TyperCommand

from seqgpt_lab.apps.console import emit, emit_path, note
from seqgpt_lab.apps.options import Json
from seqgpt_lab.documents.utf8 import json_line
from seqgpt_lab.errors import OptionError, SeqGPTLabError

if TYPE_CHECKING:
    from seqgpt_lab.reports.runs import Run
    from seqgpt_lab.reports.text_progress import TextProgress

_PARAMETER = ("-p", "--parameter")


class PairedCommand(TyperCommand):
    """A command whose `-p` takes two words and may be repeated, which Typer has no type for: they are joined before it looks."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of the command line."""
        return super().parse_args(ctx, join_pairs(args))


def join_pairs(words: Sequence[str]) -> list[str]:
    """`-p KEY VALUE` as `-p KEY=VALUE`; `-p KEY=VALUE` stays. Raises typer.BadParameter when the value is missing."""
    joined: list[str] = []
    rest = iter(words)
    for word in rest:
        joined.append(word)
        if word in _PARAMETER:
            key = next(rest, "")
            value = None if "=" in key else next(rest, None)
            if "=" not in key and value is None:
                raise typer.BadParameter(f"{word} {key} lacks its value; write {word} {key or 'KEY'} VALUE".replace("  ", " "))
            joined.append(key if value is None else f"{key}={value}")
    return joined


def run(
    notebook: Annotated[
        Path | None, typer.Argument(metavar="NOTEBOOK", help="An .ipynb file, or the name of one that comes with the lab: 06_evaluation.")
    ] = None,
    parameters: Annotated[
        list[str] | None,
        typer.Option(
            *_PARAMETER,
            metavar="KEY VALUE",
            help="Set a parameter of the notebook; may be repeated. A list: '[a, b]' or a,b; nothing, where it may be: null.",
        ),
    ] = None,
    parameter_file: Annotated[
        Path | None, typer.Option("-f", "--parameter-file", metavar="FILE.yaml", help="Parameters as a YAML mapping; -p comes before it.")
    ] = None,
    runs_dir: Annotated[Path, typer.Option("--runs-dir", help="The folder that gets a folder for this run.")] = Path("runs"),
    timeout: Annotated[float | None, typer.Option("--timeout", metavar="S", help="Stop the run after so many seconds.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Begin with the quick parameters in the notebook's metadata.")] = False,
    repeat: Annotated[str | None, typer.Option("--repeat", metavar="RUN", help="Run again as this run's record says.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="The same, going on from the journals it kept; refused without any.")
    ] = None,
    unmasked: Annotated[bool, typer.Option("--unmasked", help="Leave personal data in the page.")] = False,
    as_json: Json = False,
) -> None:
    """Execute a notebook and print the path of its report.

    In the report, personal data are masked. --repeat says on standard error what is not as it was: notebook, code, packages, machine,
    model, data, results.

    The run's folder holds run.json, out.ipynb, report.html and what the notebook writes. With --json, the record of the run is
    printed instead, its folder and report added. Exit code 0 when the run completed, 1 when it did not.
    """
    from seqgpt_lab.reports.runner import run_notebook
    from seqgpt_lab.reports.text_progress import TextProgress

    earlier = repeat or resume
    if (notebook is None) == (earlier is None) or (repeat and resume):
        raise OptionError("give either a NOTEBOOK, or --repeat RUN, or --resume RUN")
    if earlier is not None and (parameters or parameter_file or quick):
        raise OptionError("with --repeat and --resume the parameters are those of the earlier run; leave out -p, -f and --quick")
    with TextProgress(sys.stderr) as watch:
        if earlier is not None:
            result = _again(earlier, runs_dir, timeout, unmasked, watch, resume is not None)
        else:
            path = _find(cast(Path, notebook))
            given = (_quick(path) if quick else {}) | _read_file(parameter_file) | _parse(path, parameters or ())
            result = run_notebook(path, given, runs_dir, timeout=timeout, progress=watch, unmasked=unmasked)
    _show(result, as_json)
    if not result.ok:
        raise typer.Exit(1)


def _again(earlier: str, runs_dir: Path, timeout: float | None, unmasked: bool, progress: TextProgress, resume: bool) -> Run:
    """Repeat or resume a run; what differs is said, and kept in the new run's record. Raises OptionError where nothing can be resumed."""
    from seqgpt_lab.reports.repeat import differences, what_to_repeat
    from seqgpt_lab.reports.runner import kept_journals, run_notebook
    from seqgpt_lab.reports.runs import write_run
    from seqgpt_lab.studies.run_files import JOURNALS

    record, given = what_to_repeat(earlier, runs_dir)
    if resume and record.status == "running" and record.owner.is_here():
        raise OptionError(
            f"the run {record.id} still runs, in process {record.owner.pid}; both would do the same work: wait for it, or stop it "
            "(Ctrl-C, or SIGTERM to that process) and resume it then"
        )
    if resume and not kept_journals(record):
        # Hours of work would be done again without a word.
        raise OptionError(
            f"the run {record.id} ({record.status}) left no {JOURNALS}/ in its folder to go on from; --repeat {record.id} runs it from the "
            "beginning with the same parameters, which goes on from a file of answers that one of them names"
        )
    limit = record.timeout if timeout is None else timeout
    taken = record if resume else None
    run = run_notebook(record.notebook, given, runs_dir, timeout=limit, progress=progress, unmasked=unmasked, resume=taken)
    progress.end_line()
    found = differences(record, run)
    for difference in found:
        note(f"differs from {record.id}: {difference}")
    if not found:
        note(f"the same as {record.id} in everything")
    return write_run(replace(run, repeats={"run": record.id, "differences": found}))


def _find(notebook: Path) -> Path:
    """The file itself, or for a bare name that is no file here, the notebook that comes with the lab; `.ipynb` may be left out."""
    from seqgpt_lab.resources import bundled_notebook

    if not notebook.exists() and not notebook.suffix:
        notebook = notebook.with_suffix(".ipynb")
    if notebook.exists() or notebook.parent != Path():
        return notebook
    try:
        return bundled_notebook(notebook.name)
    except SeqGPTLabError as error:
        raise OptionError(f"there is no notebook {notebook} here, and none of that name comes with the lab: {error}") from error


def _quick(notebook: Path) -> dict[str, Any]:
    from seqgpt_lab.reports.parameters import quick_parameters, read_notebook

    return quick_parameters(read_notebook(notebook), notebook.name)


def _read_file(path: Path | None) -> dict[str, Any]:
    """The parameters of a YAML file. Raises OptionError when it is not a mapping from names."""
    import yaml

    from seqgpt_lab.documents.settings import read_yaml

    if path is None:
        return {}
    try:
        found = read_yaml(path)
    except OSError as error:
        raise OptionError(f"the parameter file {path} cannot be read ({error.strerror}); name a YAML file after -f") from error
    except (yaml.YAMLError, ValueError) as error:
        raise OptionError(f"{path} is not YAML in UTF-8 ({error}); write a line `name: value` for each parameter") from error
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise OptionError(f"{path} holds {type(found).__name__}; a mapping with a line `name: value` for each parameter is needed")
    return found


def _parse(notebook: Path, words: Sequence[str]) -> dict[str, Any]:
    """Values of `key=value` words as the types that the notebook declares say. Raises OptionError for a repeated key, ParameterError."""
    from seqgpt_lab.reports.parameters import declared_parameters, parse_parameters, read_notebook

    pairs = [word.partition("=")[::2] for word in words]
    texts: Mapping[str, str] = dict(pairs)
    if len(texts) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        raise OptionError(f"-p {', '.join(twice)} is given more than once; give each parameter once, a list as '[a, b]'")
    return parse_parameters(declared_parameters(read_notebook(notebook), notebook.name), texts)


def _show(result: Run, as_json: bool) -> None:
    from seqgpt_lab.studies.run_files import PAGE

    page = result.folder / PAGE
    if result.error is not None:
        where = "" if result.error.cell is None else f" in code cell {result.error.cell}"
        note(f"error: the run {result.status}{where}: {result.error.kind}: {result.error.message}")
    if as_json:
        emit(json_line({**result.to_dict(), "folder": str(result.folder), "report": str(page) if page.exists() else None}))
    else:
        emit_path(page if page.exists() else result.folder)
