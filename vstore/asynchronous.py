"""`AsyncStore`: the methods of `Store` for asyncio, each made from it by one wrapper.

Calls run in a few threads that are used again (see `threads`), since `Store` keeps a connection for each thread.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from vstore.errors import StoreError
from vstore.store import Store
from vstore.threads import Threads, outcome
from vstore.types import Embedder

P = ParamSpec("P")
R = TypeVar("R")


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
        await outcome(closing, lambda: False)

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
