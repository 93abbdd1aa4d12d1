"""Machines as YAML: the figures a prediction rests on, each with where it comes from; knows no model and measures nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from seqgpt_lab.documents.settings import read_yaml
from seqgpt_lab.errors import OptionError, RigError
from seqgpt_lab.files import write_atomically
from seqgpt_lab.resources import bundled
from seqgpt_lab.studies.expectations import as_number, checked_expectations

DTYPES = ("fp16", "bf16", "fp32")
BASES = ("datasheet", "estimate", "measured")
# name: (least, most) that any machine of these years can have; a figure outside is a slip of a unit, not a machine.
_LIMITS = {
    "devices": (1, 64),
    "memory_bytes": (1e9, 4e12),
    "runtime_bytes": (0, 16e9),
    "bandwidth": (5e8, 2e13),
    "cache_bytes": (0, 2e9),
    "cache_bandwidth": (5e8, 5e13),
    "flops": (1e8, 5e15),
    "attention_flops": (1e8, 5e15),
    "single_query_bandwidth": (1e7, 2e13),
    "elementwise_bandwidth": (1e7, 2e13),
    "map_rate": (1e6, 1e14),
    "op_seconds": (1e-8, 1e-2),
    "pass_seconds": (0, 1e-1),
    "row_seconds": (0, 1e-2),
    "choice_rate": (1e6, 1e14),
    "reduce_seconds": (1e-7, 1e-1),
    "link_bandwidth": (1e7, 2e12),
    "share_of_speed": (0.01, 1.0),
}
_BY_DTYPE = ("flops", "attention_flops", "single_query_bandwidth", "map_rate")
# dtype: width of the hidden vectors: tokens: seconds
Curves = Mapping[str, Mapping[int, Mapping[int, float]]]


@dataclass(frozen=True, slots=True)
class Rig:
    """A machine as the planner sees it. Bytes, bytes per second, FLOP per second and seconds throughout; figures are what is attained.

    memory_bytes: of one card, or of the whole machine for kind 'cpu'. runtime_bytes: what a process holds before any weights.
    cache_bytes, cache_bandwidth: weights that fit into the last cache are read from there. flops: of a large matrix product by dtype;
    attention_flops: of attention; single_query_bandwidth: of keys and values when each row has one new token.
    elementwise_bandwidth: of operations that only move numbers; map_rate: elements a second of GELU; choice_rate: logits a second that the
    choice of an id looks at. op_seconds: to start one tensor operation; pass_seconds, row_seconds: what a pass costs beside its operations,
    and each row in it. reduce_seconds, link_bandwidth: of a sum over two workers. share_of_speed: what each worker keeps when two run at
    once (1 where each has a card of its own). overlap: whether reading and computing go on at the same time. published: the maker's
    bandwidth and flops, which nothing can exceed; empty where unknown. layer_seconds: of a layer without its attention, by dtype, width and
    tokens, where that was measured; empty: bandwidth and flops tell. expects: what the machine check wants. basis: where each figure
    comes from.
    """

    name: str
    about: str
    kind: str
    devices: int
    device: str
    overlap: bool
    memory_bytes: float
    runtime_bytes: float
    bandwidth: float
    cache_bytes: float
    cache_bandwidth: float
    flops: Mapping[str, float]
    attention_flops: Mapping[str, float]
    single_query_bandwidth: Mapping[str, float]
    elementwise_bandwidth: float
    map_rate: Mapping[str, float]
    op_seconds: float
    pass_seconds: float
    row_seconds: float
    choice_rate: float
    reduce_seconds: float
    link_bandwidth: float
    share_of_speed: float
    basis: Mapping[str, str]
    expects: Mapping[str, Any]
    published: Mapping[str, float]
    layer_seconds: Curves

    @classmethod
    def load(cls, source: str | Path) -> Rig:
        """A bundled rig by its name, or a YAML file. Raises OptionError for an unknown name, RigError for figures that cannot be."""
        path = _find(source)
        try:
            found = read_yaml(path)
        except (OSError, UnicodeDecodeError) as error:
            raise RigError(f"{path} cannot be read ({error}); give a YAML file of a machine") from error
        except (yaml.YAMLError, ValueError) as error:
            raise RigError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
        if not isinstance(found, dict):
            raise RigError(
                f"{path} holds {type(found).__name__}, not a machine; wanted the figures that {bundled('rigs', 'dual-4090.yaml')} has"
            )
        return cls.from_dict(found, str(path))

    @classmethod
    def from_dict(cls, found: Mapping[str, Any], where: str) -> Rig:
        """Checked figures. Raises RigError naming `where`, the figure, what it is and what could be."""
        wanted = {field.name for field in fields(cls)}
        given = {"expects": {}, "published": {}, "layer_seconds": {}, **found}
        missing, unknown = sorted(wanted - given.keys()), sorted(map(str, given.keys() - wanted))
        if missing or unknown:
            raise RigError(f"{where}: missing {missing or 'nothing'}, unknown {unknown or 'nothing'}; a machine has {sorted(wanted)}")
        if given["kind"] not in ("cuda", "cpu") or not isinstance(given["overlap"], bool):
            raise RigError(f"{where}: kind is {given['kind']!r} and overlap {given['overlap']!r}; wanted cuda or cpu, and true or false")
        texts = {name: given[name] for name in ("name", "about", "device") if not isinstance(given[name], str)}
        if texts:
            raise RigError(f"{where}: {texts} must be text; put it in quotation marks")
        if not isinstance(given["basis"], dict):
            raise RigError(f"{where}: basis is {given['basis']!r}; it must be a mapping of figures to where they come from")
        expects = checked_expectations(given["expects"], where)
        checked = {name: _figure(given[name], name, where) for name in _LIMITS}
        _check_published(given | checked, where)
        curves = _curves(given["layer_seconds"], where)
        _check_basis(given["basis"], [*_LIMITS, *(["layer_seconds"] if curves else [])], where)
        return cls(**{**given, **checked, "devices": int(checked["devices"]), "expects": expects, "layer_seconds": curves})

    def to_dict(self) -> dict[str, Any]:
        """All figures, plain, as `from_dict` reads them."""
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}

    def save(self, path: str | Path) -> None:
        """Write the YAML file that `load` reads, atomically. Raises OSError."""
        write_atomically(path, yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True, width=120))

    @property
    def uncertain(self) -> list[str]:
        """Names of the figures that are estimates: nobody has measured or published them."""
        return self._known_by("estimate")

    @property
    def measured(self) -> list[str]:
        """Names of the figures that were measured."""
        return self._known_by("measured")

    def _known_by(self, basis: str) -> list[str]:
        return [name for name, known in self.basis.items() if known.startswith(basis)]


def rig_names() -> list[str]:
    """Names of the bundled machines, sorted."""
    return sorted(path.stem for path in bundled("rigs").glob("*.yaml"))


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix in (".yaml", ".yml"):
        return path
    if str(source) in rig_names():
        return bundled("rigs", f"{source}.yaml")
    raise OptionError(
        f"there is no rig {str(source)!r}; choose {', '.join(rig_names())}, or a .yaml file (`seqgpt-lab calibrate FILE.yaml` makes one)"
    )


def _figure(value: object, name: str, where: str) -> Any:
    """A number within its limits, or one for each dtype."""
    if name not in _BY_DTYPE:
        return _number(value, name, name, where)
    if not isinstance(value, dict) or set(value) != set(DTYPES):
        raise RigError(f"{where}: {name} is {value!r}; a figure for each of {', '.join(DTYPES)} is needed")
    return {dtype: _number(value[dtype], name, f"{name}.{dtype}", where) for dtype in DTYPES}


def _number(value: object, name: str, shown: str, where: str) -> float:
    value = as_number(value)
    low, high = _LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise RigError(f"{where}: {shown} is {value!r}; a number between {low:g} and {high:g} is needed")
    if not low <= value <= high:
        raise RigError(f"{where}: {shown} is {value:g}, which no machine has; between {low:g} and {high:g} is needed (is the unit right?)")
    return float(value)


def _curves(found: object, where: str) -> Curves:
    """Seconds by dtype, width and tokens, each sorted."""
    try:
        curves = {
            dtype: {int(width): {int(tokens): float(curve[tokens]) for tokens in sorted(curve)} for width, curve in sorted(widths.items())}
            for dtype, widths in found.items()  # type: ignore[attr-defined]  # what has no items is told below
        }
        measured = [(width, curve) for widths in curves.values() for width, curve in widths.items()]
        if not set(curves) <= set(DTYPES) or not all(width >= 1 and _is_curve(curve) for width, curve in measured):
            raise ValueError("a dtype, a width, a number of tokens or a time that cannot be")
    except (AttributeError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise RigError(f"{where}: layer_seconds is {found!r}; wanted seconds by dtype, width and tokens, or nothing") from error
    return curves


def _is_curve(seconds: Mapping[int, float]) -> bool:
    return bool(seconds) and all(tokens >= 1 and 0 < one < 1e4 for tokens, one in seconds.items())


def _check_basis(basis: Mapping[str, Any], figures: Sequence[str], where: str) -> None:
    """Every figure says where it comes from, and nothing else does: the name of a figure that is misspelt says nothing of it."""
    unknown = sorted(map(str, basis.keys() - {*_LIMITS, "layer_seconds"}))
    if unknown:
        raise RigError(f"{where}: basis has unknown {unknown}; known are {sorted([*_LIMITS, 'layer_seconds'])}")
    wrong = sorted(name for name in figures if not str(basis.get(name, "")).startswith(BASES))
    if wrong:
        raise RigError(
            f"{where}: basis of {', '.join(wrong)} must begin with one of {', '.join(BASES)} and say where the figure comes from"
        )


def _check_published(given: Mapping[str, Any], where: str) -> None:
    """What is attained stays below what the maker publishes."""
    published = given["published"]
    if not isinstance(published, dict) or not set(published) <= {"bandwidth", *DTYPES}:
        raise RigError(f"{where}: published is {published!r}; wanted a mapping with bandwidth, {', '.join(DTYPES)}, or nothing")
    for name, most in published.items():
        attained = given["bandwidth"] if name == "bandwidth" else given["flops"][name]
        figure = "bandwidth" if name == "bandwidth" else "flops"
        if attained > _number(most, figure, f"published.{name}", where):
            raise RigError(f"{where}: {name} is {attained:g}, more than the {most:g} that its maker publishes; one of them is wrong")


def _plain(value: Any) -> Any:
    return {name: _plain(inner) for name, inner in value.items()} if isinstance(value, Mapping) else value
