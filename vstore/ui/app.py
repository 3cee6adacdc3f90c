"""The application: which address is answered by what, and how errors look.

Handlers are plain functions, so that starlette runs them in threads and nobody waits for another's search.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

import anyio.to_thread
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from vstore import config, maintenance
from vstore.errors import (
    InputError,
    ModelUnavailableError,
    NotFoundError,
    StoreBusyError,
    StoreFullError,
    VstoreError,
)
from vstore.printable import printable
from vstore.search.fuse import FUSIONS
from vstore.search.pipeline import MODES
from vstore.ui import ask, shape
from vstore.ui.guard import Guard
from vstore.ui.read import around, learning, run_of
from vstore.ui.render import address, page

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from vstore.store import Store

# The first that fits; whatever else is wrong with the store is a 500.
STATUSES: Final = (
    (InputError, 400),
    (NotFoundError, 404),
    (ModelUnavailableError, 503),
    (StoreBusyError, 503),
    (StoreFullError, 507),
)
VERDICTS: Final = {"useful": True, "not useful": False}


def application(store: Store, *, token: str, port: int, read_only: bool = False) -> ASGIApp:
    """The page of a store, for a server at 127.0.0.1 and this port; who has the token may ask."""
    pages = Pages(store, read_only)
    routes = [
        Route("/", pages.search),
        Route("/chunk/{number}", pages.chunk),
        Route("/refinement", pages.refinement),
        Route("/refinement/{number}", pages.run),
        Route("/health", pages.health),
        Route("/health", pages.check, methods=["POST"]),
        Route("/latency", pages.latency),
        Mount("/static", StaticFiles(packages=[("vstore.ui", "static")])),
    ]
    if not read_only:
        routes.append(Route("/feedback", pages.feedback, methods=["POST"]))
    handlers = {VstoreError: pages.failed, HTTPException: pages.absent, Exception: pages.broken}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=_few_threads)
    return Guard(app, token, port)


@asynccontextmanager
async def _few_threads(_: Starlette) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = config.UI_THREADS
    yield


class Pages:
    """A handler for each address."""

    def __init__(self, store: Store, read_only: bool) -> None:
        """The store is searched, judged (unless `read_only`) and looked at; closing it is the caller's."""
        self._store = store
        self._read_only = read_only
        self._checking = threading.Lock()

    def search(self, request: Request) -> Response:
        """The form, and with a query its results."""
        fields = _fields(request)
        if not fields["q"].strip():
            return self._page("start.html", fields=fields, stats=self._store.stats(), tab="search")
        try:
            asked = ask.options(fields)
            answer = ask.ask(self._store, asked, again="again" in request.query_params)
        except VstoreError as error:
            return self._page("failed.html", status_of(error), fields=fields, sentence=str(error), tab="search")
        results, rankings = answer.results, answer.rankings
        rows = min(asked["k"], config.UI_COMPARED)
        response = self._page(
            "results.html",
            tab="search",
            fields=fields,
            results=results,
            grades=answer.grades,
            excerpts={hit.chunk_id: shape.excerpt(hit.text, answer.words.intersection(hit.matched)) for hit in results},
            parts=shape.parts_of(results.hits),
            side=shape.side_by_side(rankings, results, rows) if rankings else None,
            stages=shape.timeline(results.timings),
            notes=[note for note in (results.degraded, *results.remarks, results.uncalibrated) if note],
            digits=shape.digits(results.hits),
        )
        response.background = BackgroundTask(self._store.flush)  # as a command notes its search when it ends
        return response

    def chunk(self, request: Request) -> Response:
        """A chunk within its document."""
        fields = _fields(request)
        with self._store.index.snapshot() as snapshot:
            place = around(snapshot, _number(request))
            grades = ask.grades(snapshot, fields["q"]) if fields["q"].strip() else {}
        return self._page("chunk.html", fields=fields, place=place, grades=grades, tab="search")

    async def feedback(self, request: Request) -> Response:
        """Take a judgement of a chunk as an answer to the query in the address."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        return await run_in_threadpool(self._judge, request, {name: values[0] for name, values in form.items()})

    def _judge(self, request: Request, form: dict[str, str]) -> Response:
        fields, verdict, number = _fields(request), form.get("verdict", ""), form.get("chunk", "")
        if verdict not in VERDICTS or not _is_id(number):
            raise InputError("a judgement names a chunk, and says useful or not useful")
        judgement = self._store.feedback(fields["q"], int(number), VERDICTS[verdict])
        if _wants_json(request):
            return JSONResponse({"chunk": judgement.chunk_id, "grade": judgement.grade})
        if form.get("from") == "chunk":
            return RedirectResponse(address(f"/chunk/{number}", fields), 303)
        return RedirectResponse(address("/", fields, again=1) + f"#hit-{number}", 303)

    def refinement(self, _: Request) -> Response:
        """What serves, the models there were, and what runs decided."""
        found = learning(self._store)
        return self._page("refinement.html", **found, gains=shape.gains(found["status"].runs), tab="refinement")

    def run(self, request: Request) -> Response:
        """The evidence of one run."""
        record = run_of(self._store, _number(request))
        return self._page("run.html", run=record, gains=shape.gains([record])[record.id], tab="refinement")

    def health(self, _: Request) -> Response:
        """How much is in the store, and a button to check it."""
        return self._health()

    def check(self, _: Request) -> Response:
        """Put the invariants to the test."""
        if not self._checking.acquire(blocking=False):
            return self._page("failed.html", 503, sentence="a check is at work already; wait for it", tab="health")
        try:
            return self._health(maintenance.check(self._store.path))
        finally:
            self._checking.release()

    def _health(self, report: Any = None) -> Response:
        size = self._store.path.stat().st_size
        return self._page("health.html", stats=self._store.stats(), size=size, report=report, tab="health")

    def latency(self, _: Request) -> Response:
        """What searches left behind."""
        found = self._store.search_stats()
        slow = found.slow_queries[: config.UI_SLOW_SHOWN]
        spreads = shape.spreads(found.latencies)
        return self._page("latency.html", searches=found, slow=slow, spreads=spreads, tab="latency")

    # --- what went wrong ----------------------------------------------------------------------------------------------

    def failed(self, request: Request, error: Exception) -> Response:
        """An error of vstore's own, in its one line."""
        if _wants_json(request):
            return JSONResponse({"error": printable(str(error))}, status_of(error))
        return self._page("failed.html", status_of(error), sentence=str(error), tab="")

    def absent(self, _: Request, error: Exception) -> Response:
        """No such address, or not by this method."""
        assert isinstance(error, HTTPException)
        return self._page("failed.html", error.status_code, sentence=f"{error.detail}; see the links above", tab="")

    def broken(self, _: Request, error: Exception) -> Response:
        """A bug: the server goes on, and its traceback is where the command runs."""
        sentence = f"this is a bug ({type(error).__name__}); where vstore ui runs it has said more"
        return self._page("failed.html", 500, sentence=sentence, tab="")

    def _page(self, template: str, status: int = 200, /, **values: Any) -> HTMLResponse:
        values = {"fields": dict.fromkeys(ask.FIELDS, ""), "modes": MODES, "fusions": list(FUSIONS), **values}
        name, limits = self._store.path, config
        return HTMLResponse(page(template, path=name, config=limits, read_only=self._read_only, **values), status)


def status_of(error: Exception) -> int:
    """The HTTP status of an error."""
    return next((status for kind, status in STATUSES if isinstance(error, kind)), 500)


def _fields(request: Request) -> dict[str, str]:
    return {name: request.query_params.get(name, "") for name in ask.FIELDS}


def _number(request: Request) -> int:
    """The number in the address. Raises NotFoundError for one that no id can be."""
    number = str(request.path_params["number"])
    if not _is_id(number):
        raise NotFoundError(f"there is no number {number[:20]}; see the links above")
    return int(number)


def _is_id(text: str) -> bool:
    return text.isdecimal() and len(text) < 19 and int(text) > 0  # 64 bits


def _wants_json(request: Request) -> bool:
    return bool(request.headers.get("accept", "").startswith("application/json"))
