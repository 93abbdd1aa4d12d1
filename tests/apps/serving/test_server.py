"""The server gives what the library gives, in batches across requests, and refuses in time what it cannot do."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance

from seqgpt_lab import Engine, Extractor
from seqgpt_lab.apps.serving.guard import Guard, Limits, check_address
from seqgpt_lab.apps.serving.server import create_app
from seqgpt_lab.errors import CapacityError, OptionError, WorkerError
from tests.apps.serving.conftest import Served, free_port, gate, until
from tests.checkpoints import write_random_checkpoint

ASK = {"text": "张伟，35岁，现任上海云智科技有限公司工程师", "labels": "姓名,年龄"}
Serve = Callable[..., Served]
LOAD = Path(__file__).with_name("load_client.py")


def first_at_work(served: Served, pool: ThreadPoolExecutor) -> Future[httpx.Response]:
    """A request that is at work, so that whatever comes after it waits as long as the gate is shut."""
    first = pool.submit(served.http.post, "/extract", json=ASK)
    until(lambda: len(served.service.batcher._at_work) == 1)
    return first


def test_it_gives_what_the_library_gives(serve: Serve) -> None:
    served = serve()
    labels = ["姓名", {"field": "岁数", "phrase": "年龄"}]
    one = served.http.post("/extract", json={**ASK, "labels": labels, "id": "d1"}).json()
    assert one["values"] == {"姓名": "张伟", "岁数": "35"} and one["id"] == "d1"
    assert served.http.post("/extract", json=ASK).json() == served.service.extractor.extract(ASK["text"], ASK["labels"]).to_record()
    long = {"text": "今天天气很好。" * 60 + "张伟来了。", "labels": "姓名"}
    windows = served.http.post("/extract", json=long).json()
    assert windows == served.service.extractor.extract(long["text"], "姓名").to_record() and windows["problems"][0].startswith("windows:")
    chosen = served.http.post("/classify", json=ASK).json()
    assert chosen == served.service.extractor.classify(ASK["text"], ASK["labels"]).to_record() and chosen["labels"] == ["姓名", "年龄"]
    assert served.http.post("/extract", json={"text": "甲", "labels": "姓名"}).json()["values"] == {"姓名": None}
    assert served.http.post("/extract", json={"text": " ", "labels": "姓名"}).json()["problems"][0].startswith("empty:")


@pytest.mark.parametrize("labels", ["姓名,岁数->年龄", ["姓名", "岁数->年龄"], ["姓名", "岁数 → 年龄"]])
def test_a_label_is_read_as_the_library_reads_it_however_it_comes(serve: Serve, labels: str | list[str]) -> None:
    served = serve()
    record = served.http.post("/extract", json={**ASK, "labels": labels}).json()
    assert record["values"] == {"姓名": "张伟", "岁数": "35"}
    assert record == served.service.extractor.extract(ASK["text"], labels).to_record()
    literal = {**ASK, "labels": [{"field": "岁数->年龄", "phrase": "年龄"}]}
    assert served.http.post("/extract", json=literal).json()["values"] == {"岁数->年龄": "35"}, "what is named apart is taken as it is"


def test_a_batch_may_ask_each_text_for_other_labels(serve: Serve) -> None:
    served = serve()
    items = [ASK, {"text": "李娜", "labels": ["公司", "姓名"], "id": "two"}]
    results = served.http.post("/extract/batch", json={"items": items}).json()["results"]
    assert [one["values"] for one in results] == [{"姓名": "张伟", "年龄": "35"}, {"公司": None, "姓名": "李娜"}]


def test_requests_that_come_together_are_decoded_together_whatever_their_labels(serve: Serve) -> None:
    served = serve(batch_size=8)
    gate.clear()
    with ThreadPoolExecutor(9) as pool:
        first = first_at_work(served, pool)
        others = [pool.submit(served.http.post, "/extract", json={**ASK, "labels": label}) for label in ("姓名", "年龄", "公司") * 2]
        until(lambda: served.service.batcher.waiting == 6)
        gate.set()
        assert {one.result().status_code for one in (first, *others)} == {200}
    assert served.engine.batches == [1, 6]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ("not JSON", 422, "JSON"),
        ("[]", 422, "body"),
        ("{}", 422, "text: Field required"),
        ('{"text": 3, "labels": "a"}', 422, "text"),
        ('{"text": "a", "labels": "a,a"}', 422, "given twice"),
        ('{"text": "a", "labels": []}', 422, "no labels"),
        ('{"text": "a", "labels": "a", "labels": "b"}', 422, "occurs twice"),
        ('{"text": "a", "labels": "a", "temperature": 1}', 422, "temperature"),
        ('{"text": "\\ud800", "labels": "a"}', 422, "unicode"),
        (json.dumps({"text": "a", "labels": ",".join(map(str, range(10_000)))}), 422, "10,000 labels"),
        (json.dumps({"text": "a", "labels": "字" * 200}), 422, "no room for text"),
        ("[" * 100_000, 422, ""),
        (json.dumps({"text": "a" * 3_000_000, "labels": "a"}), 422, "text"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words_that_repeat_no_text(serve: Serve, body: str, status: int, words: str) -> None:
    reply = serve().http.post("/extract", content=body, headers={"content-type": "application/json"})
    assert reply.status_code in (status, 400 if body.startswith("[[") else status)
    assert words in reply.json()["detail"] and len(reply.content) < 1500


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", ""])
def test_json_that_is_not_sent_as_json_is_told_which_header_it_lacks(serve: Serve, kind: str) -> None:
    reply = serve().http.post("/extract", content=json.dumps(ASK), headers={"content-type": kind} if kind else {})
    assert reply.status_code == 422 and "content-type: application/json" in reply.json()["detail"]


def test_a_body_of_50_mb_is_refused_before_it_is_read(serve: Serve) -> None:
    served = serve()
    address = served.http.base_url
    with socket.create_connection((address.host, address.port), timeout=60) as connection:
        connection.sendall(b"POST /extract HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50000000\r\n\r\n{")
        assert b" 413 " in connection.recv(1000)
    chunked = httpx.post(f"{served.url}/extract", content=iter([b"x" * 2**20] * 50), timeout=180)
    assert chunked.status_code == 413


def test_a_body_that_does_not_arrive_is_not_waited_for_without_end(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seqgpt_lab.apps.serving.guard._SECONDS_TO_SEND", 0.2)
    address = serve().http.base_url
    with socket.create_connection((address.host, address.port), timeout=60) as connection:
        connection.sendall(b"POST /extract HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
        assert b" 408 " in connection.recv(1000)


def test_bodies_that_wait_for_their_answers_are_bounded_together(serve: Serve) -> None:
    """Each is kept in memory until it is answered, however many clients there are."""
    served = serve(batch_size=1, limits=Limits(held_bodies=3_000))
    gate.clear()
    long = {**ASK, "id": "x" * 1_500}
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.http.post, "/extract", json=long)
        until(lambda: bool(served.service.batcher._at_work))
        refused = served.http.post("/extract", json=long)
        assert refused.status_code == 429 and "try again" in refused.json()["detail"] and int(refused.headers["retry-after"]) >= 1
        assert served.http.get("/health").status_code == 200
        gate.set()
        assert first.result().status_code == 200
    assert served.http.post("/extract", json=long).status_code == 200, "what was answered, and what was refused, is held no longer"


def test_a_full_queue_is_told_with_when_to_come_back(serve: Serve) -> None:
    served = serve(capacity=3, batch_size=1)
    gate.clear()
    with ThreadPoolExecutor(4) as pool:
        first = first_at_work(served, pool)
        taken = [first, *(pool.submit(served.http.post, "/extract", json=ASK) for _ in range(3))]
        until(lambda: served.service.batcher.waiting == 3)
        refused = served.http.post("/extract", json=ASK)
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
        assert served.http.get("/health").json() == {"status": "ok", "waiting": 3}
        assert "seqgpt_waiting_prompts 3.0" in served.http.get("/metrics").text
        gate.set()
        assert [one.result().status_code for one in taken] == [200] * 4
    counted = served.http.get("/metrics").text
    assert "seqgpt_waiting_prompts 0.0" in counted and "seqgpt_prompt_seconds_count 4.0" in counted
    assert 'seqgpt_prompts_together_bucket{le="1.0"} 4.0' in counted and 'seqgpt_answers_total{path="/extract",status="429"} 1.0' in counted


def test_time_that_runs_out_and_clients_that_leave_free_their_place(serve: Serve) -> None:
    served = serve(batch_size=1)
    gate.clear()
    with ThreadPoolExecutor(1) as pool:
        first = first_at_work(served, pool)
        late = served.http.post("/extract", json={**ASK, "timeout_seconds": 0.1})
        assert late.status_code == 504
        until(lambda: served.service.batcher.waiting == 0)  # the place is given back just after the answer
        with served.client_that_leaves("/extract", ASK):
            until(lambda: served.service.batcher.waiting == 1)
        until(lambda: served.service.batcher.waiting == 0 and 'status="499"' in served.http.get("/metrics").text)
        gate.set()
        assert first.result().status_code == 200
    assert served.engine.batches == [1], "what nobody waited for was decoded"


def test_a_fault_of_the_engine_is_told_and_the_next_request_is_answered(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()
    answer = served.service.batcher.engine.generate

    def generate(requests: Any, progress: Any = None) -> Any:
        if any(len(request.prompt_ids) > 60 for request in requests):
            raise CapacityError("request 0 does not fit into memory")
        return answer(requests)

    monkeypatch.setattr(type(served.engine), "generate", lambda _self, requests, progress=None: generate(requests))
    with ThreadPoolExecutor(6) as pool:
        asks = [{**ASK, "text": "张伟" * (40 if number % 2 else 1)} for number in range(6)]
        replies = list(pool.map(lambda ask: served.http.post("/extract", json=ask), asks))
    assert [reply.status_code for reply in replies] == [200, 503] * 3
    assert "CapacityError" in replies[1].json()["detail"]


def test_nothing_of_a_text_is_logged_or_counted(serve: Serve, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    served = serve()

    def broken(*_: object, **_options: object) -> None:
        raise RuntimeError("张伟 is in this message")

    monkeypatch.setattr(served.service.extractor, "prepare", broken)
    reply = served.http.post("/extract", json=ASK)
    served.http.get("/extract/张伟?text=张伟")
    metrics, log = served.http.get("/metrics").text, capfd.readouterr().err
    assert reply.status_code == 500 and "its log says where" in reply.json()["detail"] and log.count("RuntimeError in ") == 1
    assert not [seen for seen in (reply.text, metrics, log) if "张伟" in seen or "%E5" in seen]
    assert re.search(r'seqgpt_answers_total\{path="/extract",status="500"\} 1.0', metrics) and 'path="other",status="404"' in metrics


def test_what_failed_in_the_engine_is_logged_without_its_words(
    serve: Serve, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()

    def fail(*_: object, **_options: object) -> None:
        raise WorkerError("its worker had 张伟 at work")

    monkeypatch.setattr(served.engine, "generate", fail)
    assert served.http.post("/extract", json=ASK).status_code == 503
    log = capfd.readouterr().err
    assert "WorkerError in " in log and "张伟" not in log


def test_a_token_is_needed_where_others_could_ask(serve: Serve) -> None:
    served = serve(limits=Limits(token="t" * 24))
    for headers in ({}, {"authorization": "Bearer x"}, {"authorization": f"Basic {'t' * 24}"}, {"authorization": "Bearer 令牌".encode()}):
        assert served.http.post("/extract", json=ASK, headers=headers).status_code == 401  # type: ignore[arg-type]
        assert served.http.get("/metrics", headers=headers).status_code == 401  # type: ignore[arg-type]
    assert served.http.post("/extract", json=ASK, headers={"authorization": f"Bearer {'t' * 24}"}).status_code == 200
    assert served.http.get("/health").status_code == 200
    check_address("127.0.0.1", "")
    check_address("0.0.0.0", "t" * 16)
    for host, token in (("0.0.0.0", ""), ("::", ""), ("example.org", ""), ("127.0.0.1", "short"), ("0.0.0.0", "with blanks in it, long")):
        with pytest.raises(OptionError):
            check_address(host, token)


def test_pages_elsewhere_cannot_ask_a_server_on_this_machine(serve: Serve) -> None:
    served = serve()
    assert served.http.get("/health", headers={"host": "evil.example"}).status_code == 400
    reply = served.http.post("/extract", content=json.dumps(ASK), headers={"content-type": "text/plain", "origin": "http://evil.example"})
    assert reply.status_code == 422 and "access-control-allow-origin" not in reply.headers
    assert "content-type: application/json" in reply.json()["detail"]


@pytest.mark.parametrize("examples", [pytest.param(8, id="sample"), pytest.param(300, id="whole", marks=pytest.mark.full)])
def test_nothing_that_its_own_description_allows_gives_a_500(serve: Serve, examples: int) -> None:
    served = serve(seconds=2.0)
    app = Guard(create_app(served.service, type(served.metrics)(())), Limits(names=()))
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    asked = set()
    for operation in schema.get_all_operations():

        @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.ok().as_strategy())
        def check(case: schemathesis.Case) -> None:
            reply = case.call()
            asked.add((case.path, reply.status_code))
            assert reply.status_code < 500 or reply.status_code == 504, (reply.status_code, reply.text)
            case.validate_response(reply, checks=[response_schema_conformance, status_code_conformance])

        check()
    assert {path for path, status in asked if status == 200} >= {"/extract", "/health", "/metrics"}


def test_load_from_another_process_loses_nothing(process: Callable[..., Any], random_model: Path, tmp_path: Path) -> None:
    texts = [f"{'张伟，' * (number % 7 + 1)}{number}岁" for number in range(20)]
    asks = [{"text": text, "labels": ["姓名", "年龄"][: number % 2 + 1]} for number, text in enumerate(texts)]
    (tmp_path / "asks.jsonl").write_text("\n".join(map(json.dumps, asks)), encoding="utf-8")
    _, url = process(free_port(), "--queue", "2", "--batch-size", "1")
    command = [sys.executable, str(LOAD), f"{url}/extract", str(tmp_path / "asks.jsonl"), "16", "40"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    with Engine.load(random_model, dtype="fp32") as engine:
        extractor = Extractor(engine, max_new_tokens=16)
        wanted = [extractor.extract(ask["text"], ask["labels"]).to_record() for ask in asks]
    for number, answer in enumerate(found["answers"]):
        assert answer["values"] == wanted[number % 20]["values"], number
    assert found["busy"] > 0, "a queue of 2 was never full with 16 clients"


def accepted(pool: ThreadPoolExecutor, url: str) -> list[Future[httpx.Response]]:
    """24 requests, all of which the server has accepted: one is at work, the others answered or waiting."""
    replies = [pool.submit(httpx.post, f"{url}/extract", json={**ASK, "text": "张伟，" * 60}, timeout=300) for _ in range(24)]
    with httpx.Client() as http:
        # Whatever is still on its way to the port would be cut off.
        until(lambda: sum(map(Future.done, replies)) + http.get(f"{url}/health").json()["waiting"] >= 23)
    return replies


def test_sigkill_leaves_the_port_free_and_sigterm_answers_what_was_accepted(process: Callable[..., Any]) -> None:
    port = free_port()
    killed, _ = process(port)
    killed.kill()
    killed.wait()
    server, url = process(port, "--batch-size", "1", "--max-new-tokens", "40", "--timeout", "600")
    with ThreadPoolExecutor(24) as pool:
        replies = accepted(pool, url)
        server.send_signal(signal.SIGTERM)
        assert [reply.result().status_code for reply in replies] == [200] * 24
    assert server.wait(60) == 0


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGHUP), ids=lambda number: number.name)
def test_a_signal_to_the_whole_service_leaves_the_workers_to_answer_what_was_accepted(
    process: Callable[..., Any], tmp_path: Path, number: signal.Signals
) -> None:
    """SIGTERM from whoever runs the service, SIGHUP where its terminal is closed."""
    model = write_random_checkpoint(tmp_path / "model", hidden=64, heads=2, layers=1)
    ranks = ("--model", str(model), "--tensor-parallel", "2")
    server, url = process(free_port(), *ranks, "--batch-size", "1", "--max-new-tokens", "40", "--timeout", "600")
    workers = psutil.Process(server.pid).children(recursive=True)
    with ThreadPoolExecutor(24) as pool:
        replies = accepted(pool, url)
        os.killpg(server.pid, number)
        assert [reply.result().status_code for reply in replies] == [200] * 24
    assert server.wait(60) == 0
    assert "started again" not in (tmp_path / "serve.log").read_text(encoding="utf-8")
    assert len(workers) >= 2 and psutil.wait_procs(workers, timeout=60)[1] == []
