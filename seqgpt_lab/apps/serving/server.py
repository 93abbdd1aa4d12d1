"""The server's endpoints over one extractor and one batcher; knows no model arithmetic. Texts are prepared and read in a few threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fastapi import FastAPI, Request
from fastapi import HTTPException as FastAPIHTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from seqgpt_lab.apps.serving.batcher import Batcher, BusyError, ClosedError, TooLargeError
from seqgpt_lab.apps.serving.guard import NO_TELEMETRY, explain_fault, json_answer, log_fault
from seqgpt_lab.apps.serving.limit import Limit, Prepare, TimeUpError
from seqgpt_lab.apps.serving.metrics import CLIENT_LEFT, CONTENT_TYPE, Metrics
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
from seqgpt_lab.documents.records import RepeatedKeyError, json_value
from seqgpt_lab.errors import LabelError, OptionError, SeqGPTLabError
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor, Prepared
from seqgpt_lab.extraction.reading import Classification
from seqgpt_lab.progress import Progress

PATHS = ("/extract", "/extract/batch", "/classify", "/health", "/metrics", "/openapi.json")
_THREADS = 4  # that prepare and read: more would take turns with these and with the engine, for Python runs one at a time

_WHY = {
    400: "The host name or the body cannot be used.",
    401: "A token is needed.",
    413: "The body is too large, or comes to more prompts than the queue takes.",
    422: "The request, its labels or its text cannot be used.",
    429: "The queue is full; Retry-After says when to try again.",
    503: "The server is shutting down.",
    504: "There was no answer in time.",
}
_STATUS: dict[type[SeqGPTLabError], int] = {TooLargeError: 413, LabelError: 422, OptionError: 422, ClosedError: 503, TimeUpError: 504}
_PROBLEMS: dict[int | str, dict[str, Any]] = {status: {"model": Problem, "description": why} for status, why in _WHY.items()}

Done = TypeVar("Done")


class Service:
    """Answers texts through a batcher. most_seconds: how long a request may take, from its preparation to its answer."""

    def __init__(self, extractor: Extractor, batcher: Batcher, most_seconds: float) -> None:
        self.extractor, self.batcher, self.most_seconds = extractor, batcher, most_seconds
        self._threads = ThreadPoolExecutor(_THREADS, "texts")

    async def answer(self, request: Request, texts: Sequence[Prepare], seconds: float | None) -> list[Extraction | Classification]:
        """The results of texts, each given by what prepares it. Raises as `Limit` does, and HTTPException for a client that left."""
        limit = Limit(self.batcher, min(seconds or self.most_seconds, self.most_seconds))
        left = asyncio.create_task(_client_left(request))
        try:
            lot = await _while_wanted(asyncio.wrap_future(self._threads.submit(limit.prepare, texts)), limit, left)
            completions = await _while_wanted(asyncio.wrap_future(self.batcher.submit(lot.requests)), limit, left)
            return await _while_wanted(asyncio.wrap_future(self._threads.submit(limit.finish, lot, completions)), limit, left)
        finally:
            limit.give_up()
            left.cancel()


async def _while_wanted(work: asyncio.Future[Done], limit: Limit, left: asyncio.Task[None]) -> Done:
    """What work gives; it is cancelled where time runs out or the client leaves before, and where this is."""
    try:
        waited_for: set[asyncio.Future[Any]] = {work, left}
        await asyncio.wait(waited_for, timeout=limit.left, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        if left.done():
            raise HTTPException(CLIENT_LEFT, "the client left")
        raise TimeUpError(limit.seconds)
    finally:
        work.cancel()


async def _client_left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _OneMeaning(Request):
    """A request whose JSON says nothing twice: json takes the last of two values in silence."""

    async def json(self) -> Any:
        """The body's value. Raises ValueError as `json` does, HTTPException for an object that has a key twice."""
        try:
            return json_value(await self.body())
        except RepeatedKeyError as error:
            # FastAPI would call any other but its own an error of parsing.
            raise FastAPIHTTPException(422, f"body: {error}"[:500]) from error


