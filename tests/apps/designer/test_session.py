"""A session of label design, without any page: what can be done, undone, compared and refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seqgpt_lab.apps.designer.session import Session, Stopped
from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import DocumentError, LabelError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import Label, LabelSet
from seqgpt_lab.progress import Progress
from tests.apps.designer.conftest import TEXT, KnownValues


def quiet(_task: str, _done: int, _total: int) -> None:
    pass


def test_a_run_asks_the_text_for_the_labels_and_joins_the_history(session: Session) -> None:
    trial = session.run(quiet)
    assert trial.extractions[0].to_dict() == {"姓名": "张伟", "年龄": "35岁"}
    session.relabel("公司")
    assert session.run(quiet).extractions[0].to_dict() == {"公司": "云智科技"}
    assert [len(one.design.labels) for one in session.trials] == [1, 2]
    assert "公司" in session.trials[0].title and TEXT[:10] in session.trials[0].title
    session.return_to(trial)
    assert session.design.typed() == "姓名，年龄"
    session.undo()
    assert session.design.typed() == "公司"


def test_labels_are_read_as_typed_and_keep_what_typing_does_not_show(session: Session) -> None:
    session.use(LabelSet((Label("邮箱", "", ("email",), multiple=True), Label("姓名")), "简历"))
    session.relabel("姓名、邮箱 -> 电子邮件\n年龄")
    labels = session.design.label_set()
    assert labels.phrases == ("姓名", "电子邮件", "年龄") and labels.name == "简历"
    assert labels.labels[1].synonyms == ("email",) and labels.labels[1].multiple
    assert session.design.typed() == "姓名，邮箱→电子邮件，年龄"


def test_letters_of_one_label_are_undone_together_and_labels_one_by_one(session: Session) -> None:
    for typed in ("姓名，年龄，", "姓名，年龄，公", "姓名，年龄，公司", "姓名，年龄，公司，手", "姓名，年龄，公司，手机"):
        session.relabel(typed)
    session.undo()
    assert session.design.typed() == "姓名，年龄，公司"
    session.undo()
    assert session.design.typed() == "姓名，年龄" and not session.can_undo
    session.redo()
    session.redo()
    assert session.design.typed() == "姓名，年龄，公司，手机" and not session.can_redo
    session.undo()
    session.write("另一份文本")
    assert not session.can_redo


def test_of_many_changes_the_last_fifty_are_undone_and_the_rest_is_let_go(session: Session) -> None:
    for number in range(300):
        session.write(f"文本{number}")
    assert session.design.text == "文本299"
    for _ in range(50):
        session.undo()
    assert session.design.text == "文本249" and not session.can_undo
    for _ in range(50):
        session.redo()
    assert session.design.text == "文本299" and not session.can_redo
    session.undo()
    assert session.design.text == "文本298"


@given(st.lists(st.sampled_from(["text", "labels", "rival", "copy", "sample", "undo", "redo"]), max_size=25))
def test_undo_leads_back_to_the_beginning_and_redo_to_the_end(actions: list[str]) -> None:
    session = Session(KnownValues())
    first = session.design
    for number, action in enumerate(actions):
        if action == "text":
            session.write(f"文本{number}")
        elif action in ("labels", "rival"):
            session.relabel("，".join(f"标签{place}" for place in range(number)), rival=action == "rival")
        elif action == "copy":
            session.copy_to_rival()
        elif action in ("undo", "redo"):
            getattr(session, action)()
    while session.can_redo:
        session.redo()
    last, steps = session.design, 0
    while session.can_undo:
        session.undo()
        steps += 1
    assert session.design == first
    for _ in range(steps):
        session.redo()
    assert session.design == last


def test_a_fix_is_applied_once_and_a_stale_one_is_refused(session: Session) -> None:
    session.relabel("姓名，关键信息，公司")
    (finding,) = session.findings()
    session.accept(finding)
    assert session.design.typed() == "姓名，公司"
    with pytest.raises(LabelError, match="look at them again"):
        session.accept(finding)


def test_samples_come_in_turn_with_their_labels_and_their_gold(session: Session) -> None:
    assert [session.next_document("resume").id for _ in range(21)][-2:] == ["s19", "s0"]
    assert session.design.typed() == "姓名，年龄"
    assert session.document_of(session.design).gold
    session.write("改过的文本")
    assert session.document_of(session.design) == Document("text", "改过的文本")
    session.relabel("")
    session.next_document("resume")
    assert session.design.typed() == "姓名，年龄，公司"


@pytest.mark.parametrize("name", ["empty", "no such", ""])
def test_a_collection_without_documents_is_named_with_those_there_are(session: Session, name: str) -> None:
    with pytest.raises(DocumentError, match="there are resume"):
        session.next_document(name)


def test_what_cannot_be_run_says_what_to_do(session: Session, extractor: KnownValues) -> None:
    session.relabel("姓名，姓名")
    with pytest.raises(LabelError, match="twice"):
        session.run(quiet)
    session.relabel("")
    with pytest.raises(LabelError, match="A is empty"):
        session.run(quiet)
    session.relabel("姓名")
    with pytest.raises(LabelError, match="B is empty"):
        session.run(quiet, with_rival=True)
    session.write(" \n")
    with pytest.raises(DocumentError, match="text is empty"):
        session.run(quiet)
    assert not session.trials and not extractor.asked


def test_ten_thousand_labels_are_refused_and_the_old_ones_stay(session: Session) -> None:
    with pytest.raises(LabelError, match=r"10,000 labels.*at most 200"):
        session.relabel(",".join(f"标签{number}" for number in range(10_000)))
    assert session.design.typed() == "姓名，年龄"


def test_two_label_sets_on_documents_are_judged_on_the_fields_they_share(session: Session, extractor: KnownValues) -> None:
    session.relabel("姓名→什么，年龄，电话")
    session.relabel("姓名，年龄，电话", rival=True)
    told: list[tuple[str, int, int]] = []
    contest = session.compare("resume", 12, lambda *progress: told.append(progress))
    assert contest.fields == (("姓名", 0.0, 1.0, 12), ("年龄", 1.0, 1.0, 12))
    assert contest.verdict.better == "B" and contest.verdict.documents == 12
    assert contest.left_out == (
        "电话: asked for, but marked in none of the documents",
        "公司: marked in the documents, but asked for by neither",
    )
    assert told[0] == ("label set A", 0, 12) and told[-1] == ("label set B", 12, 12)
    assert extractor.asked == [8, 4, 8, 4]


def test_identical_label_sets_do_not_differ(session: Session) -> None:
    session.copy_to_rival()
    contest = session.compare("resume", 0, quiet)
    assert "no real difference" in contest.verdict.sentence() and contest.verdict.documents == 20


def test_label_sets_without_a_common_field_say_how_to_write_them(session: Session) -> None:
    session.relabel("供应商", rival=True)
    with pytest.raises(LabelError, match=r"A asks for 姓名、年龄, B for 供应商.*姓名→email"):
        session.compare("resume", 0, quiet)


def test_a_stop_ends_the_work_and_changes_nothing(session: Session, extractor: KnownValues) -> None:
    session.copy_to_rival()

    def stop(_task: str, done: int, _total: int) -> None:
        if done:
            raise Stopped

    with pytest.raises(Stopped):
        session.compare("resume", 0, stop)
    assert extractor.asked == [8]
    with pytest.raises(Stopped):
        session.run(stop, with_rival=True)
    assert not session.trials


class PromptByPrompt(KnownValues):
    """A text comes to four prompts."""

    done = 0

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        total = 4 * len(documents)
        for self.done in range(1, total + 1):
            if progress:
                progress(self.done, total)
        return super().extract(documents, labels)


@pytest.mark.parametrize("documents", [False, True])
def test_a_stop_is_heard_between_the_prompts_of_one_text(session: Session, documents: bool) -> None:
    session.copy_to_rival()
    session.extractor = extractor = PromptByPrompt()

    def stop(_task: str, _done: int, _total: int) -> None:
        if extractor.done == 2:
            raise Stopped

    with pytest.raises(Stopped):
        if documents:
            session.compare("resume", 2, stop)
        else:
            session.run(stop)
    assert extractor.done == 2 and not session.trials


def test_a_label_set_file_is_taken_whole_or_refused(session: Session, tmp_path: Path) -> None:
    LabelSet((Label("邮箱", "email", ("mail",)),), "名片").save(tmp_path / "a.yaml")
    session.load(tmp_path / "a.yaml")
    assert session.design.typed() == "邮箱→email" and session.design.name == "名片"
    (tmp_path / "b.yaml").write_text("fields: [{feild: 姓名}]", encoding="utf-8")
    with pytest.raises(LabelError):
        session.load(tmp_path / "b.yaml")
    assert session.design.name == "名片"
