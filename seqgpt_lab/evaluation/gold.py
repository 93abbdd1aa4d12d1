"""Whether documents have gold for what is asked of them; knows no extraction and no score."""

from __future__ import annotations

from collections.abc import Sequence

from seqgpt_lab.documents.document import Document
from seqgpt_lab.documents.quoting import quoted
from seqgpt_lab.errors import DocumentError, LabelError


def check_gold(documents: Sequence[Document], fields: Sequence[str], called: str = "documents") -> None:
    """Raise DocumentError where no document has gold, and LabelError where none has any for the fields: every value would count as wrong,
    a record in which nothing is found as wholly right, and nothing would say why. No documents at all are for others to refuse.

    fields: what is asked for, as gold must be called; called: what a message calls the documents, such as `test documents`.
    """
    marked = _marked(documents)
    if documents and not marked:
        raise DocumentError(
            f"none of the {len(documents)} {called} has gold, so nothing can be scored; give entities, or in a table values in the "
            f"columns called as the fields ({', '.join(fields)})"
        )
    if marked and marked.isdisjoint(fields):
        raise LabelError(
            f"the {called} have gold for {quoted(sorted(marked))}, the labels ask for {list(fields)}, so nothing can be scored; "
            "give the fields the gold's names"
        )


def unscored(documents: Sequence[Document], fields: Sequence[str], called: str = "documents") -> list[str]:
    """What a score of documents that `check_gold` passes cannot show, in sentences: fields asked for that no document has gold for, and
    gold that no field asks for."""
    marked = _marked(documents)
    without, unasked = [name for name in fields if name not in marked], sorted(marked.difference(fields))
    notes = [f"None of the {called} has gold for {'、'.join(without)}: every value given there counts as wrong."] if without else []
    return notes + ([f"No label asks for {'、'.join(unasked)}, so the gold for it counts nowhere."] if unasked else [])


def _marked(documents: Sequence[Document]) -> set[str]:
    return {entity.label for document in documents for entity in document.gold}
