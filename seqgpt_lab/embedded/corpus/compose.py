"""Composes synthetic documents of a kind: whole templates, parts of several, forms, clauses joined. Knows fields, not questions."""

from __future__ import annotations

import re
from random import Random

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.corpus.kind import FieldSpec, Kind, Split
from seqgpt_lab.embedded.corpus.noise import corrupt
from seqgpt_lab.embedded.corpus.synonyms import known_groups, reworded
from seqgpt_lab.embedded.corpus.template import choose, fill, slots

# How a field is written in a form, and what stands between fields.
_FORM_STYLES: tuple[tuple[str, str], ...] = (
    *(
        (style, "\n")
        for style in ("{key}：{value}", "{key}:{value}", "{key}: {value}", "【{key}】{value}", "{key} {value}", "{key}\t{value}")
    ),
    ("{key}：{value}", "；"),
    ("{key}：{value}", "，"),
    ("{key}：{value}", " "),
    ("{key}（{value}）", "，"),
    ("{key}：【{value}】", "\n"),
    ("{key}｜{value}", "\n"),
    ("{key}:{value}", ", "),
    ("[{key}] {value}", "\n"),
    ("{key}为{value}", "，"),
    ("- {key}：{value}", "\n"),
)
_CLAUSE_JOINTS = (("，", "。"), ("；", "。"), ("。", "。"), ("，", "；"), (",", "."), ("\n", "\n"))
# Of training documents; the rest are whole templates.
_PROSE_SHARE, _FORM_SHARE, _SPLICED_SHARE = 0.15, 0.15, 0.15
# Where a template may be cut: behind the end of a sentence or a line. Two or three templates go into a spliced document.
_PART = re.compile(r"[^。；！？\n]*[。；！？\n]*")
_SPLICES = ("。", "\n", "；")
# Of training documents, and of the known words in these.
_REWORDED_SHARE, _WORDS_REPLACED = 0.5, 0.5
_NOISY_SHARE = 0.3
# What stands between the values of a list, and how often a composed document has a field with one.
_LIST_JOINTS = ("、", "、", "，", "；", " ", "/", "和", "及", " & ", ",", "跟", "与", "，还有")
_FORM_LIST_SHARE, _PROSE_LIST_SHARE = 0.15, 0.25


def compose(kind: Kind, split: Split, random: Random, index: int) -> Document:
    """A document of `kind`; gold labels are specific field names. Held-out splits use their whole templates only.

    In training, 55% are whole templates, 15% sentences of several templates, 15% forms of random fields, 15% clauses in random
    order; half of all have words replaced by synonyms, 30% are then corrupted. Forms and clauses may list several values of a
    field where whole templates seldom do.
    """
    way = random.random() if split == "train" else 1.0
    if way < _PROSE_SHARE:
        template = _prose(kind, random)
    elif way < _PROSE_SHARE + _FORM_SHARE:
        template = _form(kind, random)
    elif way < _PROSE_SHARE + _FORM_SHARE + _SPLICED_SHARE:
        template = _spliced(kind, random)
    else:
        template = choose(_drawn(kind, split, random), random)
    if split == "train" and random.random() < _REWORDED_SHARE:
        template = reworded(template, random, _WORDS_REPLACED, known_groups())
    document = filled(template, kind, split, random, f"{kind.name}-{split}-{index}")
    return corrupt(document, random.choice(("typed", "pdf", "ocr")), random) if random.random() < _NOISY_SHARE else document


def _drawn(kind: Kind, split: Split, random: Random) -> str:
    templates = kind.templates[split]
    return random.choices(templates, cum_weights=kind.drawn)[0] if kind.drawn and split == "train" else random.choice(templates)


def filled(template: str, kind: Kind, split: Split, random: Random, name: str) -> Document:
    """The document called `name` of a chosen template; gold labels are specific field names."""
    text, entities = fill(template, lambda field: kind.field(field).make(random, split))
    lead = len(text) - len(text.lstrip("\n"))
    gold = tuple(entity.moved(-lead) for entity in entities)  # in text order
    return Document(name, text.strip("\n"), gold, {"kind": kind.name, "source": "clean"})


def _spliced(kind: Kind, random: Random) -> str:
    """Neighbouring sentences of two or three training templates, one template after the other; a field is told once.

    What a value is must then be read from its own sentence, for the rest of the document does not tell.
    """
    told: set[str] = set()
    pieces: list[str] = []
    for template in random.sample(kind.templates["train"], k=random.randint(2, 3)):
        parts = [part for part in _PART.findall(choose(template, random)) if part]
        first = random.randrange(len(parts))
        taken = "".join(parts[first : first + random.randint(1, 4)])
        if slots(taken) and not slots(taken) & told:
            told |= slots(taken)
            pieces.append(taken if taken.endswith(("。", "；", "！", "？", "\n")) else f"{taken}{random.choice(_SPLICES)}")
    return "".join(pieces) if pieces else choose(random.choice(kind.templates["train"]), random)


def _form(kind: Kind, random: Random) -> str:
    """`key：value` lines of random fields in random order, in one of many styles."""
    style, joint = random.choice(_FORM_STYLES)
    chosen = random.sample(kind.fields, k=random.randint(3, min(9, len(kind.fields))))
    lines = [style.replace("{key}", _key(spec, random)).replace("{value}", _one_or_a_list(spec.name, random)) for spec in chosen]
    return random.choice(kind.openings) + joint.join(lines) + random.choice(("\n", "。", joint)) + random.choice(kind.closings)


def _one_or_a_list(name: str, random: Random) -> str:
    return _listed(name, random) if random.random() < _FORM_LIST_SHARE else f"{{{name}}}"


def _listed(name: str, random: Random) -> str:
    """Two to four slots of one field with the same joint between them."""
    further = (f"{{{name}#{number}}}" for number in range(2, random.randint(2, 4) + 1))
    return random.choice(_LIST_JOINTS).join((f"{{{name}}}", *further))


def _key(spec: FieldSpec, random: Random) -> str:
    chinese = tuple(phrase for phrase in spec.phrases if not phrase.isascii())
    return random.choice((spec.name, *(spec.keys or chinese)))


def _prose(kind: Kind, random: Random) -> str:
    """Clauses of random fields in random order; a field is told once."""
    inner, outer = random.choice(_CLAUSE_JOINTS)
    told: set[str] = set()
    parts: list[str] = []
    for spec in random.sample(kind.fields, k=random.randint(3, min(8, len(kind.fields)))):
        clause = choose(random.choice(spec.clauses), random) if spec.clauses else ""
        if clause and not slots(clause) & told:
            told |= slots(clause)
            parts.append(clause)
    if random.random() < _PROSE_LIST_SHARE:
        at = random.randrange(len(parts))
        name = random.choice(sorted(slots(parts[at])))
        parts[at] = parts[at].replace(f"{{{name}}}", _listed(name, random), 1)
    joined = "".join(part + (inner if random.random() < 0.7 else outer) for part in parts[:-1])
    return random.choice(kind.openings) + joined + parts[-1] + outer + random.choice(kind.closings)
