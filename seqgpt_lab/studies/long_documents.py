"""How much is found in long texts, by window and overlap: labelled documents planted at even places in text that holds nothing.

The same documents are also read alone, so that what is lost in a long text can be told from what the model does not read anyway.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pandas

from seqgpt_lab.documents.document import Document, Entity
from seqgpt_lab.documents.formats import load_documents
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.files import write_json
from seqgpt_lab.studies.display import Prose, counted
from seqgpt_lab.studies.evaluation_study import METRICS, Progress
from seqgpt_lab.studies.sources import Source

_FILLER = (
    "路边的树叶已经黄了。",
    "今天天气很好，大家都去公园散步。",
    "窗户朝南，下午屋里很亮。",
    "这一段与前后文都没有关系。",
    "湖面上起了一层薄雾，看不清对岸。",
)


@dataclass(frozen=True, slots=True)
class Planted:
    """Documents alone, and the long texts that hold them, both with gold; labels: what is asked."""

    short: tuple[Document, ...]
    long: tuple[Document, ...]
    labels: LabelSet


def plant(source: Source, *, documents: int, each: int, length: int, seed: int = 0) -> Planted:
    """Long texts of about `length` characters with `each` of the source's first so many documents at even places.

    The same seed gives the same texts. Raises OptionError when they do not fit.
    """
    short = load_documents(source.documents)[:documents]
    random = Random(seed)
    groups = [short[at : at + each] for at in range(0, len(short), each)]
    longest = max((sum(len(document.text) for document in group) for group in groups), default=0)
    if not groups or longest > length:
        raise OptionError(f"{each} documents have up to {longest} characters, the long text has {length}; plant fewer, or at least one")
    long = tuple(_planted(f"long-{number}", group, length, random) for number, group in enumerate(groups, 1))
    return Planted(tuple(short), long, LabelSet.load(source.labels))


def _planted(name: str, documents: Sequence[Document], length: int, random: Random) -> Document:
    gap = (length - sum(len(document.text) for document in documents)) // (len(documents) + 1)
    text, gold = _filler(gap, random), []
    for document in documents:
        start = len(text) + 1
        gold += [Entity(entity.label, start + entity.start, start + entity.end, entity.text) for entity in document.gold]
        text += f"\n{document.text}\n{_filler(gap, random)}"
    return Document(name, text, tuple(gold))


def _filler(length: int, random: Random) -> str:
    """Sentences that name nobody and nothing, about `length` characters: the last one is whole."""
    text = ""
    while len(text) < length:
        text += random.choice(_FILLER)
    return text


def compare_windows(
    engine: Engine,
    planted: Planted,
    max_lengths: Sequence[int],
    overlaps: Sequence[int],
    *,
    max_new_tokens: int = 256,
    progress: Progress | None = None,
) -> pandas.DataFrame:
    """One row for the documents alone, then one for each max_length with each overlap on the long texts.

    Columns: read (alone or long); max_length, overlap (characters); windows; recall, precision (strict: label and place);
    seconds_a_thousand (characters).
    """
    ways = [("alone", max(max_lengths), 0), *(("long", tokens, overlap) for tokens in max_lengths for overlap in overlaps)]
    rows = []
    for done, (how, tokens, overlap) in enumerate(ways):
        if progress:
            progress("windows", done, len(ways))
        extractor = Extractor(engine, max_length=tokens, window_length=tokens, overlap=overlap, max_new_tokens=max_new_tokens)
        documents = planted.short if how == "alone" else planted.long
        begun = time.perf_counter()
        results = extractor.extract(documents, planted.labels)
        seconds = time.perf_counter() - begun
        windows = sum(len(extractor.prepare(document, "甲").requests) for document in documents)
        thousands = sum(len(document.text) for document in documents) / 1000
        scored = _scores(documents, results, planted.labels)
        row = {"read": how, "max_length": tokens, "overlap": overlap, "windows": windows, **scored}
        rows.append({**row, "seconds_a_thousand": seconds / thousands})
    if progress:
        progress("windows", len(ways), len(ways))
    return pandas.DataFrame(rows)


def _scores(documents: Sequence[Document], results: Sequence[Extraction], labels: LabelSet) -> dict[str, float]:
    """Strict recall and precision over all documents, of the labels that were asked."""
    right = given = wanted = 0
    for document, result in zip(documents, results, strict=True):
        gold = {(entity.label, entity.start, entity.end) for entity in document.gold if entity.label in labels.names}
        found = [(field.label, span.start, span.end) for field in result.fields for span in field.spans]
        right, given, wanted = right + len(gold.intersection(found)), given + len(found), wanted + len(gold)
    return {"recall": right / wanted if wanted else 1.0, "precision": right / given if given else 1.0}


def about_windows(frame: pandas.DataFrame) -> Prose:
    """The best of the ways, and what it loses against the documents alone."""
    alone, *long = frame.to_dict("records")
    best = max(long, key=lambda row: row["recall"])
    return Prose(
        f"Alone, **{alone['recall']:.3f}** of the gold values are found; in the long texts at best **{best['recall']:.3f}** "
        f"({best['recall'] - alone['recall']:+.3f}), with max_length {best['max_length']} and an overlap of {best['overlap']} characters: "
        f"{counted(int(best['windows']), 'window')}, precision {best['precision']:.3f} (alone {alone['precision']:.3f}). "
        "Windows far longer than the texts a model was trained on show in recall; windows too short cost time, and ask where nothing is."
    )


def write_metrics(run_dir: str | Path, frame: pandas.DataFrame) -> None:
    """Write the table as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    if run_dir:
        write_json(Path(run_dir) / METRICS, {"windows": frame.to_dict("records")})
