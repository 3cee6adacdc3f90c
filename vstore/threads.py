"""Calls of blocking functions from coroutines, in a few threads, safe to cancel.

A cancelled call that has not begun is dropped. One that has begun is waited for, and only then CancelledError is
raised: whoever sees that knows that nothing goes on behind their back, and that what they write next cannot be
overtaken by what they gave up.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

from vstore import config
from vstore.errors import StoreError

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

        return await outcome(begun, give_up)

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


async def outcome(begun: Future[R], give_up: Callable[[], bool]) -> R:
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
