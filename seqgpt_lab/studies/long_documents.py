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

from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.engine.requests import MAX_NEW_TOKENS
from seqgpt_lab.errors import OptionError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.windows import Window
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies import run_files
from seqgpt_lab.studies.display import Html, Prose, counted, table
from seqgpt_lab.studies.sources import Source, first

_NEAR = 20  # characters from a window's edge
_NEARLY = 0.02  # of recall
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

    The same seed gives the same texts. Raises OptionError when they do not fit, and for counts below 1.
    """
    if min(documents, each) < 1:
        raise OptionError(f"documents is {documents} and each {each}; at least one document is planted, in texts that hold at least one")
    short = first(source.load(), documents)
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
        gold += [entity.moved(start) for entity in document.gold]
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
    max_new_tokens: int = MAX_NEW_TOKENS,
    progress: TaskProgress | None = None,
) -> pandas.DataFrame:
    """One row for the documents alone, then one for each length of windows with each overlap on the long texts.

    Raises OptionError, before anything is read, when there are no lengths of windows or no overlaps.

    Columns: read (alone or long); max_length (tokens of a window's prompt), overlap (characters); windows; recall, precision (strict:
    label and place); recall_at_edges (of the values that lie within 20 characters of a window's edge); values and values_at_edges, how
    many gold values these rest on; seconds_a_thousand (characters).
    """
    if not max_lengths or not overlaps:
        raise OptionError(f"max_lengths is {list(max_lengths)} and overlaps {list(overlaps)}; give at least one of each")
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
        windows = [extractor.windows(document, planted.labels) for document in documents]
        thousands = sum(len(document.text) for document in documents) / 1000
        scored = _scores(documents, results, planted.labels, windows)
        row = {"read": how, "max_length": tokens, "overlap": overlap, "windows": sum(map(len, windows)), **scored}
        rows.append({**row, "seconds_a_thousand": seconds / thousands})
    if progress:
        progress("windows", len(ways), len(ways))
    return pandas.DataFrame(rows)


def _scores(
    documents: Sequence[Document], results: Sequence[Extraction], labels: LabelSet, windows: Sequence[Sequence[Window]]
) -> dict[str, float | None]:
    """Strict recall and precision over all documents, of the labels that were asked; recall at the edges, None where there are none."""
    wanted: set[tuple[int, str, int, int]] = set()
    given: list[tuple[int, str, int | None, int | None]] = []
    near: set[tuple[int, str, int, int]] = set()
    for at, (document, result, read) in enumerate(zip(documents, results, windows, strict=True)):
        gold = {(at, entity.label, entity.start, entity.end) for entity in document.gold if entity.label in labels.names}
        edges = {edge for window in read for edge in (window.start, window.end)} - {0, len(document.text)}
        near |= {value for value in gold if any(value[2] - _NEAR <= edge <= value[3] + _NEAR for edge in edges)}
        wanted |= gold
        given += [(at, field.label, span.start, span.end) for field in result.fields for span in field.spans]
    right = wanted.intersection(given)
    return {
        "values": len(wanted),
        "recall": len(right) / len(wanted) if wanted else 1.0,
        "values_at_edges": len(near),
        "recall_at_edges": len(right & near) / len(near) if near else None,
        "precision": len(right) / len(given) if given else 1.0,
    }


def show_windows(frame: pandas.DataFrame) -> Html:
    """The ways of reading for people, with units and with what each recall rests on; no recall where no value lies at an edge."""
    heads = {
        "max_length": "window (tokens)",
        "overlap": "overlap (characters)",
        "values": "gold values",
        "values_at_edges": "values at edges",
    }
    heads |= {"recall_at_edges": "recall at edges", "seconds_a_thousand": "time (s a thousand characters)"}
    return table(frame.rename(columns=heads))


def show_lengths(frame: pandas.DataFrame) -> Html:
    """The cost by length for people, with units."""
    return table(frame.rename(columns={"seconds": "time (s)", "seconds_a_thousand": "time (s a thousand characters)"}))


def about_windows(frame: pandas.DataFrame) -> Prose:
    """The way with most recall, of equals the one with most precision; what it loses against the documents alone, and which ways lose
    nearly nothing."""
    alone, *long = frame.to_dict("records")
    best = max(long, key=lambda row: (row["recall"], row["precision"]))
    near = [f"{row['max_length']} with {row['overlap']}" for row in long if row["recall"] >= alone["recall"] - _NEARLY]
    return Prose(
        f"Alone, recall is **{alone['recall']:.3f}** ({counted(int(alone['values']), 'gold value')}); in the long texts at best "
        f"(of {counted(len(long), 'way')}) **{best['recall']:.3f}** "
        f"({best['recall'] - alone['recall']:+.3f}), with windows of {best['max_length']} tokens and an overlap of {best['overlap']} "
        f"characters: {counted(int(best['windows']), 'window')}, precision {best['precision']:.3f} (alone {alone['precision']:.3f}). "
        f"Not more than {_NEARLY} below the documents alone: {'; '.join(near) or 'none'}. "
        "As a rule, windows far longer than the texts a model was trained on cost recall; short ones cost time, and ask where nothing is."
    )


def plant_lengths(source: Source, lengths: Sequence[int], *, each: int) -> list[Planted]:
    """For each length, one text of about so many characters that holds the source's first `each` documents.

    Raises OptionError when there are no lengths, and as `plant` does.
    """
    if not lengths:
        raise OptionError("lengths is []; give the characters of at least one text")
    # Another seed for each: nothing is remembered.
    return [plant(source, documents=each, each=each, length=length, seed=length) for length in lengths]


def compare_lengths(
    engine: Engine, texts: Sequence[Planted], *, max_new_tokens: int = MAX_NEW_TOKENS, progress: TaskProgress | None = None
) -> pandas.DataFrame:
    """What a text costs by its length, at the windows that an extractor takes by itself, for what `plant_lengths` made.

    Columns: characters, windows, seconds, seconds_a_thousand (characters).
    """
    extractor = Extractor(engine, max_new_tokens=max_new_tokens)
    rows = []
    for done, planted in enumerate(texts):
        if progress:
            progress("lengths", done, len(texts))
        text = planted.long[0].text
        begun = time.perf_counter()
        extractor.extract(text, planted.labels)
        seconds = time.perf_counter() - begun
        windows = len(extractor.windows(text, planted.labels))
        rows.append({"characters": len(text), "windows": windows, "seconds": seconds, "seconds_a_thousand": 1000 * seconds / len(text)})
    if progress:
        progress("lengths", len(texts), len(texts))
    return pandas.DataFrame(rows)


def about_lengths(frame: pandas.DataFrame) -> Prose:
    """How the cost of a thousand characters differs between lengths."""
    ordered = frame.sort_values("characters")
    cost, characters = ordered["seconds_a_thousand"], ordered["characters"]
    return Prose(
        f"From {characters.iloc[0]:,} to {characters.iloc[-1]:,} characters a thousand of them takes {cost.min():.2f} to {cost.max():.2f} "
        f"s, in the longest {cost.iloc[-1] / cost.iloc[0]:.2f} times what it takes in the shortest; 1 is a cost linear in the length. "
        "Each text was read once."
    )


def write_metrics(run_dir: str | Path, windows: pandas.DataFrame, lengths: pandas.DataFrame) -> None:
    """Write the tables as `<run_dir>/metrics.json`, atomically; an empty `run_dir` means nowhere. Raises OSError."""
    known = windows.astype(object).where(windows.notna(), None)  # JSON has no NaN
    run_files.write_metrics(run_dir, {"windows": known.to_dict("records"), "lengths": lengths.to_dict("records")})
