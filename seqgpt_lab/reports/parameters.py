"""What parameters a notebook declares and whether given ones fit; knows nothing of how notebooks run.

A notebook declares its parameters in exactly one code cell tagged `parameters`, as plain assignments, one name each. The type is
the annotation's, else the default's. papermill would only warn of an unknown name, and without the tag it would set the parameter
first and let the notebook's own default overwrite it: both are errors here.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import yaml

from seqgpt_lab.documents.settings import OnceLoader
from seqgpt_lab.errors import ParameterError

QUICK = ("seqgpt_lab", "quick")
RUN_DIR = "run_dir"  # the parameter that the runner sets
_TYPES: dict[str, type] = {"str": str, "int": int, "float": float, "bool": bool, "list": list, "dict": dict, "NoneType": type(None)}
_NOTHING = ("", "~", "null", "None")  # as YAML has it, and as messages show it
_INT, _FLOAT, _TIME = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """A declared parameter. types: the names of the types it takes, empty when any will do; default: None too where it is computed.

    items: the types of a list's items, as `list[int]` declares them; empty when any will do.
    """

    name: str
    types: tuple[str, ...]
    default: Any
    computed: bool = False
    items: tuple[str, ...] = ()

    def accepts(self, value: object) -> bool:
        """Whether a value, and every item of a list, is of a declared type; an integer passes for a float, a bool never for a number."""
        return _is_one_of(value, self.types) and (not isinstance(value, list) or all(_is_one_of(item, self.items) for item in value))

    def __str__(self) -> str:
        kind = " | ".join(self.types) or "any"
        return f"{self.name}: {kind}" + ("" if self.computed else f" = {self.default!r}")


def _is_one_of(value: object, types: tuple[str, ...]) -> bool:
    kind = type(value).__name__
    return not types or kind in types or (kind == "int" and "float" in types)


def read_notebook(path: str | Path) -> nbformat.NotebookNode:
    """A notebook file, brought to format 4. Raises ParameterError when there is none or it is not a notebook."""
    try:
        notebook: nbformat.NotebookNode = nbformat.read(Path(path), as_version=4)
    except OSError as error:
        raise ParameterError(f"the notebook {path} cannot be read ({error.strerror}); give the path of an .ipynb file") from error
    except (ValueError, KeyError, TypeError, AttributeError, nbformat.ValidationError) as error:
        raise ParameterError(f"{path} is not a Jupyter notebook ({error}); open and save it in JupyterLab") from error
    return notebook


def declared_parameters(notebook: nbformat.NotebookNode, name: str) -> dict[str, Parameter]:
    """The parameters of a notebook called `name`, in the order of its cell.

    Raises ParameterError unless exactly one code cell is tagged `parameters` and that cell is Python.
    """
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and "parameters" in cell.metadata.get("tags", [])]
    if len(cells) != 1:
        raise ParameterError(
            f"{name} has {len(cells)} code cells tagged 'parameters', it needs exactly one; "
            "tag the cell with the defaults in JupyterLab's property inspector"
        )
    try:
        statements = ast.parse(cells[0].source).body
    except SyntaxError as error:
        raise ParameterError(f"the parameters cell of {name} is not Python (line {error.lineno}: {error.msg})") from error
    found = [_parameter(statement) for statement in statements]
    return {parameter.name: parameter for parameter in found if parameter}


def check_parameters(declared: Mapping[str, Parameter], given: Mapping[str, Any]) -> None:
    """Raises ParameterError when a given name is not declared, its value is of another type, or it is not JSON-like; lists them all."""
    problems = [problem for name, value in given.items() if (problem := _problem(declared, name, value))]
    if problems:
        exists = "; ".join(map(str, declared.values())) or "none"
        raise ParameterError(f"{'; '.join(problems)}. The notebook's parameters: {exists}")


def quick_parameters(notebook: nbformat.NotebookNode, name: str) -> dict[str, Any]:
    """The parameters with which a notebook called `name` shows in seconds that it works: its metadata `seqgpt_lab.quick`, a mapping.

    Raises ParameterError when it has none, or when they do not fit what it declares.
    """
    place: Any = notebook.metadata
    for key in QUICK:
        place = place.get(key) if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise ParameterError(
            f"{name} has no quick parameters; put a mapping such as {{'limit': 1}} into its metadata at {'.'.join(QUICK)} "
            "(JupyterLab: property inspector, advanced tools, notebook metadata)"
        )
    quick = json.loads(json.dumps(place))
    check_parameters(declared_parameters(notebook, name), quick)
    return dict(quick)


def parse_parameters(declared: Mapping[str, Parameter], texts: Mapping[str, str]) -> dict[str, Any]:
    """Parameter values from words of a command line, read as the declared types say: text stays text even where it looks like a number.

    Lists and dictionaries are YAML (`[a, b]`); a list is also taken as words between commas; nothing is null, ~ or None. Where no type is
    declared, a number is what is one in JSON: 12, not 012. Raises ParameterError, names included.
    """
    unknown = {name: text for name, text in texts.items() if name not in declared}
    check_parameters(declared, unknown)
    values = {name: _parse(declared[name], text) for name, text in texts.items()}
    check_parameters(declared, values)
    return values


def _parameter(statement: ast.stmt) -> Parameter | None:
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        types = _annotated(statement.annotation)
        return replace(_with_default(statement.target.id, statement.value, types), items=_items(statement.annotation))
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
        return _with_default(statement.targets[0].id, statement.value, None)
    return None


def _with_default(name: str, value: ast.expr, types: tuple[str, ...] | None) -> Parameter:
    try:
        default = json.loads(json.dumps(ast.literal_eval(value), allow_nan=False))
    except (ValueError, TypeError):  # an expression, or a value that JSON has not
        return Parameter(name, types or (), None, computed=True)
    # A default of None says nothing of what else may come.
    return Parameter(name, types if types is not None else () if default is None else (type(default).__name__,), default)


def _items(annotation: ast.expr) -> tuple[str, ...]:
    """Type names of the items of an annotation that is a list of them, such as `list[int]`, or may be; empty for any other."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return _items(annotation.left) or _items(annotation.right)
    if isinstance(annotation, ast.Subscript) and isinstance(annotation.value, ast.Name) and annotation.value.id == "list":
        return _annotated(annotation.slice)
    return ()


