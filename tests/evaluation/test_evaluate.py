"""Evaluating any extractor: what it is asked, what comes back, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest

from seqgpt_lab.documents import Document, Entity
from seqgpt_lab.documents.quoting import QUOTED
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.evaluation.comparison import check_same
from seqgpt_lab.evaluation.evaluate import evaluate
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.progress import Progress

DOCUMENTS = [Document("1", "甲乙", (Entity("A", 0, 1, "甲"),)), Document("2", "丙丁", (Entity("A", 1, 2, "丁"),))]


@dataclass(frozen=True)
class Names:
    names: tuple[str, ...]


@dataclass
class FirstCharacter:
    """Answers every label with the first character of the text; `change` spoils what it returns."""

    change: Callable[[list[Extraction]], list[Extraction]] = list

    def extract(self, documents: Sequence[Document], labels: Names, *, progress: Progress | None = None) -> list[Extraction]:
        made = []
        for done, document in enumerate(documents, start=1):
            span = Span(document.text[0], 0, 1)
            made.append(Extraction(document.id, document.text, tuple(Field(name, (span,)) for name in labels.names)))
            if progress:
                progress(done, len(documents))
        return self.change(made)


def test_scores_extractions_and_mistakes_belong_to_the_documents_in_order() -> None:
    ticks: list[tuple[int, int]] = []
    evaluation = evaluate(FirstCharacter(), DOCUMENTS, Names(("A",)), progress=lambda done, total: ticks.append((done, total)))
    assert evaluation.documents == tuple(DOCUMENTS)
    assert [extraction.document_id for extraction in evaluation.extractions] == ["1", "2"]
    assert evaluation.scores.strict.exact_record_rate == 0.5
    assert [(mistake.document_id, mistake.kind) for mistake in evaluation.mistakes] == [("2", "spurious"), ("2", "missed")]
    assert ticks == [(1, 2), (2, 2)]


@pytest.mark.parametrize("spoil", [lambda made: made[1:], lambda made: made[::-1], lambda made: [made[0], made[0]]])
def test_an_extractor_that_loses_or_mixes_documents_is_refused(spoil: Callable[[list[Extraction]], list[Extraction]]) -> None:
    with pytest.raises(DocumentError):
        evaluate(FirstCharacter(spoil), DOCUMENTS, Names(("A",)))


@pytest.mark.parametrize("extraction", [Extraction("李娜-简历", "甲", ()), Extraction("张伟-简历", "乙乙", ())])
def test_ids_are_quoted_so_that_a_page_masks_them(extraction: Extraction) -> None:
    with pytest.raises(DocumentError) as caught:
        check_same(Document("张伟-简历", "甲"), extraction)
    assert re.findall("张伟|李娜", str(caught.value)) and not re.findall("张伟|李娜", QUOTED.sub("", str(caught.value)))


def test_no_documents_repeated_ids_and_no_labels_are_refused() -> None:
    with pytest.raises(DocumentError, match="no documents"):
        evaluate(FirstCharacter(), [], Names(("A",)))
    with pytest.raises(DocumentError, match="⟪1⟫"):
        evaluate(FirstCharacter(), [DOCUMENTS[0], DOCUMENTS[0]], Names(("A",)))
    with pytest.raises(LabelError):
        evaluate(FirstCharacter(), DOCUMENTS, Names(()))
    with pytest.raises(LabelError, match=r"LabelSet\.of\('姓名,年龄'\)"):
        evaluate(FirstCharacter(), DOCUMENTS, "姓名,年龄")  # type: ignore[type-var]
