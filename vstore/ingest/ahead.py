"""Let an iterator run ahead of its consumer, in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


class _End:
    """Stands behind the last item."""


def ahead(items: Iterable[Item], count: int, abandon: Callable[[], None] = lambda: None) -> Generator[Item, None, None]:
    """The same items in the same order, up to `count` of them made early.

    An exception reaches the consumer where it was raised. A consumer that stops early, or is interrupted while it waits
    in here, waits for one item at most; `abandon` is called before that, and at the end, so that it is cut short.
    """
    source = iter(items)
    pool = ThreadPoolExecutor(1, thread_name_prefix="vstore-ahead")
    try:
        pending: deque[Future[Item | _End]] = deque(pool.submit(next, source, _End()) for _ in range(count))
        while not isinstance(item := pending.popleft().result(), _End):
            pending.append(pool.submit(next, source, _End()))
            yield item
    finally:
        abandon()
        pool.shutdown(cancel_futures=True)
