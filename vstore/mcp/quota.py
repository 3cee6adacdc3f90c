"""How much a client may write: an agent that runs wild, or that a stored text leads astray, is stopped by it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from vstore import config
from vstore.errors import InputError


class Quota:
    """Counts writes, by the minute for all clients of a server together and for each session. Safe between threads."""

    def __init__(
        self,
        per_minute: int = config.MCP_WRITES_PER_MINUTE,
        per_session: int = config.MCP_WRITES_PER_SESSION,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._per_minute, self._per_session, self._clock = per_minute, per_session, clock
        self._lock = threading.Lock()
        self._recent: deque[float] = deque()
        self._written: dict[str, int] = {}  # by session, the last to write at the end

    def spend(self, session: str) -> None:
        """Count one write. Raises InputError when there is none left; then nothing is counted."""
        with self._lock:
            now = self._clock()
            while self._recent and self._recent[0] <= now - 60:
                self._recent.popleft()
            written = self._written.get(session, 0)
            if written >= self._per_session:
                raise InputError(
                    f"this session has written {self._per_session:,} times, which is all it may; start another one, or "
                    f"import large amounts with: vstore add"
                )
            if len(self._recent) >= self._per_minute:
                wait = self._recent[0] + 60 - now
                raise InputError(
                    f"{self._per_minute} writes a minute are taken; the next one in {max(1, round(wait))} seconds"
                )
            self._recent.append(now)
            self._written.pop(session, None)
            self._written[session] = written + 1
            if len(self._written) > config.MCP_SESSIONS:
                del self._written[next(iter(self._written))]  # a session that is opened anew begins at 0 as well
