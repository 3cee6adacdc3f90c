"""One call in another thread, for as long as a `with` block lasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


@contextmanager
def meanwhile(call: Callable[[], T]) -> Iterator[Future[T]]:
    """What `call` returns or raises, made while the block does something else; the block ends no earlier than the call.

    What the block itself raises comes first. Where no thread can be had, the call is made before the block.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="vstore-meanwhile")
    try:
        outcome = pool.submit(call)
    except RuntimeError:  # there are too many threads, or the interpreter is about to end
        outcome = Future()
        outcome.set_result(call())
    try:
        yield outcome
    finally:
        _end(pool)


def _end(pool: ThreadPoolExecutor) -> None:
    """Wait for the call, even when the user interrupts that: what it works with is closed next."""
    try:
        pool.shutdown()
    except KeyboardInterrupt:
        pool.shutdown()
        raise
