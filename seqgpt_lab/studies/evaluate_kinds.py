"""Evaluates a loaded model on several kinds of documents, each with its own label set, keeping journals; makes no table and no sentence."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from seqgpt_lab.documents.document import Document
from seqgpt_lab.engine.engine import Engine
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.evaluate import evaluate
from seqgpt_lab.evaluation.gold import check_gold
from seqgpt_lab.evaluation.journal import JournaledExtractor
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.progress import TaskProgress
from seqgpt_lab.studies.evaluation_study import EvaluationStudy
from seqgpt_lab.studies.models import answered_with
from seqgpt_lab.studies.run_files import JOURNALS
from seqgpt_lab.studies.sources import Source, first


def evaluate_kinds(
    engine: Engine, sources: Sequence[Source], *, limit: int = 0, run_dir: str | Path = "", progress: TaskProgress | None = None
) -> EvaluationStudy:
    """Evaluate a loaded model on every source with its own label set. limit: the first so many documents of each kind; 0: all.

    run_dir: where extractions are kept as they come, in journals/<kind>.jsonl; what is there already is not extracted again. Empty:
    nowhere. progress: called with a kind and its prompts.

    Raises OptionError for a negative limit or no sources, DocumentError and LabelError for files that cannot be used or hold no gold.
    """
    if not sources:
        raise OptionError("there is nothing to evaluate among 0 sources; give at least one")
    # All files are read before the first extraction: an unreadable last one should not cost the hours before it.
    loaded = [_with_gold(source, limit) for source in sources]
    started, taken_over = time.perf_counter(), 0
    evaluations = {}
    for kind, documents, labels in loaded:
        extractor = Extractor(engine)
        keeping = journaled(extractor, Path(run_dir) / JOURNALS / f"{kind}.jsonl", labels) if run_dir else None
        evaluations[kind] = evaluate(keeping or extractor, documents, labels, progress=progress and partial(progress, kind))
        taken_over += keeping.taken_over if keeping else 0
    return EvaluationStudy(evaluations, time.perf_counter() - started, {kind: labels for kind, _, labels in loaded}, taken_over)


def _with_gold(source: Source, limit: int) -> tuple[str, list[Document], LabelSet]:
    """The kind, its first documents and what to ask of them. Raises as `check_gold` where no document of the file has gold for it."""
    documents, labels = source.load(), LabelSet.load(source.labels)
    check_gold(documents, labels.names, f"documents in {source.documents}")
    return source.kind, first(documents, limit), labels


def journaled(extractor: Extractor, journal: Path, labels: LabelSet) -> JournaledExtractor[LabelSet]:
    """The extractor, keeping a journal that only what asks the same questions, and answers them the same way, can go on from."""
    made_with = {
        **answered_with(extractor),
        "labels": list(labels.names),
        "phrases": list(labels.phrases),
        "multiple": [label.multiple for label in labels.labels],
        "labels_per_prompt": extractor.labels_per_prompt,
    }
    journal.parent.mkdir(exist_ok=True)
    return JournaledExtractor(extractor, journal, made_with)
