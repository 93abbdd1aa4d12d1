"""A request's limits hold from its first step: time, the queue's size and a client that leaves end its preparation too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.testclient import TestClient

from seqgpt_lab.apps.serving.limit import GivenUpError, TimeUpError
from seqgpt_lab.apps.serving.studio import SharedExtractor, create_studio
from seqgpt_lab.extraction.extractor import Prepared
from tests.apps.serving.conftest import Served, gate

ASK = {"text": "张伟，35岁，现任上海云智科技有限公司工程师", "labels": "姓名,年龄"}
MANY = ",".join(f"标签{number}" for number in range(60))
LONG = "今天天气很好。" * 700
Serve = Callable[..., Served]


@dataclass
class Held:
    """A preparation that stands still within its encoding until it is let go on; what it came to, in the end."""

    began: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    ended: threading.Event = field(default_factory=threading.Event)
    outcome: Exception | Prepared[Any] | None = None
    encoded: int = 0  # texts since it was let go on


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Served], Held]]:
    """Makes a server's next preparation stand still."""
    held = Held()

    def hold(served: Served) -> Held:
        extractor = served.service.extractor
        encode, prepare = extractor.tokenizer.encode, extractor.prepare

        def encode_held(text: str) -> Any:
            held.began.set()
            assert held.go_on.wait(120)
            held.encoded += 1
            return encode(text)

        def prepare_told(*arguments: Any, **options: Any) -> Any:
            try:
                held.outcome = prepare(*arguments, **options)
                return held.outcome
            except Exception as error:
                held.outcome = error
                raise
            finally:
                held.ended.set()

        monkeypatch.setattr(extractor.tokenizer, "encode", encode_held)
        monkeypatch.setattr(extractor, "prepare", prepare_told)
        return held

    yield hold
    held.go_on.set()


@pytest.mark.parametrize("path", ["/extract", "/extract/batch"])
def test_time_that_runs_out_while_a_text_is_prepared_ends_its_preparation(serve: Serve, hold: Callable[[Served], Held], path: str) -> None:
    served = serve(capacity=10_000)
    held = hold(served)
    ask = {"text": LONG, "labels": MANY}
    body = ask if path == "/extract" else {"items": [ask] * 3}
    late = served.http.post(path, json={**body, "timeout_seconds": 3})
    assert late.status_code == 504 and "no answer in 3 s" in late.json()["detail"]
    assert held.began.is_set() and not held.ended.is_set(), "the answer waited for the preparation"
    held.go_on.set()
    assert held.ended.wait(60) and isinstance(held.outcome, (TimeUpError, GivenUpError))
    assert held.encoded < 20 and served.engine.batches == []
    assert served.http.post("/extract", json=ASK).status_code == 200


def test_a_client_that_leaves_while_its_text_is_prepared_ends_the_preparation(serve: Serve, hold: Callable[[Served], Held]) -> None:
    served = serve(capacity=10_000)
    held = hold(served)
    left = threading.Event()
    answered = served.metrics.answered

    def note(path: str, status: int, seconds: float) -> None:
        answered(path, status, seconds)
        left.set()

    served.guard._seen = note
    with served.client_that_leaves("/extract", {"text": LONG, "labels": MANY}):
        assert held.began.wait(60)
    assert left.wait(60) and 'status="499"' in served.metrics.text().decode()
    held.go_on.set()
    assert held.ended.wait(60) and isinstance(held.outcome, GivenUpError)
    assert served.engine.batches == []


def test_more_prompts_than_the_queue_takes_are_refused_before_the_texts_are_prepared(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve(capacity=20)
    encode, characters = served.service.extractor.tokenizer.encode, 0

    def encode_counted(text: str) -> Any:
        nonlocal characters
        characters += len(text)
        return encode(text)

    monkeypatch.setattr(served.service.extractor.tokenizer, "encode", encode_counted)
    refused = served.http.post("/extract", json={"text": "今天天气很好。" * 200_000, "labels": MANY})
    assert refused.status_code == 413
    assert refused.json()["detail"].startswith("this comes to 30 prompts or more") and "the queue takes 20; send shorter" in refused.text
    assert characters < 20_000, "of a text of 1,400,000 characters"
    whole = served.http.post("/extract", json={"text": "今天天气很好。", "labels": MANY})
    assert whole.status_code == 200 and sum(served.engine.batches) == 10
    together = served.http.post("/extract/batch", json={"items": [{"text": "今天天气很好。", "labels": MANY}] * 3})
    assert together.status_code == 413 and "30 prompts" in together.json()["detail"]
    assert sum(served.engine.batches) == 10 and served.http.get("/health").json()["waiting"] == 0


def test_labels_without_end_are_refused_before_they_are_read(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    monkeypatch.setattr(served.service.extractor, "prepare", lambda *_arguments, **_options: pytest.fail("it was prepared"))
    for labels in (["标签"] * 257, "标签," * 30_000, ["字" * 1_001], [{"field": "名", "phrase": "字" * 1_001}]):
        reply = served.http.post("/extract", json={"text": "张伟", "labels": labels})
        assert reply.status_code == 422 and reply.json()["detail"].startswith("labels"), labels[:2]


def act(served: Served, text: str, labels: str, seconds: float) -> dict[str, Any]:
    """The studio's answer to a visitor who runs a text."""
    extractor = SharedExtractor(served.service.extractor, served.service.batcher, seconds)
    with TestClient(create_studio(extractor, [])) as http:
        body = {"action": "run", "text": text, "labels": labels}
        reply = http.post("/api/act", json=body, headers={"x-visitor": "0" * 32})
        assert reply.status_code == 200
        found: dict[str, Any] = reply.json()
        return found


def test_the_studio_has_the_same_limits(serve: Serve) -> None:
    served = serve(capacity=20)
    assert "张伟" in act(served, ASK["text"], "姓名", 30.0)["values"]
    assert "the queue takes 20" in act(served, LONG, MANY, 30.0)["error"]
    gate.clear()
    assert "no answer in 0.2 s" in act(served, ASK["text"], "姓名", 0.2)["error"]
    gate.set()
    assert served.http.post("/extract", json=ASK).status_code == 200
    assert served.service.batcher.waiting == 0
