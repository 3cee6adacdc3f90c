"""Waiting for locks: a waiting writer looks often, and one that has just written lets others go first.

SQLite's own wait looks at ever longer intervals, up to 100 ms. Who writes one short transaction after another frees the
lock for a moment only, and who looks so rarely hardly ever meets it: others waited 2 s for a document that took 50
transactions of 20 ms.
"""

from __future__ import annotations

import time

import apsw

from vstore import config


def wait_up_to(connection: apsw.Connection, milliseconds: float) -> None:
    """Let statements that meet a lock wait for so long before they raise apsw.BusyError."""
    until = 0.0

    def wait(tries: int) -> bool:
        nonlocal until
        now = time.perf_counter()
        if tries == 0:
            until = now + milliseconds / 1000
        if now >= until:
            return False
        time.sleep(config.LOCK_POLL_S)
        return True

    connection.set_busy_handler(wait)


class Turns:
    """When this process wrote last, so that it does not take the lock again before others could."""

    def __init__(self) -> None:
        self._ended = float("-inf")

    def give_way(self) -> None:
        """Before a transaction: leave as long since the last one as those who wait need to see that it is over."""
        since = time.perf_counter() - self._ended
        if 0 <= since < config.WRITE_PAUSE_S:
            time.sleep(config.WRITE_PAUSE_S - since)

    def end(self) -> None:
        """A transaction has ended."""
        self._ended = time.perf_counter()
