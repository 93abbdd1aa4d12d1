"""The label designer as a page: a session a visitor, one engine for all. Knows no HTML but the page's two files."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import FileResponse, Response

from seqgpt_lab.apps.designer import fragments
from seqgpt_lab.apps.designer.design import Design
from seqgpt_lab.apps.designer.samples import Collection
from seqgpt_lab.apps.designer.session import Session
from seqgpt_lab.apps.serving.batcher import Batcher
from seqgpt_lab.apps.serving.guard import NO_TELEMETRY, explain_fault, json_answer
from seqgpt_lab.apps.serving.limit import Limit, TimeUpError
from seqgpt_lab.documents.document import Document
from seqgpt_lab.errors import LabelError, SeqGPTLabError
from seqgpt_lab.evaluation.evaluate import Extracts
from seqgpt_lab.extraction.extraction import Extraction
from seqgpt_lab.extraction.extractor import Extractor, Prepared
from seqgpt_lab.extraction.labels import LabelSet
from seqgpt_lab.progress import Progress

OPEN_PATHS = ("/", "/studio.js", "/health")
"""They hold nothing of a visitor: the page itself asks for the token."""

_HERE = Path(__file__).parent
_MOST_VISITORS = 200
_IDLE_SECONDS = 3600.0
_MOST_AT_WORK = 32  # of the 40 threads that there are, for whoever comes needs some to be given the page


class SharedExtractor:
    """An extractor for sessions whose prompts a batcher mixes with those of others. most_seconds: how long an extraction may take."""

    def __init__(self, extractor: Extractor, batcher: Batcher, most_seconds: float) -> None:
        self._extractor, self._batcher, self._most_seconds = extractor, batcher, most_seconds

    def extract(self, documents: Sequence[Document], labels: LabelSet, /, *, progress: Progress | None = None) -> list[Extraction]:
        """As Extractor.extract; raises as `Limit` does too. progress: called when all is done."""
        limit = Limit(self._batcher, self._most_seconds)
        lot = limit.prepare([partial(_prepare, self._extractor, document, labels) for document in documents])
        future = self._batcher.submit(lot.requests)
        try:
            completions = future.result(limit.left)
        except TimeoutError:
            raise TimeUpError(limit.seconds) from None
        finally:
            future.cancel()
        if progress:
            progress(len(completions), len(completions))
        return limit.finish(lot, completions)


def _prepare(extractor: Extractor, document: Document, labels: LabelSet, progress: Progress) -> Prepared[Extraction]:
    return extractor.prepare(document, labels, progress=progress)


class Act(BaseModel):
    """What a visitor did, and what stood in the page's fields then. number: which finding or trial; collection: which samples."""

    model_config = ConfigDict(extra="forbid")
    action: Literal["look", "write", "run", "both", "undo", "redo", "sample", "its-labels", "accept", "return"]
    text: str = ""
    labels: str = ""
    rival: str = ""
    number: Annotated[int, Field(ge=0)] = 0
    collection: str = ""

    def design(self) -> Design:
        """What stood in the fields. Raises LabelError as Design.relabelled does."""
        return Design(self.text).relabelled(self.labels).relabelled(self.rival, rival=True)


@dataclass(slots=True)
class Visit:
    """A visitor's session, the lock that it is used under, and when it was asked for last. begun: whether it knows what the page shows."""

    session: Session
    lock: threading.Lock = field(default_factory=threading.Lock)
    seen: float = 0.0
    begun: bool = False


