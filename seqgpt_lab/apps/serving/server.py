"""The server's endpoints over one extractor and one batcher; knows no model arithmetic and starts no thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response

from seqgpt_lab.apps.console import json_line
from seqgpt_lab.apps.serving.batcher import Batcher, BusyError, ClosedError
from seqgpt_lab.apps.serving.metrics import CONTENT_TYPE, Metrics
from seqgpt_lab.apps.serving.schemas import (
    Ask,
    ClassificationOut,
    ExtractionOut,
    ExtractionsOut,
    HealthOut,
    Many,
    One,
    Problem,
)
from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import LabelError, OptionError, SeqGPTLabError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor, Prepared
from seqgpt_lab.extraction.reading import Classification

PATHS = ("/extract", "/extract/batch", "/classify", "/health", "/metrics", "/openapi.json")
CLIENT_LEFT = 499

_WHY = {
    400: "The host name or the body cannot be used.",
    401: "A token is needed.",
    413: "The body is too large.",
    422: "The request, its labels or its text cannot be used.",
    429: "The queue is full; Retry-After says when to try again.",
    503: "The server is shutting down.",
    504: "There was no answer in time.",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": Problem, "description": why} for status, why in _WHY.items()}


class Service:
    """Answers texts through a batcher. most_seconds: how long a request may wait and run."""

    def __init__(self, extractor: Extractor, batcher: Batcher, most_seconds: float) -> None:
        self.extractor, self.batcher, self.most_seconds = extractor, batcher, most_seconds

    async def answer(
        self, request: Request, prepare: Callable[[], Sequence[Prepared[Any]]], seconds: float | None
    ) -> list[Extraction | Classification]:
        """The results of what was prepared. Raises HTTPException for a client that left and for time that ran out, and as `prepare`."""
        prepared = await run_in_threadpool(prepare)
        future = asyncio.wrap_future(self.batcher.submit([asked for one in prepared for asked in one.requests]))
        left = asyncio.create_task(_client_left(request))
        try:
            waited_for: set[asyncio.Future[Any]] = {future, left}
            limit = min(seconds or self.most_seconds, self.most_seconds)
            await asyncio.wait(waited_for, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            left.cancel()
            if not future.done():
                future.cancel()
        if future.cancelled():
            if left.done() and not left.cancelled():
                raise HTTPException(CLIENT_LEFT, "the client left")
            raise HTTPException(504, "there was no answer in time; send shorter texts, fewer labels, or try again later")
        completions = iter(future.result())
        return await run_in_threadpool(lambda: [one.finish([next(completions) for _ in one.requests]) for one in prepared])


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def create_app(service: Service, metrics: Metrics) -> FastAPI:
    """The application, without its guard."""
    app = FastAPI(title="SeqGPT Lab", summary="Fields out of texts.", docs_url=None, redoc_url=None)
    app.add_exception_handler(RequestValidationError, _explain_invalid)
    app.add_exception_handler(HTTPException, _explain_http)
    app.add_exception_handler(SeqGPTLabError, _explain_error)
    metrics.watch_queue(lambda: service.batcher.waiting)

    def one(prepare: Callable[[Document, Any], Prepared[Any]], ask: Ask) -> Prepared[Any]:
        return prepare(Document(ask.id, ask.text), ask.label_set())

    @app.post("/extract", response_model=ExtractionOut, responses=_PROBLEMS)
    async def extract(request: Request, asked: One) -> Response:
        """Read the labelled fields out of one text."""
        prepare = partial(one, service.extractor.prepare, asked)
        return _json((await service.answer(request, lambda: [prepare()], asked.timeout_seconds))[0].to_record())

    @app.post("/extract/batch", response_model=ExtractionsOut, responses=_PROBLEMS)
    async def extract_batch(request: Request, asked: Many) -> Response:
        """Read fields out of several texts, each with labels of its own."""
        results = await service.answer(request, lambda: [one(service.extractor.prepare, ask) for ask in asked.items], asked.timeout_seconds)
        return _json({"results": [result.to_record() for result in results]})

    @app.post("/classify", response_model=ClassificationOut, responses=_PROBLEMS)
    async def classify(request: Request, asked: One) -> Response:
        """Which of the labels fit a text."""
        prepare = partial(one, service.extractor.prepare_classification, asked)
        return _json((await service.answer(request, lambda: [prepare()], asked.timeout_seconds))[0].to_record())

    @app.get("/health", response_model=HealthOut, responses={400: _PROBLEMS[400]})
    async def health() -> Response:
        """Whether the server answers; needs no token."""
        return _json({"status": "ok", "waiting": service.batcher.waiting})

    @app.get(
        "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **{at: _PROBLEMS[at] for at in (400, 401)}}
    )
    async def prometheus() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return app


def _json(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json_line(value), status, headers, "application/json")


async def _explain_invalid(_request: Request, error: Exception) -> Response:
    """What is wrong and where, without what was sent."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(map(str, one['loc'][1:4])) or 'body'}: {one['msg']}"[:200] for one in error.errors()[:5]]
    return _json({"detail": "; ".join(found)}, 422)


async def _explain_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _json({"detail": error.detail}, error.status_code, dict(error.headers or {}))


async def _explain_error(_request: Request, error: Exception) -> Response:
    """Errors of the library: those about labels and options are the client's, the rest are the server's state."""
    if isinstance(error, BusyError):
        return _json({"detail": str(error)}, 429, {"retry-after": str(error.retry_after)})
    if isinstance(error, (LabelError, OptionError)):
        return _json({"detail": str(error)[:500]}, 422)
    detail = str(error) if isinstance(error, ClosedError) else f"the engine failed ({type(error).__name__}); try again"
    return _json({"detail": detail}, 503)
