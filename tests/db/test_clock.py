"""Times are whole milliseconds since 1970, UTC."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from vstore.db.clock import from_datetime, now, to_datetime


def test_times_by_hand() -> None:
    assert from_datetime(datetime(1970, 1, 1, 0, 0, 1, 500_000, tzinfo=timezone.utc)) == 1500
    assert from_datetime(datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == 0
    assert to_datetime(-1) == datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=timezone.utc)


@given(st.integers(min_value=-10_000_000_000_000, max_value=250_000_000_000_000))
def test_milliseconds_survive_the_way_to_datetime_and_back(milliseconds: int) -> None:
    assert from_datetime(to_datetime(milliseconds)) == milliseconds


def test_now_is_now() -> None:
    assert abs(now() - time.time() * 1000) < 1000
