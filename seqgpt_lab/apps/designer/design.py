"""What a user is editing: a text and two lists of labels, and the label sets they stand for. Asks no model.

Labels are typed in one line, `姓名，邮箱→email`: a field's name, with an arrow (also `->`) where the model is to be asked in other words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seqgpt_lab.errors import LabelError
from seqgpt_lab.extraction.drafts import Draft, drafts_of
from seqgpt_lab.extraction.labels import LabelSet

# More than anyone edits by hand; a page of thousands of tags does not answer.
MOST_LABELS = 200


@dataclass(frozen=True, slots=True)
class Design:
    """A text, the labels of set A and those of its rival B. Nothing about labels is checked until `label_set` is asked for."""

    text: str = ""
    labels: tuple[Draft, ...] = ()
    rival: tuple[Draft, ...] = ()
    name: str = ""

    def label_set(self, rival: bool = False) -> LabelSet:
        """The label set of A, or of B. Raises LabelError without labels and for labels that cannot be asked."""
        drafts = self.rival if rival else self.labels
        if not drafts:
            raise LabelError(f"label set {'B' if rival else 'A'} is empty; type labels such as 姓名，电话")
        return LabelSet.checked(drafts, self.name)

    def typed(self, rival: bool = False) -> str:
        """The labels of A, or of B, as `relabelled` reads them."""
        return "，".join(draft.written for draft in (self.rival if rival else self.labels))

    def relabelled(self, typed: str, rival: bool = False) -> Design:
        """The design with the labels that were typed, as `drafts_of` reads them.

        What typing does not show (synonyms, several values, personal) stays with its field. Raises LabelError for more than 200 labels.
        """
        before = {draft.field: draft for draft in (*self.rival, *self.labels)}
        drafts = tuple(_with_details_of(draft, before.get(draft.field)) for draft in drafts_of(typed))
        if len(drafts) > MOST_LABELS:
            raise LabelError(
                f"these are {len(drafts):,} labels, the designer takes at most {MOST_LABELS}; "
                "put them into a file and ask them with `seqgpt-lab extract --label-set FILE.yaml`"
            )
        return replace(self, rival=drafts) if rival else replace(self, labels=drafts)


def _with_details_of(draft: Draft, before: Draft | None) -> Draft:
    return draft if before is None else replace(before, phrase=draft.phrase)
