"""Percentiles come from histograms as worked out by hand."""

from __future__ import annotations

import json
from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vstore.config import LATENCY_BOUNDS_MS
from vstore.searches import Latency, SearchStatistics, SlowQuery, bucket, percentile


def test_bounds_are_ten_a_decade_from_a_hundredth_of_a_millisecond_to_100_seconds() -> None:
    assert (LATENCY_BOUNDS_MS[0], LATENCY_BOUNDS_MS[10], LATENCY_BOUNDS_MS[-1]) == (0.01, 0.1, 100_000.0)
    assert LATENCY_BOUNDS_MS[20:31] == (1.0, 1.26, 1.58, 2.0, 2.51, 3.16, 3.98, 5.01, 6.31, 7.94, 10.0)
    assert len(LATENCY_BOUNDS_MS) == 71


@pytest.mark.parametrize(
    ("time", "upper"), [(0.01, None), (0.0101, 0.0126), (1.0, 1.0), (1.001, 1.26), (99_999.0, 1e5), (1e9, 1e5)]
)
def test_a_bucket_holds_what_took_more_than_the_next_lower_bound_and_at_most_its_own(
    time: float, upper: float | None
) -> None:
    assert bucket(time) == upper


def test_percentiles_are_interpolated_between_the_bounds_of_their_bucket() -> None:
    """60 searches between 1 and 1.26 ms, 40 between 7.94 and 10: the 95th percentile is 35 of 40 through the latter."""
    latency = Latency.of("dense", {10.0: 40, 1.26: 60})
    assert latency.searches == 100
    assert latency.p50 == pytest.approx(1.0 + 0.26 * 50 / 60)
    assert latency.p95 == pytest.approx(7.94 + 2.06 * 35 / 40)
    assert latency.p99 == pytest.approx(7.94 + 2.06 * 39 / 40)
    assert latency.at_most == 10.0


@given(st.lists(st.floats(0.011, 99_000), min_size=1), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_lies_in_the_bucket_of_the_time_it_stands_for(times: list[float], share: float) -> None:
    histogram: dict[float, int] = {}
    for time in times:
        upper = bucket(time)
        assert upper is not None
        histogram[upper] = histogram.get(upper, 0) + 1
    exact = next(time for place, time in enumerate(sorted(times), 1) if place >= share * len(times))
    upper = bucket(exact)
    assert upper is not None
    lower = LATENCY_BOUNDS_MS[LATENCY_BOUNDS_MS.index(upper) - 1]
    assert lower * (1 - 1e-9) <= percentile(histogram, share) <= upper


def test_statistics_are_plain_data() -> None:
    moment = datetime(2026, 1, 31, 12, 0, tzinfo=timezone.utc)
    slow = SlowQuery("tea", moment, {"total": 1200.0})
    found = SearchStatistics(2, {"hybrid": 2}, 1, 0, 1, {"QueryError": 3}, 1, (Latency.of("fuse", {10.0: 2}),), (slow,))
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["latencies"][0]["searches"] == 2
    assert plain["slow_queries"] == [
        {"query": "tea", "asked_at": "2026-01-31T12:00:00+00:00", "timings_ms": {"total": 1200.0}}
    ]
    assert (plain["searches"], plain["modes"], plain["errors"]) == (2, {"hybrid": 2}, {"QueryError": 3})
