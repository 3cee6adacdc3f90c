"""`AsyncStore`: the methods of `Store` for asyncio, each made from it by one wrapper.

Calls run in a few threads of their own, since `Store` keeps a connection for each thread. A cancelled call that has not
begun is dropped. One that has begun is waited for, and only then CancelledError is raised: whoever sees that knows that
nothing goes on behind their back, and that what they write next cannot be overtaken by what they gave up.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from vstore import config
from vstore.errors import StoreError
from vstore.store import Store
from vstore.types import Embedder

P = ParamSpec("P")
R = TypeVar("R")


class Threads:
    """A few threads that coroutines of any event loop call functions in."""

    def __init__(self, count: int = config.ASYNC_THREADS) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="vstore")
        self._closed = False

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `function(*args, **kwargs)` returns or raises, in the context of the task that calls.

        A function with an argument `progress` is stopped by cancellation when it next tells of any. Raises StoreError
        after `shut`.
        """
        stop = threading.Event()
        bound = inspect.signature(function).bind(*args, **kwargs)
        if "progress" in bound.signature.parameters:
            bound.arguments["progress"] = _until(stop, bound.arguments.get("progress"))
        begun = self._submit(functools.partial(contextvars.copy_context().run, function, *bound.args, **bound.kwargs))

        def give_up() -> bool:
            stop.set()
            return begun.cancel()

        return await _outcome(begun, give_up)

    def _submit(self, function: Callable[[], R]) -> Future[R]:
        try:
            return self._pool.submit(function)
        except RuntimeError as error:
            if not self._closed:
                raise
            raise StoreError("this store was closed; open a new one") from error

    def shut(self) -> None:
        """Take no more calls, and wait until those that were made have ended. Blocks."""
        self._closed = True
        self._pool.shutdown()


def _until(stop: threading.Event, progress: Callable[..., None] | None) -> Callable[..., None]:
    """The same callback, until `stop` is set: then it raises CancelledError in the thread that calls it."""

    def tell(*args: Any) -> None:
        if stop.is_set():
            raise asyncio.CancelledError
        if progress is not None:
            progress(*args)

    return tell


async def _outcome(begun: Future[R], give_up: Callable[[], bool]) -> R:
    """What a call returns or raises. When the task is cancelled, CancelledError, but not before the call has ended.

    `give_up` is told that the task was cancelled, and says whether the call has not begun and never will.
    """
    ended = asyncio.wrap_future(begun)
    cancelled: asyncio.CancelledError | None = None
    while not ended.done():
        try:
            await asyncio.wait([ended])
        except asyncio.CancelledError as error:
            cancelled = error
            if give_up():
                raise
    if cancelled is not None:
        raise cancelled from ended.exception()
    return ended.result()


def _in_thread(
    method: Callable[Concatenate[Store, P], R],
) -> Callable[Concatenate[AsyncStore, P], Coroutine[Any, Any, R]]:
    """The same method of an `AsyncStore`."""

    @functools.wraps(method)
    async def call(self: AsyncStore, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return await self.run(method, *args, **kwargs)

    return call


class AsyncStore:
    """A `Store` for asyncio: its methods, to be awaited.

    >>> async with AsyncStore("memory.db") as store:
    ...     await store.remember("We use PKCE for public clients.", title="Auth decision")
    ...     for hit in await store.search("how do public clients log in?"):
    ...         print(hit.score, hit.text)

    Safe to share between tasks, threads and event loops. A cancelled call that has begun is waited for: what it wrote
    is there whole, or not at all, when CancelledError arrives. `add` stops after the documents that it is writing.
    """

    def __init__(
        self,
        path: str | Path,
        embedder: Embedder | str | None = None,
        *,
        create: bool = True,
        read_only: bool = False,
        threads: int | None = None,
        log: bool | None = None,
        metrics: bool | None = None,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        """The arguments of `Store`. Nothing is opened yet: that is for `async with`, or `open`."""
        self._make = functools.partial(
            Store,
            path,
            embedder,
            create=create,
            read_only=read_only,
            threads=threads,
            log=log,
            metrics=metrics,
            progress=progress,
        )
        self._store: Store | None = None
        self._opening = threading.Lock()
        self._threads = Threads()

    async def open(self) -> AsyncStore:
        """Open the file, and return this store. Opening twice does no harm; raises what opening a `Store` raises."""
        await self._threads.call(self._open)
        return self

    async def close(self) -> None:
        """Wait for the calls that were made, then close the file. Closing twice does no harm."""
        closer = ThreadPoolExecutor(1, thread_name_prefix="vstore-close")  # not one of those that it waits for
        closing = closer.submit(self._close)
        closer.shutdown(wait=False)
        await _outcome(closing, lambda: False)

    async def __aenter__(self) -> AsyncStore:
        try:
            return await self.open()
        except BaseException:
            await self.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def path(self) -> Path:
        """Where the file is."""
        return self._opened().path

    async def run(self, function: Callable[Concatenate[Store, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call `function(store, *args, **kwargs)` in one of the threads, such as `vstore.export_to` or one of yours.

        One with an argument `progress` is stopped by cancellation when it next tells of any.
        """
        return await self._threads.call(function, self._opened(), *args, **kwargs)

    def _open(self) -> None:
        with self._opening:
            if self._store is None:
                self._store = self._make()

    def _opened(self) -> Store:
        if self._store is None:
            raise StoreError("this store is not open; write: async with AsyncStore(...), or: await store.open()")
        return self._store

    def _close(self) -> None:
        self._threads.shut()
        if self._store is not None:
            self._store.close()

    # --- the methods of Store -----------------------------------------------------------------------------------------

    embedder = _in_thread(Store.embedder)
    ingest_model = _in_thread(Store.ingest_model)
    flush = _in_thread(Store.flush)

    add = _in_thread(Store.add)
    remember = _in_thread(Store.remember)
    keep = _in_thread(Store.keep)
    compact = _in_thread(Store.compact)
    forget = _in_thread(Store.forget)

    search = _in_thread(Store.search)
    why = _in_thread(Store.why)
    get = _in_thread(Store.get)
    documents = _in_thread(Store.documents)
    find = _in_thread(Store.find)
    stats = _in_thread(Store.stats)
    search_stats = _in_thread(Store.search_stats)
    erase_searches = _in_thread(Store.erase_searches)

    feedback = _in_thread(Store.feedback)
    judge = _in_thread(Store.judge)
    judgements = _in_thread(Store.judgements)
    models = _in_thread(Store.models)
    roll_back = _in_thread(Store.roll_back)

    backup = _in_thread(Store.backup)
