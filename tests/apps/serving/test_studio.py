"""Whom the studio remembers, for how long, and what it tells a page; how that looks is tested in a browser."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqgpt_lab.apps.designer.samples import Collection
from seqgpt_lab.apps.serving.studio import Visitors, create_studio
from seqgpt_lab.documents.document import Document
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.labels import Label, LabelSet
from tests.apps.designer.conftest import KnownValues


class Clock:
    """Stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_visitor_who_was_away_for_an_hour_is_forgotten_and_one_who_was_not_is_known() -> None:
    clock = Clock()
    visitors = Visitors(KnownValues(), (), clock)
    for visitor in ("idle", "busy"):
        visitors.of(visitor).session.write(f"text of {visitor}")
    for _ in range(3):
        clock.now += 1790
        assert visitors.of("busy").session.design.text == "text of busy"
    assert list(visitors._known) == ["busy"]
    assert visitors.of("idle").session.design.text == ""


def test_of_more_than_200_visitors_the_one_who_was_away_longest_is_forgotten() -> None:
    visitors = Visitors(KnownValues(), (), Clock())
    for number in range(200):
        visitors.of(str(number)).session.write("text")
    visitors.of("0")
    visitors.of("new")
    assert visitors.of("0").session.design.text == "text" and visitors.of("1").session.design.text == ""


@pytest.fixture
def act() -> Callable[..., dict[str, Any]]:
    """Does something as a visitor of a studio that knows nobody yet; gives what the page is told."""
    client = TestClient(create_studio(KnownValues(), ()))

    def act(action: str, **typed: Any) -> dict[str, Any]:
        reply = client.post("/api/act", json={"action": action, **typed}, headers={"x-visitor": "0" * 32})
        found: dict[str, Any] = reply.json()
        return found

    return act


@pytest.mark.parametrize("action", ["look", "undo", "redo", "accept", "return"])
def test_a_page_that_is_older_than_its_session_keeps_what_it_shows(act: Callable[..., dict[str, Any]], action: str) -> None:
    """The server was started again, or has forgotten the visitor: what was typed is on the page alone."""
    told = act(action, text="张伟来了", labels="姓名，年龄", rival="名字")
    assert (told["text"], told["labels"], told["rival"]) == ("张伟来了", "姓名，年龄", "名字")
    assert told["can_undo"] is False


def test_a_trial_of_the_history_is_shown_with_what_it_found(act: Callable[..., dict[str, Any]]) -> None:
    first, second = {"text": "张伟来了", "labels": "姓名"}, {"text": "35岁", "labels": "年龄"}
    shown = act("run", **first)
    assert "张伟" in shown["marks"] and "35" in act("run", **second)["marks"]
    told = act("return", number=1, **second)
    assert told["text"] == "张伟来了" and {name: told[name] for name in ("marks", "values", "raw")} == {
        name: shown[name] for name in ("marks", "values", "raw")
    }
    assert act("write", **{**first, "text": "张伟走了"})["marks"] == ""


def test_a_label_set_can_be_taken_away_with_all_that_typing_does_not_show(tmp_path: Path) -> None:
    labels = LabelSet((Label("姓名", "名字", ("人名",), False, True), Label("年龄")), "people")
    client = TestClient(create_studio(KnownValues(), [Collection("people", (Document("d", "张伟"),), labels)]))

    def act(action: str, **typed: Any) -> str:
        return str(client.post("/api/act", json={"action": action, **typed}, headers={"x-visitor": "0" * 32}).json()["yaml"])

    (tmp_path / "taken.yaml").write_text(act("its-labels", collection="people"), encoding="utf-8")
    assert LabelSet.load(tmp_path / "taken.yaml") == labels
    assert act("write", labels="姓名，姓名") == "" and act("write", labels="") == ""


def test_labels_that_cannot_be_taken_do_not_begin_a_session(act: Callable[..., dict[str, Any]]) -> None:
    assert "201 labels" in act("look", text="张伟", labels="，".join(map(str, range(201))))["error"]
    assert act("undo", text="张伟", labels="姓名")["labels"] == "姓名"


def test_a_fault_is_told_as_one_and_not_as_a_server_that_is_gone() -> None:
    client = TestClient(create_studio(KnownValues(raises=ZeroDivisionError("张伟")), ()), raise_server_exceptions=False)
    typed = {"action": "run", "text": "张伟", "labels": "姓名"}
    reply = client.post("/api/act", json=typed, headers={"x-visitor": "0" * 32})
    assert reply.status_code == 500 and reply.json() == {"detail": "this is a fault of the server; its log says where"}


def test_the_page_is_given_while_many_visitors_wait_for_their_answers() -> None:
    """An answer may take minutes and holds a thread meanwhile, of which there are 40."""
    gate, waiting = threading.Event(), threading.Semaphore(0)

    class Held(KnownValues):
        def extract(self, *arguments: Any, **options: Any) -> list[Extraction]:
            waiting.release()
            gate.wait(60)
            return super().extract(*arguments, **options)

    body = {"action": "run", "text": "张伟", "labels": "姓名"}
    with TestClient(create_studio(Held(), ())) as client, ThreadPoolExecutor(32) as pool:

        def run(number: int) -> int:
            return client.post("/api/act", json=body, headers={"x-visitor": f"{number:032x}"}).status_code

        at_work = [pool.submit(run, number) for number in range(32)]
        try:
            assert all(waiting.acquire(timeout=60) for _ in at_work)
            refused = client.post("/api/act", json=body, headers={"x-visitor": "f" * 32})
            assert refused.status_code == 429 and "try again" in refused.json()["detail"] and "retry-after" in refused.headers
            assert client.get("/").status_code == 200
        finally:
            gate.set()
        assert [one.result(60) for one in at_work] == [200] * 32
        assert run(32) == 200
