"""What scanning, pasting and typing do to a text, with every entity's offsets carried along; knows no kinds and no labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from seqgpt_lab.documents.document import Document, Entity

# before[i] is inserted in front of character i, replaced[i] stands in its place.
Edit = tuple[list[str], list[str]]
Noise = Callable[[str, Random], Edit]

_TO_HALF = {"，": ",", "：": ":", "；": ";", "（": "(", "）": ")", "！": "!", "？": "?", "％": "%", "。": "."}
_TO_FULL = {",": "，", ":": "：", ";": "；", "(": "（", ")": "）", "%": "％"}
_BRACKETS = {"（": "【", "）": "】", "(": "【", ")": "】"}
_SIMPLIFIED, _OLDER = "华为国张陈东电话联系时间单号货车学业发记录医师万", "華為國張陳東電話聯繫時間單號貨車學業發記錄醫師萬"
_TRADITIONAL = dict(zip(_SIMPLIFIED, _OLDER, strict=True))
_LOOKALIKES = {"0": "O", "1": "l", "：": ":", "末": "未", "己": "已", "日": "曰", "入": "人", "，": "，", "间": "问"}


def apply(document: Document, edit: Edit) -> Document:
    """The document after an edit; an entity covers its own characters and what was inserted between them, never what is around."""
    before, replaced = edit
    starts: list[int] = []
    ends: list[int] = []
    at = 0
    for front, core in zip(before, replaced, strict=True):
        starts.append(at + len(front))
        at += len(front) + len(core)
        ends.append(at)
    text = "".join(front + core for front, core in zip(before, replaced, strict=True))
    gold = []
    for entity in document.gold:
        start, end = starts[entity.start], ends[entity.end - 1]
        if text[start:end].strip():
            gold.append(Entity(entity.label, start, end, text[start:end]))
    return Document(document.id, text, tuple(gold), document.meta)


def _replace(table: dict[str, str], share: float) -> Noise:
    def noise(text: str, random: Random) -> Edit:
        return [""] * len(text), [table[char] if char in table and random.random() < share else char for char in text]

    return noise


def _wrapped(text: str, random: Random) -> Edit:
    """Line breaks every `width` characters, as text pasted from a PDF has: inside words and values too."""
    width = random.randint(22, 40)
    column = 0
    before = []
    for char in text:
        column = 0 if char == "\n" else column + 1
        broken = column > width and char not in "，。；：、）】,.;:)"
        before.append("\n" if broken else "")
        column = 1 if broken else column
    return before, list(text)


def _spaced(text: str, random: Random) -> Edit:
    """Stray spaces around punctuation, as OCR leaves them; never inside a word."""
    before = [" " if index and text[index - 1] in "：:，,；（【" and random.random() < 0.4 else "" for index in range(len(text))]
    return before, list(text)


def _garbage(text: str, random: Random) -> Edit:
    """A few stray marks at punctuation."""
    before = [random.choice("·□�*_ ") if char in "，。；\n" and random.random() < 0.15 else "" for char in text]
    return before, list(text)


NOISES: dict[str, Noise] = {
    "half_width": _replace(_TO_HALF, 1.0),
    "full_width": _replace(_TO_FULL, 1.0),
    "brackets": _replace(_BRACKETS, 1.0),
    "traditional": _replace(_TRADITIONAL, 0.5),
    "lookalikes": _replace(_LOOKALIKES, 0.08),
    "wrapped": _wrapped,
    "spaced": _spaced,
    "garbage": _garbage,
}
SOURCES: dict[str, Sequence[str]] = {
    "typed": ("half_width", "full_width", "brackets", "traditional"),
    "pdf": ("wrapped",),
    "ocr": ("spaced", "lookalikes", "garbage", "half_width"),
}


def corrupt(document: Document, source: str, random: Random) -> Document:
    """The document as its `source` (typed, pdf or ocr) would have delivered it: one or two of that source's noises."""
    names = SOURCES[source]
    for name in random.sample(names, k=min(len(names), random.choice((1, 1, 2)))):
        document = apply(document, NOISES[name](document.text, random))
    return Document(document.id, document.text, document.gold, {**document.meta, "source": source})