class Visitors:
    """A session for each visitor. clock: seconds.

    Whoever was away for an hour is forgotten when the next one acts, and of more than 200 the one who was away longest.
    """

    def __init__(
        self, extractor: Extracts[LabelSet], collections: Sequence[Collection], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._extractor, self._collections, self._clock = extractor, collections, clock
        self._known: OrderedDict[str, Visit] = OrderedDict()  # who was away longest comes first
        self._lock = threading.Lock()

    def of(self, visitor: str) -> Visit:
        """A visitor's session, a new one for whoever is not known."""
        with self._lock:
            now = self._clock()
            self._forget(now)
            found = self._known.pop(visitor, None) or Visit(Session(self._extractor, self._collections))
            found.seen = now
            self._known[visitor] = found
            if len(self._known) > _MOST_VISITORS:
                self._known.popitem(last=False)
            return found

    def _forget(self, now: float) -> None:
        while self._known and now - next(iter(self._known.values())).seen > _IDLE_SECONDS:
            self._known.popitem(last=False)


def create_studio(extractor: Extracts[LabelSet], collections: Sequence[Collection]) -> FastAPI:
    """The page's application, without its guard. extractor: shared by all visitors, so it must bear several threads."""
    app = FastAPI(openapi_url=None, telemetry=NO_TELEMETRY)
    app.add_exception_handler(Exception, explain_fault)
    visitors = Visitors(extractor, collections)

    @app.get("/")
    async def page() -> Response:
        return FileResponse(_HERE / "studio.html", media_type="text/html; charset=utf-8")

    @app.get("/studio.js")
    async def script() -> Response:
        return FileResponse(_HERE / "studio.js", media_type="text/javascript; charset=utf-8")

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    at_work = 0

    @app.post("/api/act")
    async def act(done: Act, x_visitor: Annotated[str, Header(pattern="^[0-9a-f]{32}$")]) -> Response:
        nonlocal at_work
        if at_work >= _MOST_AT_WORK:
            words = f"{at_work} others are being answered, which is the most; try again in a moment"
            return json_answer({"detail": words}, 429, {"retry-after": "5"})
        at_work += 1
        try:
            return await run_in_threadpool(_answer, visitors, x_visitor, done)
        finally:
            at_work -= 1

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Any, _error: Exception) -> Response:
        return json_answer({"detail": "this cannot be read; load the page again"}, 422)

    return app


def _answer(visitors: Visitors, visitor: str, done: Act) -> Response:
    visit = visitors.of(visitor)
    with visit.lock:
        error = ""
        try:
            _begin(visit, done)
            _do(visit.session, done)
        except SeqGPTLabError as problem:
            error = fragments.failure(problem)
        return json_answer({**_state(visit.session), "error": error})


def _begin(visit: Visit, done: Act) -> None:
    """Let a new session begin with what the page shows. The page may be older: its session was forgotten, or the server started again,
    and an Undo must not lead to an empty page then."""
    if not visit.begun:
        visit.session.design = done.design()
        visit.begun = True


def _do(session: Session, done: Act) -> None:
    """What the page's button means. Raises SeqGPTLabError as the session does."""
    if done.action in ("write", "run", "both"):
        session.write(done.text)
        session.relabel(done.labels)
        session.relabel(done.rival, rival=True)
    if done.action in ("run", "both"):
        session.run(lambda task, at, total: None, with_rival=done.action == "both")
    elif done.action == "undo":
        session.undo()
    elif done.action == "redo":
        session.redo()
    elif done.action == "sample":
        session.next_document(done.collection)
    elif done.action == "its-labels":
        session.use_labels_of(done.collection)
    elif done.action == "accept":
        session.accept(_at(session.findings(), done.number))
    elif done.action == "return":
        session.return_to(_at(session.trials, done.number))


def _at(things: Sequence[Any], number: int) -> Any:
    if number >= len(things):
        raise LabelError("that is no longer there; look at the page again")
    return things[number]


def _state(session: Session) -> dict[str, Any]:
    """All that the page shows; `marks`, `values` and `raw` are HTML of the newest trial of the design at hand, if there is one."""
    design = session.design
    shown = next((trial for trial in session.trials if trial.design == design), None)
    return {
        "text": design.text,
        "labels": design.typed(),
        "rival": design.typed(rival=True),
        "findings": [
            {"reason": one.reason, "blocking": one.blocking, "fix": one.fix.what if one.fix else None} for one in session.findings()
        ],
        "can_undo": session.can_undo,
        "can_redo": session.can_redo,
        "collections": list(session.collections),
        "history": [trial.title for trial in session.trials],
        "marks": fragments.marks(shown) if shown else "",
        "values": fragments.values(shown, session.document_of(design)) if shown else "",
        "raw": fragments.raw(shown) if shown else "",
        "yaml": _yaml(design),
    }


def _yaml(design: Design) -> str:
    """Label set A as a file of the lab's, to be taken away; empty where it cannot be asked, which the findings tell."""
    try:
        return design.label_set().to_yaml()
    except LabelError:
        return ""
