"""The lab's public names, each loaded on first use so that importing the package starts nothing and loads nothing heavy."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from seqgpt_lab.documents.formats import load_documents
    from seqgpt_lab.engine.engine import Engine
    from seqgpt_lab.evaluation.evaluate import evaluate
    from seqgpt_lab.extraction.extractor import Extractor
    from seqgpt_lab.extraction.labels import LabelSet

__all__ = ["Engine", "Extractor", "LabelSet", "evaluate", "load_documents"]

_MODULES = {
    "Engine": "seqgpt_lab.engine.engine",
    "Extractor": "seqgpt_lab.extraction.extractor",
    "LabelSet": "seqgpt_lab.extraction.labels",
    "evaluate": "seqgpt_lab.evaluation.evaluate",
    "load_documents": "seqgpt_lab.documents.formats",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module 'seqgpt_lab' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
