from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seqgpt_lab.documents import Document
from seqgpt_lab.errors import DocumentError, OptionError
from seqgpt_lab.evaluation.journal import JournaledExtractor
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.extraction.spans import Field, Span
from seqgpt_lab.progress import Progress
from tests.full_disk import room_for

LABELS = LabelSet.of("姓名")
DOCUMENTS = [Document(f"d{number}", f"张伟{number}\ud800") for number in range(10)]


class Counting:
    """Answers with each document's first two characters; keeps which documents were asked together; may die after so many calls."""

    def __init__(self, dies_in_call: int = 0) -> None:
        self.dies_in_call = dies_in_call
        self.calls: list[list[str]] = []

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        self.calls.append([document.id for document in documents])
        if len(self.calls) == self.dies_in_call:
            raise KeyboardInterrupt
        if progress:
            progress(len(documents), len(documents))
        return [Extraction(one.id, one.text, (Field("姓名", (Span(one.text[:2], 0, 2, 0.5),)),), one.text) for one in documents]


def extract(path: Path, extractor: Counting, documents: Sequence[Document] = DOCUMENTS, **made_with: object) -> list[Extraction]:
    return JournaledExtractor(extractor, path, made_with, batch=4).extract(documents, LABELS)


@given(dies_in_call=st.integers(1, 3), torn=st.integers(0, 200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
def test_an_interrupted_evaluation_goes_on_and_asks_as_an_uninterrupted_one(tmp_path: Path, dies_in_call: int, torn: int) -> None:
    path, whole = tmp_path / "journal.jsonl", Counting()
    path.unlink(missing_ok=True)
    wanted = JournaledExtractor(whole, tmp_path / "other.jsonl", {}, batch=4).extract(DOCUMENTS, LABELS)
    (tmp_path / "other.jsonl").unlink()
    first, second = Counting(dies_in_call), Counting()
    with pytest.raises(KeyboardInterrupt):
        extract(path, first)
    content = path.read_bytes()
    header = content.index(b"\n") + 1
    path.write_bytes(content[: max(header, len(content) - torn)])
    kept = path.read_bytes().count(b"\n") - 1
    assert extract(path, second) == wanted
    assert first.calls[: dies_in_call - 1] == whole.calls[: dies_in_call - 1]
    assert second.calls == whole.calls[kept // 4 :]  # whole batches are not asked for again, and borders are the same
    ids = [line[: line.index(b",")] for line in path.read_bytes().splitlines()[1:]]
    assert len(ids) == len(set(ids)) == len(DOCUMENTS)


def test_a_finished_journal_asks_nothing_and_tells_progress_in_documents(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    journaled = JournaledExtractor(Counting(), tmp_path / "j", {}, batch=4)
    wanted = journaled.extract(DOCUMENTS, LABELS, progress=lambda *step: told.append(step))
    assert told[-1] == (10, 10) and {total for _, total in told} == {10} and told == sorted(told)
    idle = Counting()
    assert extract(tmp_path / "j", idle) == wanted and idle.calls == []


def test_answers_of_a_text_that_changed_are_refused_and_kept(tmp_path: Path) -> None:
    path, idle = tmp_path / "j", Counting()
    extract(path, Counting())
    before = path.read_bytes()
    changed = [replace(one, text=f"姓名：李娜，{one.text}") if one.id == "d7" else one for one in DOCUMENTS]
    with pytest.raises(DocumentError, match=r"from another text of ⟪d7⟫ .*delete it to start anew, or name another file"):
        extract(path, idle, changed)
    assert idle.calls == [] and path.read_bytes() == before
    assert extract(path, idle)[7].text == DOCUMENTS[7].text and idle.calls == []


def test_a_journal_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    extract(path, Counting(), model="a")
    with pytest.raises(DocumentError, match="model was 'a' and is 'b'"):
        extract(path, Counting(), model="b")
    with pytest.raises(DocumentError, match="⟪d0⟫ in place of ⟪d9⟫"):
        extract(path, Counting(), DOCUMENTS[::-1], model="a")
    with pytest.raises(DocumentError, match="holds 10 documents, 3 were given"):
        extract(path, Counting(), DOCUMENTS[:3], model="a")
    with pytest.raises(OptionError, match="batch is 0"):
        JournaledExtractor(Counting(), path, {}, batch=0)


class Disturbed(Counting):
    """While it works, another evaluation begins with the same journal."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path, self.other = path, Counting()

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        before = self.path.read_bytes()
        with pytest.raises(DocumentError, match=r"another evaluation is writing .*j just now; wait for it, or name another file"):
            extract(self.path, self.other)
        assert self.path.read_bytes() == before
        return super().extract(documents, labels, progress=progress)


def test_two_evaluations_do_not_write_one_journal(tmp_path: Path) -> None:
    path, idle = tmp_path / "j", Counting()
    disturbed = Disturbed(path)
    wanted = extract(path, disturbed)
    assert disturbed.other.calls == [] and len(disturbed.calls) == 3
    assert extract(path, idle) == wanted and idle.calls == []


NO_JOURNALS = ["no journal\n", "notes without an end", '{"format": 1}', '{"text": "张伟"}\n', "[]\n"]


@pytest.mark.parametrize("content", [*NO_JOURNALS, pytest.param("[" * 200_000 + "\n", id="deep")])
def test_a_file_that_is_no_journal_is_kept_and_nobody_is_told_to_delete_it(tmp_path: Path, content: str) -> None:
    path = tmp_path / "notes.txt"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DocumentError, match=r"is no journal .*; name another file") as raised:
        extract(path, Counting())
    assert "delete" not in str(raised.value) and path.read_text(encoding="utf-8") == content


def test_a_header_that_was_torn_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "j"
    wanted = extract(path, Counting())
    header = path.read_bytes().splitlines(keepends=True)[0]
    for torn in (0, 1, len(header) - 1):
        path.write_bytes(header[:torn])
        assert extract(path, Counting()) == wanted


@pytest.mark.parametrize("room", (10, 500))  # not for the header, and for that alone
def test_a_disk_without_room_is_named_and_the_evaluation_goes_on_with_room(tmp_path: Path, room: int) -> None:
    path = tmp_path / "journal.jsonl"
    with room_for(room), pytest.raises(OSError, match="File too large") as raised:
        extract(path, Counting())
    assert raised.value.filename == str(path)
    assert extract(path, Counting()) == extract(tmp_path / "other.jsonl", Counting())
