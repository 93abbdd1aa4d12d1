"""What the server's endpoints take and give, as OpenAPI describes them; knows no engine."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from seqgpt_lab.errors import LabelError
from seqgpt_lab.extraction.drafts import Draft
from seqgpt_lab.extraction.labels import LabelSet

MOST_LABELS = 256
MOST_ITEMS = 256
LONGEST_TEXT = 2_000_000
LONGEST_LABEL = 1_000
LONGEST_LABELS = 65_536
LONGEST_WAIT = 600.0

_TEXT = "张伟，35岁，现任上海云智科技有限公司高级算法工程师"
_STRICT = ConfigDict(extra="forbid")


class LabelIn(BaseModel):
    """A field's name in the answer, and the phrase the model is asked with."""

    model_config = _STRICT
    field: Annotated[str, Field(max_length=LONGEST_LABEL, examples=["邮箱"])]
    phrase: Annotated[str, Field(max_length=LONGEST_LABEL, examples=["email"])] = ""


# A list that is far too long is refused before a label of it is looked at.
Labels = Annotated[
    Annotated[str, Field(max_length=LONGEST_LABELS)]
    | Annotated[list[Annotated[str, Field(max_length=LONGEST_LABEL)] | LabelIn], Field(max_length=MOST_LABELS)],
    Field(
        description=f"Names with commas, or a list; at most {MOST_LABELS}. `邮箱->email` names the field 邮箱 and asks for email.",
        examples=["姓名,年龄,公司"],
    ),
]


class Ask(BaseModel):
    """A text and the labels to ask of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"text": _TEXT, "labels": "姓名,年龄,公司"}]})
    text: Annotated[str, Field(max_length=LONGEST_TEXT)]
    labels: Labels
    id: str = "text-1"

    def label_set(self) -> LabelSet:
        """Raises LabelError for labels that cannot be asked, or too many."""
        if isinstance(self.labels, str):
            found = LabelSet.of(self.labels)
        else:
            found = LabelSet.checked(Draft.parse(one) if isinstance(one, str) else Draft(one.field, one.phrase) for one in self.labels)
        if len(found.labels) > MOST_LABELS:
            raise LabelError(f"{len(found.labels):,} labels were given, the most is {MOST_LABELS}; ask in several requests")
        return found


Seconds = Annotated[float | None, Field(gt=0, le=LONGEST_WAIT, description="Give up after so long; the server's limit when left out.")]


class One(Ask):
    """A request about one text."""

    timeout_seconds: Seconds = None


class Many(BaseModel):
    """A request about several texts, each with labels of its own."""

    model_config = _STRICT
    items: Annotated[list[Ask], Field(min_length=1, max_length=MOST_ITEMS)]
    timeout_seconds: Seconds = None


class SpanOut(BaseModel):
    """A value, and where the text holds it: code points, end exclusive; null where it does not."""

    text: str
    start: int | None
    end: int | None
    confidence: float | None
    match: Literal["exact", "approximate", "unaligned"]


class ExtractionOut(BaseModel):
    """values: a string, a list where there are several, null where absent. problems: what could not be read, in words."""

    id: str
    values: dict[str, str | list[str] | None]
    spans: dict[str, list[SpanOut]]
    problems: list[str]


class ExtractionsOut(BaseModel):
    """One extraction an item, in their order."""

    results: list[ExtractionOut]


class ClassificationOut(BaseModel):
    """The labels that fit, in the model's order, and the probability of the whole answer."""

    id: str
    labels: list[str]
    confidence: float | None
    problems: list[str]


class HealthOut(BaseModel):
    """waiting: prompts in the queue."""

    status: Literal["ok"]
    waiting: int


class Problem(BaseModel):
    """Why a request was not answered."""

    detail: str
