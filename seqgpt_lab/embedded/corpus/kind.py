"""What a kind of synthetic document is: its fields, their wordings, and the templates of each split. Holds no randomness."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Literal

Split = Literal["train", "dev", "test"]
Make = Callable[[Random, Split], str]

# A vague label asks for every value of a family, in text order. A phrase listed here always means the whole family,
# in every kind: that keeps the meaning of a label independent of the document it is asked of.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "person": ("人名", "人员", "人物", "person"),
    "organisation": ("公司", "单位", "机构", "企业", "company", "organization"),
    "date": ("日期", "时间", "date", "time"),
    "money": ("金额", "钱", "价格", "费用", "amount", "money"),
    "percent": ("比例", "百分比", "percentage"),
    "phone": ("电话", "联系电话", "电话号码", "联系方式", "phone"),
    "place": ("地址", "地点", "位置", "address", "place"),
    "title": ("职位", "职务", "岗位", "position", "job title"),
    "number": ("编号", "号码", "单号"),
}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """A field that documents of a kind can carry.

    name: the canonical, specific name (`签订日期`). make: draws a value. phrases: other wordings a user may ask with, Chinese
    and English; no phrase may also be a family phrase or a phrase of another field of the same kind. keys: cue words
    the text itself uses in forms (`签约日期：…`); default: name plus Chinese phrases. clauses: prose fragments with slots, joined
    at random into sentences (no final punctuation).
    """

    name: str
    make: Make
    family: str | None = None
    phrases: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of document. templates[split]: whole documents in the template language of `template.py`.

    labels: the canonical label set shown to users and used by the bundled evaluation; each is a field's name or a family phrase.
    openings, closings: optional text around composed documents (no slots needed).
    drawn: how often each training template is drawn, summed up from the first on (`random.choices`' cum_weights); empty: all alike.
    """

    name: str
    title: str
    labels: tuple[str, ...]
    fields: tuple[FieldSpec, ...]
    templates: Mapping[Split, tuple[str, ...]]
    openings: tuple[str, ...] = ("",)
    closings: tuple[str, ...] = ("",)
    title_phrases: tuple[str, ...] = field(default=())
    drawn: tuple[float, ...] = ()

    def field(self, name: str) -> FieldSpec:
        return next(spec for spec in self.fields if spec.name == name)


def drawn_of(kinds: Iterable[Kind]) -> dict[str, list[float]]:
    """How often each training template of each kind is drawn, where they are not all alike."""
    return {kind.name: list(kind.drawn) for kind in kinds if kind.drawn}


def with_drawn(kinds: Sequence[Kind], drawn: Mapping[str, Sequence[float]]) -> tuple[Kind, ...]:
    """The same kinds whose templates are drawn as `drawn_of` says; a kind that is there several times remains one.

    Raises ValueError where that was said of other templates than a kind has.
    """
    different = {kind.name: kind for kind in kinds}
    for name, sums in drawn.items():
        if len(sums) != (here := len(different[name].templates["train"])):
            raise ValueError(f"{name} has {here:,} training templates, and {len(sums):,} are said to be drawn")
    found = {name: replace(kind, drawn=tuple(drawn.get(name, ()))) for name, kind in different.items()}
    return tuple(found[kind.name] for kind in kinds)
