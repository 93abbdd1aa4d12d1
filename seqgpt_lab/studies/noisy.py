"""Documents as a keyboard, a PDF or a scanner delivers them: synthetic noise, or pages that a real OCR engine reads. Knows no model.

Gold values move with their characters, so what is asked for is what the noise left of a value, at the place where it left it.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.corpus.noise import NOISES, Edit, apply
from seqgpt_lab.errors import OptionError, SeqGPTLabError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.ImageFont import FreeTypeFont

    Pixels = NDArray[np.uint8]

CLEAN, OCR = "none", "ocr"
NOISE_NAMES: tuple[str, ...] = (CLEAN, *NOISES, OCR)
Read = Callable[["Pixels"], str]

_FONTS = ("WenQuanYi Micro Hei", "Noto Sans CJK SC", "Source Han Sans SC", "Microsoft YaHei", "PingFang SC", "SimHei", "SimSun")
_COLUMNS, _EM, _MARGIN, _BLUR = 30, 26, 24, 0.8


def with_noise(documents: Sequence[Document], noise: str, *, seed: int = 0) -> list[Document]:
    """The documents with one kind of noise; `none` leaves them as they are, `ocr` renders each and has rapidocr read it.

    seed: fixes what is drawn, for each document by itself. Values of which nothing is left lose their gold. Raises OptionError for
    an unknown noise, SeqGPTLabError where the extra packages of `ocr` or a Chinese font are missing.
    """
    if noise not in NOISE_NAMES:
        raise OptionError(f"there is no noise {noise!r}; there are {', '.join(NOISE_NAMES)}")
    if noise == CLEAN:
        return list(documents)
    if noise == OCR:
        return read_pages(documents, rapid_reader())
    made = [apply(one, NOISES[noise](one.text, Random(f"{seed} {one.id}"))) for one in documents]
    return [_marked(document, noise) for document in made]


def read_pages(documents: Sequence[Document], read: Read) -> list[Document]:
    """Each document's text drawn as a page and read again by `read`, its gold carried along.

    Raises SeqGPTLabError where this machine has no Chinese font.
    """
    face = _face()
    return [_marked(apply(one, carried(one.text, read(page_of(one.text, face)))), OCR) for one in documents]


def carried(text: str, read: str) -> Edit:
    """How `text` became `read`, character by character, as far as the longest common blocks tell."""
    before, replaced = [""] * len(text), list(text)
    for kind, start, end, first, last in difflib.SequenceMatcher(None, text, read, autojunk=False).get_opcodes():
        new = read[first:last]
        if kind == "insert" and start < len(text):
            before[start] = new
        elif kind == "insert" and text:
            replaced[-1] += new
        elif kind in ("replace", "delete"):
            # One for one as far as that goes; the last character stands for what is left over.
            replaced[start:end] = [new[at : at + 1] for at in range(end - start)]
            replaced[end - 1] += new[end - start :]
    return before, replaced


def page_of(text: str, face: FreeTypeFont) -> Pixels:
    """The text as a slightly blurred black-on-white page, [height, width, 3], lines wrapped at 30 characters."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFilter

    lines = [line[at : at + _COLUMNS] for line in text.split("\n") for at in range(0, max(1, len(line)), _COLUMNS)]
    size = (_COLUMNS * _EM + 2 * _MARGIN, len(lines) * _EM * 3 // 2 + 2 * _MARGIN)
    page = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((_MARGIN, _MARGIN + number * _EM * 3 // 2), line, fill="black", font=face)
    return np.asarray(page.filter(ImageFilter.GaussianBlur(_BLUR)))


def rapid_reader() -> Read:
    """A function that reads a page with rapidocr: its lines from top to bottom. Raises SeqGPTLabError where it is not installed."""
    try:
        from rapidocr import RapidOCR
    except ImportError as error:
        raise SeqGPTLabError(f"OCR noise needs rapidocr ({error}); install it: pip install 'seqgpt-lab[ocr]'") from error
    # One thread: a page is small, and threads that wait by spinning are in the way of everything else on a machine of few cores.
    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    engine: Any = RapidOCR(params={"Global.log_level": "error", **threads})

    def read(page: Pixels) -> str:
        found = engine(page)
        if found.txts is None:
            return ""
        lines = sorted(
            zip(found.boxes, found.txts, strict=True), key=lambda line: (round(float(line[0][0][1]) / _EM), float(line[0][0][0]))
        )
        return "\n".join(text for _, text in lines)

    return read


def _face() -> FreeTypeFont:
    from matplotlib import font_manager
    from PIL import ImageFont

    for family in _FONTS:
        try:
            return ImageFont.truetype(font_manager.findfont(family, fallback_to_default=False), _EM)
        except ValueError:
            continue
    raise SeqGPTLabError(f"no Chinese font was found to draw pages with (looked for {', '.join(_FONTS)}); install fonts-wqy-microhei")


def _marked(document: Document, noise: str) -> Document:
    return replace(document, meta={**document.meta, "noise": noise})
