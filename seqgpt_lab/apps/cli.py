"""The command line `seqgpt-lab`: its commands, its exit codes, how errors end it; knows nothing of what a command does.

Exit codes: 0 done; 1 a check failed (a line that holds no document, a run that did not complete); 2 wrong use or unusable input;
130 Ctrl-C, SIGTERM or SIGHUP (but `run` records that and exits with 1, and the two signals end `serve` and `studio` with 0);
141 whoever read the output has closed it.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from seqgpt_lab.apps.commands.bench import bench
from seqgpt_lab.apps.commands.bulk import bulk
from seqgpt_lab.apps.commands.doctor import doctor
from seqgpt_lab.apps.commands.evaluate import evaluate
from seqgpt_lab.apps.commands.extract import extract
from seqgpt_lab.apps.commands.gate import gate
from seqgpt_lab.apps.commands.lint import lint
from seqgpt_lab.apps.commands.models import convert, train_embedded
from seqgpt_lab.apps.commands.plan import calibrate, plan
from seqgpt_lab.apps.commands.run import PairedCommand, run
from seqgpt_lab.apps.commands.serve import serve, studio
from seqgpt_lab.apps.commands.site import collect, site
from seqgpt_lab.apps.commands.suite import schedule, suite
from seqgpt_lab.apps.commands.widen import widen
from seqgpt_lab.apps.console import check_output_is_open, emit, note, usable_streams
from seqgpt_lab.apps.exit_codes import BAD_USE, CLOSED_PIPE, INTERRUPTED
from seqgpt_lab.apps.extras import extras_named
from seqgpt_lab.errors import SeqGPTLabError
from seqgpt_lab.files import NO_ROOM
from seqgpt_lab.reports.interrupts import signals_interrupt


@contextmanager
def _plain_errors() -> Iterator[None]:
    """End on errors that a user can mend, and on interrupts, with one line at most and an exit code; others keep their traceback."""
    try:
        yield
        return
    except SeqGPTLabError as error:
        note(f"error: {error}")
    except BrokenPipeError:
        raise typer.Exit(CLOSED_PIPE) from None
    except KeyboardInterrupt as interrupt:
        if str(interrupt):  # the name of a signal; whoever pressed Ctrl-C knows
            note(f"ended by {interrupt}")
        raise typer.Exit(INTERRUPTED) from None
    except OSError as error:
        fix = "; make room there, and run the command again" if error.errno in NO_ROOM else ""
        note(f"error: {error.filename}: {error.strerror}{fix}" if error.filename else f"error: {error}{fix}")
    raise typer.Exit(BAD_USE)


class LabGroup(TyperGroup):
    """Ends commands, and what is asked of the group itself (its help, its version), as `_plain_errors` says."""

    def make_context(self, *words: Any, **extra: Any) -> Any:
        """Read the options before the command."""
        with _plain_errors():
            return super().make_context(*words, **extra)

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        with _plain_errors(), extras_named(), signals_interrupt():
            check_output_is_open()
            return super().invoke(ctx)


app = typer.Typer(
    name="seqgpt-lab",
    cls=LabGroup,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(extract)
app.command()(evaluate)
app.command()(lint)
app.command(cls=PairedCommand)(run)
app.command()(suite)
app.command()(schedule)
app.command()(gate)
app.command()(site)
app.command()(collect)
app.command()(convert)
app.command()(train_embedded)
app.command()(widen)
app.command()(bench)
app.command()(doctor)
app.command()(bulk)
app.command()(serve)
app.command()(studio)
app.command()(plan)
app.command()(calibrate)


def _show_version(wanted: bool) -> None:
    if wanted:
        emit(f"seqgpt-lab {importlib.metadata.version('seqgpt-lab')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and leave.")] = False,
) -> None:
    """Read fields out of texts with SeqGPT, and measure how well that goes.

    Results go to standard output, everything else to standard error.
    """


def main() -> None:
    """The entry point of the `seqgpt-lab` script; leaves with an exit code."""
    with usable_streams():
        app(prog_name="seqgpt-lab")
