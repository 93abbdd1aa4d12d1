"""Says what is wrong with labels before a model is asked, why it matters, and proposes a fix for each fault. Knows no model.

Labels are judged as drafts, so faults that a `LabelSet` refuses outright are found here too, all at once. A finding's fix is made
for the drafts it was found in: apply one, lint again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.drafts import Draft, drafts_of
from seqgpt_lab.extraction.labels import RESERVED, LabelSet, unaskable
from seqgpt_lab.extraction.wording import BLANKS_OUTSIDE_ASCII, PLAINER, alike, folded, is_vague, missing_unit

Code = Literal["empty", "character", "separator", "blank", "punctuation", "long", "duplicate", "near-duplicate", "vague", "unit"]
CODES: tuple[Code, ...] = get_args(Code)

_LONGEST_WITH_TAILS = 40  # characters; no label is that long, and all ends of a long text would take its length squared
LONGEST = 10  # characters, an ASCII one counting half; the bundled label sets' longest phrase takes 9
_SPLITTING = re.compile(r"[,，、;；|｜\t\r\n]+")
_MARKUP = re.compile(r"</?[A-Za-z!][^<>]*>|\[GEN\]")
_COLLIDING = re.compile(r"[:：。．!！?？\"“”'‘’《》【】\[\]{}<>]+")
_ASKING = re.compile(
    "^(?:请|帮我|帮忙|提取|抽取|找出|找到|识别|列出|给出|告诉我|文中|文本中|这份|该|的)+|(?:是多少|是什么|是谁|有哪些|多少|什么)+$"
)


@dataclass(frozen=True, slots=True)
class Fix:
    """A change to one label: the draft at `place` is replaced by `replacement`, none removing it. what: the change in words."""

    what: str
    place: int
    replacement: tuple[Draft, ...]

    def apply(self, drafts: Sequence[Draft]) -> tuple[Draft, ...]:
        """The drafts with this change; they must be those that were linted."""
        return (*drafts[: self.place], *self.replacement, *drafts[self.place + 1 :])


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of the label at `place` (from 0), written `label`: its kind, the reason in a sentence, a fix where one can be proposed.

    blocking: the labels cannot be asked until this is mended, for `LabelSet` refuses them.
    """

    code: Code
    place: int
    label: str
    reason: str
    fix: Fix | None = None
    blocking: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-ready: code, place, label, reason, blocking, fix (in words, or null), fixed (labels as written, or null)."""
        return {
            "code": self.code,
            "place": self.place,
            "label": self.label,
            "reason": self.reason,
            "blocking": self.blocking,
            "fix": self.fix and self.fix.what,
            "fixed": self.fix and [draft.written for draft in self.fix.replacement],
        }


def lint(labels: str | Sequence[str] | Sequence[Draft] | LabelSet, ignore: Sequence[str] = ()) -> tuple[Finding, ...]:
    """All faults, by label, then in the order of `CODES`. ignore: codes not to look for.

    labels: a string as typed, a list of labels as typed, drafts, or a label set. Linear in the labels' total length.
    Raises OptionError for unknown codes in `ignore`.
    """
    unknown = sorted(set(ignore) - set(CODES))
    if unknown:
        raise OptionError(f"there are no lint codes {unknown}; there are {', '.join(CODES)}")
    drafts = labels.labels if isinstance(labels, LabelSet) else drafts_of(labels)
    found = [finding for place, draft in enumerate(drafts) for check in _CHECKS for finding in check(place, draft)]
    found += _repeats(drafts)
    rank = {code: number for number, code in enumerate(CODES)}
    return tuple(sorted((one for one in found if one.code not in ignore), key=lambda one: (one.place, rank[one.code])))


def fix_all(
    labels: str | Sequence[str] | Sequence[Draft] | LabelSet, ignore: Sequence[str] = ()
) -> tuple[tuple[Draft, ...], tuple[Finding, ...]]:
    """The drafts after every fix that can be proposed, and the findings that are left because none can. Takes what `lint` takes."""
    drafts = labels.labels if isinstance(labels, LabelSet) else drafts_of(labels)
    met: set[tuple[Draft, ...]] = set()
    while True:
        findings = lint(drafts, ignore)
        fixable = [finding for finding in findings if finding.fix]
        # Of labels that are near one another each may name the other: one at a time, or both go.
        chosen = [finding for finding in fixable if finding.code != "near-duplicate"] or fixable[:1]
        if not chosen or drafts in met:  # Two fixes that undo each other would go round for ever.
            return drafts, findings
        met.add(drafts)
        for finding in {one.place: one for one in reversed(chosen)}.values():  # last place first; the first fault of each
            assert finding.fix
            drafts = finding.fix.apply(drafts)


def _empty(place: int, draft: Draft) -> Iterator[Finding]:
    if not draft.field.strip() or not draft.phrase.strip():
        yield Finding("empty", place, draft.written, "there is nothing to ask for", Fix("remove it", place, ()), blocking=True)
    elif not all(word.strip() for word in draft.synonyms):
        fixed = replace(draft, synonyms=tuple(word for word in draft.synonyms if word.strip()))
        yield _finding("empty", place, draft, "a synonym of it is empty", "remove the synonym", fixed, blocking=True)


def _characters(place: int, draft: Draft) -> Iterator[Finding]:
    if any(unaskable(character) for text in _texts(draft) for character in text if character not in RESERVED):
        reason = "it holds a character that nobody sees: a control character, half a character, a zero-width space or the like"
        fixed = _respelled(draft, lambda text: "".join(one for one in text if one in RESERVED or not unaskable(one)))
        yield _finding("character", place, draft, reason, "take the hidden characters out", fixed, blocking=True)


def _separators(place: int, draft: Draft) -> Iterator[Finding]:
    synonyms = tuple(piece for text in draft.synonyms for piece in _pieces(text))
    if synonyms != draft.synonyms and any(set(text) & set(RESERVED) for text in draft.synonyms):
        reason = "a synonym holds a character that separates labels or values"
        yield _finding("separator", place, draft, reason, "split the synonym", replace(draft, synonyms=synonyms), blocking=True)
    met = [text for text in (draft.field, draft.phrase) if _SPLITTING.search(text)]
    if not met:
        return
    pieces = _pieces(met[-1])
    parts = tuple(replace(draft, field=piece, phrase="") for piece in pieces)
    if draft.phrase != draft.field:  # A name of its own stays the name; only one phrase can be asked for it.
        parts = (replace(draft, field=" ".join(_pieces(draft.field)), phrase=next(iter(_pieces(draft.phrase)), "")),)
    what = f"split it into {'、'.join(pieces)}" if len(parts) > 1 else f"write {parts[0].written}" if parts else "remove it"
    reason = "it holds a separator, so it reads as several labels or breaks the answer's lines"
    # Blanks around it, which `_blanks` leaves to this finding, are refused as well.
    blocking = any(set(text) & set(RESERVED) for text in met) or any(text != text.strip() for text in _texts(draft))
    yield Finding("separator", place, draft.written, reason, Fix(what, place, parts), blocking)


def _blanks(place: int, draft: Draft) -> Iterator[Finding]:
    def tidy(text: str) -> str:
        return BLANKS_OUTSIDE_ASCII.sub("", text).strip()

    fixed = _respelled(draft, tidy)
    # A label that is to be split or removed needs no tidying.
    if fixed != draft and all(text.strip() and not _SPLITTING.search(text) for text in (draft.field, draft.phrase)):
        outside = any(text != text.strip() for text in _texts(draft))
        reason = "blanks around or inside Chinese words change how the model reads the label"
        yield _finding("blank", place, draft, reason, f"write {fixed.written}", fixed, blocking=outside)


def _punctuation(place: int, draft: Draft) -> Iterator[Finding]:
    if not (_MARKUP.search(draft.phrase) or _COLLIDING.search(draft.phrase)) and draft.phrase != "None":
        return
    reason = "`label: value` is how answers are written, and [GEN], <…> and None have meanings of their own there"
    fixed = _respelled(draft, lambda text: _COLLIDING.sub("", _MARKUP.sub("", text)).strip())
    if fixed.phrase == "None" or not fixed.field or not fixed.phrase:
        yield Finding("punctuation", place, draft.written, reason, Fix("remove it", place, ()))
    else:
        yield _finding("punctuation", place, draft, reason, f"write {fixed.written}", fixed)


def _too_long(place: int, draft: Draft) -> Iterator[Finding]:
    if _width(draft.phrase) <= LONGEST:
        return
    reason = f"it takes {_width(draft.phrase):g} characters of at most {LONGEST}; models are trained on short names, not on questions"
    short = _shortened(draft.phrase)
    fix = Fix(f"ask for {short}", place, (replace(draft, phrase=short),)) if short else None
    yield Finding("long", place, draft.written, reason, fix)


def _vague(place: int, draft: Draft) -> Iterator[Finding]:
    plainer = PLAINER.get(folded(draft.phrase))
    if plainer:
        reason = f"forms do not say {draft.phrase}; the model has hardly met the word as a label"
        yield Finding("vague", place, draft.written, reason, Fix(f"ask for {plainer}", place, (replace(draft, phrase=plainer),)))
    elif is_vague(draft.phrase) and not any(map(_SPLITTING.search, _texts(draft))):
        better = next((word for word in (draft.field, *draft.synonyms) if folded(word) and not is_vague(word)), None)
        fix = Fix(f"ask for {better}", place, (replace(draft, phrase=better),)) if better else Fix("remove it", place, ())
        reason = "it does not say what is looked for; name the thing itself, such as 合同金额"
        yield Finding("vague", place, draft.written, reason, fix)


def _unit(place: int, draft: Draft) -> Iterator[Finding]:
    unit = missing_unit(draft.phrase)
    if unit:
        named = f"{draft.phrase}（{unit}）"
        reason = f"it asks for an amount and names no unit, so {unit} and its multiples come out side by side; try whether naming one helps"
        yield Finding("unit", place, draft.written, reason, Fix(f"ask for {named}", place, (replace(draft, phrase=named),)))


_CHECKS: tuple[Callable[[int, Draft], Iterator[Finding]], ...] = (
    _empty,
    _characters,
    _separators,
    _blanks,
    _punctuation,
    _too_long,
    _vague,
    _unit,
)


def _repeats(drafts: Sequence[Draft]) -> Iterator[Finding]:
    """Labels that mean what an earlier one means, and general ones beside a special one of theirs (时间 beside 事发时间)."""
    first: dict[str, int] = {}
    names: set[str] = set()
    for place, draft in enumerate(drafts):
        key = folded(draft.phrase)
        earlier = first.setdefault(key, place) if key else place
        if earlier != place or draft.field in names:
            other = drafts[earlier].written if earlier != place else draft.field
            same = draft.field in names or drafts[earlier].phrase == draft.phrase
            reason = f"it asks for the same as {other}; one of them will be left empty or both filled alike"
            yield Finding("duplicate", place, draft.written, reason, Fix("remove it", place, ()), blocking=same)
        names.add(draft.field)
    yield from _near(drafts, first)


def _near(drafts: Sequence[Draft], first: dict[str, int]) -> Iterator[Finding]:
    """first: the place of the first draft with each folded phrase."""
    told: set[tuple[int, int]] = set()
    for key, place in first.items():
        for tail in _tails(key):
            general = first.get(tail)
            if general is not None and (general, place) not in told:
                told.add((general, place))
                yield _near_finding(drafts, general, place, "is the general word for")
        for word in (*drafts[place].synonyms, *alike(drafts[place].phrase)):
            other = first.get(folded(word))
            if other is not None and other != place and not told & {(other, place), (place, other)}:
                told.add((place, other))
                yield _near_finding(drafts, max(place, other), min(place, other), "is another word for")


def _near_finding(drafts: Sequence[Draft], place: int, other: int, relation: str) -> Finding:
    reason = f"{drafts[place].phrase} {relation} {drafts[other].phrase}; the model may give the same value for both"
    return Finding("near-duplicate", place, drafts[place].written, reason, Fix("remove it", place, ()))


def _tails(phrase: str) -> Iterator[str]:
    """Ends of a folded phrase that are words of their own: two Chinese characters or more, or whole ASCII words."""
    for at in range(1, len(phrase) - 1 if len(phrase) <= _LONGEST_WITH_TAILS else 0):
        if not (phrase[at - 1].isascii() and phrase[at].isascii()) or phrase[at - 1] == " ":
            yield phrase[at:]


def _texts(draft: Draft) -> tuple[str, ...]:
    return (draft.field, draft.phrase, *draft.synonyms)


def _pieces(text: str) -> list[str]:
    return [piece.strip() for piece in _SPLITTING.split(text) if piece.strip()]


def _respelled(draft: Draft, change: Callable[[str], str]) -> Draft:
    """The draft with every text changed: a name that is also the phrase stays that."""
    phrase = "" if draft.phrase == draft.field else change(draft.phrase)
    synonyms = tuple(word for word in map(change, draft.synonyms) if word)
    return replace(draft, field=change(draft.field), phrase=phrase, synonyms=synonyms)


def _finding(code: Code, place: int, draft: Draft, reason: str, what: str, fixed: Draft, *, blocking: bool = False) -> Finding:
    return Finding(code, place, draft.written, reason, Fix(what, place, (fixed,)), blocking)


def _width(phrase: str) -> float:
    return sum(0.5 if character.isascii() else 1.0 for character in phrase)


def _shortened(phrase: str) -> str | None:
    """What a question is about, where that is short enough: 请提取合同的总金额是多少 -> 合同总金额."""
    core = _ASKING.sub("", phrase)
    choices = (core, core.replace("的", ""), core.rpartition("的")[2])
    return next((choice for choice in choices if choice.strip() and choice != phrase and _width(choice) <= LONGEST), None)