class _OneMeaningRoute(APIRoute):
    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_OneMeaning(request.scope, request.receive))

        return strictly


def create_app(service: Service, metrics: Metrics) -> FastAPI:
    """The application, without its guard."""
    app = FastAPI(title="SeqGPT Lab", summary="Fields out of texts.", docs_url=None, redoc_url=None, telemetry=NO_TELEMETRY)
    app.router.route_class = _OneMeaningRoute
    app.add_exception_handler(RequestValidationError, _explain_invalid)
    app.add_exception_handler(HTTPException, _explain_http)
    app.add_exception_handler(SeqGPTLabError, _explain_error)
    app.add_exception_handler(Exception, explain_fault)
    metrics.watch_queue(lambda: service.batcher.waiting)

    def fields(ask: Ask) -> Prepare:
        return lambda progress: service.extractor.prepare(Document(ask.id, ask.text), ask.label_set(), progress=progress)

    @app.post("/extract", response_model=ExtractionOut, responses=_PROBLEMS)
    async def extract(request: Request, asked: One) -> Response:
        """Read the labelled fields out of one text."""
        return json_answer((await service.answer(request, [fields(asked)], asked.timeout_seconds))[0].to_record())

    @app.post("/extract/batch", response_model=ExtractionsOut, responses=_PROBLEMS)
    async def extract_batch(request: Request, asked: Many) -> Response:
        """Read fields out of several texts, each with labels of its own."""
        results = await service.answer(request, list(map(fields, asked.items)), asked.timeout_seconds)
        return json_answer({"results": [result.to_record() for result in results]})

    @app.post("/classify", response_model=ClassificationOut, responses=_PROBLEMS)
    async def classify(request: Request, asked: One) -> Response:
        """Which of the labels fit a text."""

        def choice(progress: Progress) -> Prepared[Classification]:
            return service.extractor.prepare_classification(Document(asked.id, asked.text), asked.label_set(), progress=progress)

        return json_answer((await service.answer(request, [choice], asked.timeout_seconds))[0].to_record())

    @app.get("/health", response_model=HealthOut, responses={400: _PROBLEMS[400]})
    async def health() -> Response:
        """Whether the server answers; needs no token."""
        return json_answer({"status": "ok", "waiting": service.batcher.waiting})

    @app.get(
        "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}, **{at: _PROBLEMS[at] for at in (400, 401)}}
    )
    async def prometheus() -> Response:
        """Counts and times in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return app


async def _explain_invalid(request: Request, error: Exception) -> Response:
    """What is wrong and where, without what was sent."""
    assert isinstance(error, RequestValidationError)
    as_json = "json" in request.headers.get("content-type", "").lower()
    if not as_json and any(one["loc"] == ("body",) for one in error.errors()):
        # FastAPI takes such a body for a string, and would blame its JSON however good that is.
        return json_answer({"detail": "body: it is read as JSON only with the header content-type: application/json; send that"}, 422)
    found = [f"{'.'.join(map(str, one['loc'][1:4])) or 'body'}: {one['msg']}"[:200] for one in error.errors()[:5]]
    return json_answer({"detail": "; ".join(found)}, 422)


async def _explain_http(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return json_answer({"detail": error.detail}, error.status_code, dict(error.headers or {}))


async def _explain_error(request: Request, error: Exception) -> Response:
    """Errors of the library: those about labels and options are the client's, the rest are the server's state."""
    if isinstance(error, BusyError):
        return json_answer({"detail": str(error)}, 429, {"retry-after": str(error.retry_after)})
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), None)
    if status is None:
        log_fault(error, request.url.path)
        return json_answer({"detail": f"the engine failed ({type(error).__name__}); try again"}, 503)
    return json_answer({"detail": str(error)[:500]}, status)
