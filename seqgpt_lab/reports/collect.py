"""Puts all runs of a folder into one table and writes it as Parquet, Excel or CSV; draws nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seqgpt_lab.errors import OptionError, RunError
from seqgpt_lab.files import write_atomically
from seqgpt_lab.reports.masking import Masker
from seqgpt_lab.reports.runs import Run, list_runs
from seqgpt_lab.reports.shown import known_personal
from seqgpt_lab.studies.run_files import METRICS

if TYPE_CHECKING:
    import pandas

# What the lab itself says of a run is nobody's value, though it may look like one.
_FACTS = frozenset({"id", "status", "started", "seconds", "commit", "dirty", "folder"})
# What neither UTF-8 nor a sheet of Excel can hold.
_UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def load_runs(runs_dir: str | Path = "runs") -> pandas.DataFrame:
    """One row a run, oldest first: id, status, notebook, started (UTC), seconds, error, commit, dirty, model, suite, folder; then a
    column `parameter.<name>` for every parameter and `metric.<path>` for every number in a metrics.json (`metric.overall.f1`).

    What a run does not have is missing there; lists and mappings are JSON text; control and half characters are U+FFFD. Personal data
    are masked as in the runs' pages, the same value alike in the whole table. An unreadable metrics.json leaves its run without metrics
    and is named in `problem`. Raises RunError for a broken record, and when it cannot be read what a run noted as personal.
    """
    import pandas

    masks: dict[str, str] = {}
    numbers: dict[str, int] = {}
    rows = [_row(run, Masker(known_personal(run.folder), masks, numbers)) for run in list_runs(runs_dir)]
    fixed = list(_about(None))
    others = dict.fromkeys(name for row in rows for name in row if name not in fixed)
    columns = [*fixed, *sorted(others, key=lambda name: not name.startswith("parameter."))]
    frame = pandas.DataFrame(rows, columns=columns)
    frame["started"] = pandas.to_datetime(frame["started"], utc=True, format="ISO8601")
    return frame


def read_metrics(run: Run) -> dict[str, Any]:
    """What the run's metrics.json holds; empty without one. Raises RunError when it is no JSON object."""
    path = run.folder / METRICS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); run the notebook again") from error
    if not isinstance(found, dict):
        raise RunError(f"{path} holds {type(found).__name__}; a JSON object is needed")
    return found


def export_runs(frame: pandas.DataFrame, path: str | Path) -> None:
    """Write a table of runs to a .parquet, .xlsx or .csv file, whole or not at all. Raises OptionError for another suffix, OSError.

    A column with values of several types is written as text. In Excel times are text in UTC, and no text is taken for a formula.
    """
    target = Path(path)
    writers: Mapping[str, Callable[[pandas.DataFrame, BytesIO], None]] = {
        ".parquet": lambda table, content: table.to_parquet(content, index=False),
        ".xlsx": _write_excel,
        ".csv": lambda table, content: table.to_csv(content, index=False, encoding="utf-8-sig"),
    }
    if target.suffix not in writers:
        raise OptionError(f"{path} ends with {target.suffix!r}; name a file that ends with {', '.join(writers)}")
    content = BytesIO()  # which can be sought in, as a pipe cannot
    writers[target.suffix](_of_one_type_each(frame), content)
    write_atomically(target, content.getvalue())


def _row(run: Run, masker: Masker) -> dict[str, Any]:
    row = _about(run)
    row |= {f"parameter.{name}": _cell(value) for name, value in run.parameters.items()}
    try:
        row |= dict(_numbers("metric", _with_masked_kinds(read_metrics(run), masker)))
    except RunError as error:
        row["problem"] = str(error)
    return {_clean(name): _clean(value if name in _FACTS else masker.mask_within(value)) for name, value in row.items()}


def _with_masked_kinds(metrics: dict[str, Any], masker: Masker) -> dict[str, Any]:
    """Kinds are names of files, which become names of columns."""
    kinds = metrics.get("kinds")
    return {**metrics, "kinds": {masker.mask(kind): found for kind, found in kinds.items()}} if isinstance(kinds, dict) else metrics


def _clean(value: Any) -> Any:
    return _UNWRITABLE.sub("\ufffd", value) if isinstance(value, str) else value


def _about(run: Run | None) -> dict[str, Any]:
    """The fixed columns of a run; with None, their names."""
    code, model, origin = (run and run.code) or {}, (run and run.model) or {}, (run and run.origin) or {}
    return {
        "id": run and run.id,
        "status": run and run.status,
        "notebook": run and Path(run.notebook).name,
        "started": run and run.started,
        "seconds": run and run.seconds,
        "error": run and run.error and run.error.message,
        "commit": code.get("commit"),
        "dirty": code.get("dirty"),
        "model": model.get("source"),
        "suite": origin.get("suite"),
        "folder": run and str(run.folder),
        "problem": None,
    }


def _numbers(path: str, value: Any) -> Iterator[tuple[str, float]]:
    """Every number below, with its path."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield from _numbers(f"{path}.{name}", one)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, value


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _of_one_type_each(frame: pandas.DataFrame) -> pandas.DataFrame:
    """Columns with values of several types become text."""
    table = frame.copy()
    for name in [name for name in table.columns if table[name].dtype.kind == "O"]:
        if len({type(value) for value in table[name].dropna()}) > 1:
            table[name] = table[name].map(str, na_action="ignore")
    return table


def _write_excel(frame: pandas.DataFrame, content: BytesIO) -> None:
    import pandas

    table = frame.assign(started=frame["started"].dt.strftime("%Y-%m-%d %H:%M:%S")) if "started" in frame else frame
    with pandas.ExcelWriter(content, engine="openpyxl") as writer:
        table.to_excel(writer, sheet_name="runs", index=False, freeze_panes=(1, 1))
        for row in writer.sheets["runs"].iter_rows():
            for cell in row:
                if cell.data_type == "f":
                    cell.data_type = "s"
