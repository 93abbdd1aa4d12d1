"""Holds how sure a model was of its values against how often it was right; knows no model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas
from numpy.typing import NDArray

from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import OptionError
from seqgpt_lab.evaluation.comparison import compare
from seqgpt_lab.extraction.extraction import Extraction


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """confidences: [N], 0.0 to 1.0, of N values. right: [N], whether each was (label and place)."""

    confidences: NDArray[np.float64]
    right: NDArray[np.bool_]

    @classmethod
    def from_pairs(cls, pairs: Iterable[tuple[Document, Extraction]], labels: Sequence[str]) -> Calibration:
        """Of every value that has a confidence. Raises what `compare` raises."""
        sure: list[tuple[float, bool]] = []
        for document, extraction in pairs:
            comparison = compare(document, extraction, labels)
            for answers, right in ((comparison.right, True), (comparison.wrong, False)):
                sure += [(answer.span.confidence, right) for answer in answers if answer.span.confidence is not None]
        return cls(np.array([one for one, _ in sure], dtype=np.float64), np.array([right for _, right in sure], dtype=np.bool_))

    @classmethod
    def of_all(cls, parts: Sequence[Calibration]) -> Calibration:
        """Several sets of values as one."""
        return cls(np.concatenate([part.confidences for part in parts]), np.concatenate([part.right for part in parts]))

    def bins(self, number: int = 10) -> pandas.DataFrame:
        """The reliability diagram as a table, a row a bin that holds values.

        Columns: low, high (bins of equal width; low exclusive, high inclusive, the first one with 0.0), values, confidence (mean),
        right (share). Raises OptionError for less than one bin.
        """
        if number < 1:
            raise OptionError(f"{number} bins of confidence; at least 1 is needed")
        place = np.clip(np.ceil(self.confidences * number).astype(int) - 1, 0, number - 1)
        rows = [
            {
                "low": one / number,
                "high": (one + 1) / number,
                "values": int((place == one).sum()),
                "confidence": float(self.confidences[place == one].mean()),
                "right": float(self.right[place == one].mean()),
            }
            for one in sorted(set(place.tolist()))
        ]
        return pandas.DataFrame(rows, columns=["low", "high", "values", "confidence", "right"])

    def expected_error(self, number: int = 10) -> float:
        """Mean over values of their bin's |share right - mean confidence| (Naeini et al. 2015, ECE); 0 without values."""
        table = self.bins(number)
        return float(((table["right"] - table["confidence"]).abs() * table["values"]).sum() / max(1, len(self.right)))
