"""Times as the file keeps them: whole milliseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import datetime, timezone


def now() -> int:
    """The time now."""
    return time.time_ns() // 1_000_000


def from_datetime(moment: datetime) -> int:
    """A datetime in milliseconds; without a zone it is taken as local."""
    return round(moment.timestamp() * 1000)


def to_datetime(milliseconds: int) -> datetime:
    """The inverse of `from_datetime`, in UTC."""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