def _annotated(annotation: ast.expr) -> tuple[str, ...]:
    """Type names of an annotation such as `int`, `list[str]` or `str | None`; empty when a part of it is not a type JSON has."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        left, right = _annotated(annotation.left), _annotated(annotation.right)
        return left + right if left and right else ()
    if isinstance(annotation, ast.Subscript):
        return _annotated(annotation.value)
    if isinstance(annotation, ast.Constant) and annotation.value is None:
        return ("NoneType",)
    return (annotation.id,) if isinstance(annotation, ast.Name) and annotation.id in _TYPES else ()


def _problem(declared: Mapping[str, Parameter], name: str, value: object) -> str | None:
    if name not in declared:
        return f"there is no parameter {name!r}"
    if not declared[name].accepts(value):
        wanted = " or ".join(declared[name].types) + (f" of {' or '.join(declared[name].items)}" if declared[name].items else "")
        return f"{name} is {value!r} ({type(value).__name__}), it must be {wanted}"
    try:
        same = json.loads(json.dumps(value, allow_nan=False)) == value
    except (TypeError, ValueError):
        same = False
    return None if same else f"{name} is {value!r}, it must be text, a number, true, false, null, or lists and dictionaries of these"


def _parse(parameter: Parameter, text: str) -> Any:
    if parameter.types == ("str",):
        return text
    if text.strip() in _NOTHING and "NoneType" in parameter.types:
        return None
    value = _yaml(parameter, text)
    if "list" in parameter.types:
        if not isinstance(value, list):
            words = [word.strip() for word in text.split(",") if word.strip()]
            value = words if parameter.items in ((), ("str",)) else [_yaml(parameter, word) for word in words]
        return [_as_number(item, parameter.items) for item in value]
    if "str" in parameter.types and not isinstance(value, str):
        return value if parameter.accepts(value) else text
    return _as_number(value, parameter.types)


def _as_number(value: object, types: tuple[str, ...]) -> object:
    """Text as the number that it must be, where it is one that YAML does not know, such as 010; else the value."""
    for name, kind in (("int", int), ("float", float)):
        if name in types and "str" not in types and isinstance(value, str):
            with suppress(ValueError):
                return kind(value)
    return value


def _yaml(parameter: Parameter, text: str) -> Any:
    """What YAML makes of it; of what it takes for text, all of it, unless it stands in quotation marks: ` #1` would begin a comment."""
    try:
        # A list of texts stays one where an item looks like a number: [3090, l40s].
        value = yaml.load(text, yaml.BaseLoader if parameter.items == ("str",) else _Loader)
    except (yaml.YAMLError, ValueError) as error:  # the latter for a number of thousands of digits
        if "str" in parameter.types:
            return text
        raise ParameterError(f"{parameter.name}={text!r} is not YAML ({' '.join(str(error).split())}); quote it, e.g. '[a, b]'") from error
    return text if isinstance(value, str) and not text.lstrip().startswith(("'", '"')) else value


class _Loader(OnceLoader):
    """Takes for a number what is one in JSON too, and nothing else: to YAML 1.1, 010 is 8 and 1:30 is 90, but 1e-5 a text. A date, which
    JSON has not either, is text."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - as the class that it is of declares it
        first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_INT, _FLOAT, _TIME)]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(_INT, re.compile("[-+]?(?:0|[1-9][0-9]*)$"), [*"-+0123456789"])
_Loader.add_implicit_resolver(_FLOAT, re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?$"), [*"-+0123456789"])
