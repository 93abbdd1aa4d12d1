"""What an extraction is: one field a label, and what went wrong. Knows nothing of models, prompts or how values were found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import LabelError
from seqgpt_lab.extraction.highlight import highlight
from seqgpt_lab.extraction.spans import Field
from seqgpt_lab.extraction.told import Told

if TYPE_CHECKING:
    import pandas

# How an entry of `Extraction.problems` begins, so that programs can count what people read.
PARSE_PROBLEM = "parse:"
TRUNCATED_PROBLEM = "truncated:"


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was read out of one document: one field a label, in the user's order, absent ones included.

    text: the document's whole text, which all offsets refer to. raw: the model's answer, several prompts' answers joined.
    truncated: the text or the answer was cut. problems: sentences for people, each beginning with a code such as `parse:` or
    `truncated:`. told: those of them that name places in the text. Raises LabelError when two fields carry the same label.
    """

    document_id: str
    text: str
    fields: tuple[Field, ...]
    raw: str = ""
    truncated: bool = False
    problems: tuple[str, ...] = ()
    told: tuple[Told, ...] = ()

    def __post_init__(self) -> None:
        labels = [field.label for field in self.fields]
        repeated = {label for label in labels if labels.count(label) > 1}
        if repeated:
            raise LabelError(
                f"document {quoted(self.document_id)}: the labels {sorted(repeated)} have several fields; merge them into one each"
            )

    @property
    def malformed(self) -> bool:
        """Whether a part of the model's answer could not be parsed."""
        return any(problem.startswith(PARSE_PROBLEM) for problem in self.problems)

    def to_dict(self) -> dict[str, str | list[str] | None]:
        """A value a label, in the user's order: a string, a list where there are several, None where absent."""
        return {field.label: field.value for field in self.fields}

    def to_record(self) -> dict[str, Any]:
        """The extraction as one JSON-ready object: id, values (as `to_dict`), spans with their offsets, problems."""
        return {
            "id": self.document_id,
            "values": self.to_dict(),
            "spans": {field.label: [asdict(span) for span in field.spans] for field in self.fields},
            "problems": list(self.problems),
        }

    def to_frame(self) -> pandas.DataFrame:
        """One row a span: label, value, start, end, confidence, match; absent labels have no row."""
        import pandas

        rows = [(field.label, span) for field in self.fields for span in field.spans]
        columns: dict[str, tuple[Sequence[object], str]] = {
            # Text stays in Python objects: a lone surrogate cannot be stored in Arrow-backed strings.
            "label": ([label for label, _ in rows], "object"),
            "value": ([span.text for _, span in rows], "object"),
            "start": ([span.start for _, span in rows], "Int64"),
            "end": ([span.end for _, span in rows], "Int64"),
            "confidence": ([span.confidence for _, span in rows], "float64"),
            "match": ([span.match for _, span in rows], "object"),
        }
        return pandas.DataFrame({name: pandas.Series(list(values), dtype=dtype) for name, (values, dtype) in columns.items()})

    def _repr_html_(self) -> str:
        cut = self.truncated and not any(problem.startswith(TRUNCATED_PROBLEM) for problem in self.problems)
        notes = [*self.problems, *(["truncated: the text or the answer was cut"] if cut else [])]
        return highlight(self.text, self.fields, notes)
