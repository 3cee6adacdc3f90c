"""What searches leave behind: the note of one search, and what many notes add up to."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from vstore.config import LATENCY_BOUNDS_MS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODE, ERROR = "mode:", "error:"  # counters with these prefixes count one kind each


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as the log keeps it, with the chunks it was answered with, best first.

    `collection` is "" when several were searched, or all. `question` is the fingerprint of the embedding space and the
    query's vector in it, float32 (dimension,); None for a query that was not embedded.
    """

    text: str
    collection: str
    chunk_ids: tuple[int, ...]
    question: tuple[str, NDArray[np.float32]] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class LoggedQuery:
    """A query that was asked so many times, as the log or a file of queries has it.

    `collection` is "" when several were searched, or all. A file does not say when it was asked.
    """

    text: str
    collection: str = ""
    times: int = 1
    first_asked: datetime | None = None
    last_asked: datetime | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """One search: when it was (milliseconds since 1970, UTC), which counters it adds to, and its times by stage.

    Without `asked`, nothing of the query's text is kept.
    """

    at: int
    counters: tuple[str, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    asked: Asked | None = None
    slow: bool = False


@dataclass(frozen=True, slots=True)
class Latency:
    """How long a stage took in the searches that ran it, in milliseconds.

    The percentiles are interpolated from a histogram; `at_most` is the upper bound of its last bucket in use.
    """

    stage: str
    searches: int
    p50: float
    p95: float
    p99: float
    at_most: float

    @classmethod
    def of(cls, stage: str, histogram: Mapping[float, int]) -> Latency:
        """From the numbers of searches by the upper bounds of their buckets."""
        p50, p95, p99 = (percentile(histogram, share) for share in (0.50, 0.95, 0.99))
        return cls(stage, sum(histogram.values()), p50, p95, p99, max(histogram))

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        times = {"p50_ms": self.p50, "p95_ms": self.p95, "p99_ms": self.p99, "at_most_ms": self.at_most}
        return {"stage": self.stage, "searches": self.searches, **times}


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """A search that took longer than the setting `slow_ms`; `timings` are milliseconds by stage."""

    text: str
    asked_at: datetime
    timings: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {"query": self.text, "asked_at": self.asked_at.isoformat(), "timings_ms": dict(self.timings)}


@dataclass(frozen=True, slots=True)
class SearchStatistics:
    """Figures over all searches that were counted. `searches` were served, `errors` were not, by kind of exception.

    `latencies` begin with the total, then the longest median comes first; `slow_queries` are the newest, newest first.
    """

    searches: int
    modes: Mapping[str, int]
    degraded: int
    empty: int
    slow: int
    errors: Mapping[str, int]
    logged: int
    latencies: tuple[Latency, ...]
    slow_queries: tuple[SlowQuery, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "searches": self.searches,
            "modes": dict(self.modes),
            "degraded": self.degraded,
            "empty": self.empty,
            "slow": self.slow,
            "errors": dict(self.errors),
            "logged": self.logged,
            "latencies": [latency.to_dict() for latency in self.latencies],
            "slow_queries": [query.to_dict() for query in self.slow_queries],
        }


def bucket(milliseconds: float) -> float | None:
    """The upper bound of the bucket a time falls into; None below the first bound, where a stage had nothing to do."""
    if milliseconds <= LATENCY_BOUNDS_MS[0]:
        return None
    return LATENCY_BOUNDS_MS[min(bisect_left(LATENCY_BOUNDS_MS, milliseconds), len(LATENCY_BOUNDS_MS) - 1)]


def percentile(histogram: Mapping[float, int], share: float) -> float:
    """The time that `share` of the searches did not exceed, taking those of a bucket as evenly spread over it.

    `histogram` maps upper bounds to numbers of searches, and is not empty.
    """
    uppers = sorted(histogram)
    totals = list(accumulate(histogram[upper] for upper in uppers))
    wanted = share * totals[-1]
    place = bisect_left(totals, wanted)
    upper = uppers[place]
    lower = LATENCY_BOUNDS_MS[max(bisect_left(LATENCY_BOUNDS_MS, upper) - 1, 0)]
    return upper - (upper - lower) * (totals[place] - wanted) / histogram[upper]
