"""Optional stages, off unless a caller passes them: recency, frequency and history.

Each adds one contribution to the scores of the first POOL_DEPTH candidates, from 0 to `weight` times their spread, and
sorts them again; those behind stay behind. Fused scores mean something else under each fusion (a hundredth is much in
one, nothing in another), so points are measured by the spread: how far the SHOWN-th candidate is from the first.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, ClassVar

from vstore import config
from vstore.errors import InputError, QueryError
from vstore.search.fuse import best_first
from vstore.search.stages import Facts, Stage
from vstore.storage import Snapshot
from vstore.types import Candidate, Contribution, Query

if TYPE_CHECKING:
    from vstore.types import FloatArray

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Recency:
    """Newer documents gain: `0.5 ** (age / half_life_days)` of the most there is to gain.

    The age is the time since the document last changed, at `now` (None: when the search is made). Raises InputError
    for a half-life or weight that is no positive number, and for a `now` that is no datetime.
    """

    half_life_days: float = config.RECENCY_HALF_LIFE_DAYS
    weight: float = config.STAGE_WEIGHT
    now: datetime | None = None
    name: ClassVar[str] = "recency"

    def __post_init__(self) -> None:
        _positive("half_life_days", self.half_life_days)
        _positive("weight", self.weight)
        if not isinstance(self.now, (datetime, type(None))):
            raise InputError(f"now is a datetime, not {self.now!r}")

    def read(self, snapshot: Snapshot, query: Query, vector: FloatArray | None, chunk_ids: Sequence[int]) -> Facts:
        """The candidates' documents, and the time."""
        return Facts(chunks=snapshot.chunks(chunk_ids), now=self.now or datetime.now(timezone.utc))

    def __call__(self, candidates: list[Candidate], facts: Facts) -> list[Candidate]:
        """See `Stage`."""
        assert facts.now is not None, "read() sets it"
        now = facts.now.timestamp()
        freshness = {}
        for chunk_id, chunk in facts.chunks.items():
            days = max(0.0, now - chunk.document.updated_at.timestamp()) / _DAY_S
            freshness[chunk_id] = 0.5 ** (days / self.half_life_days)
        head, rest = candidates[: config.POOL_DEPTH], candidates[config.POOL_DEPTH :]
        return _raised(head, self.name, self.weight, freshness, freshness) + rest


@dataclass(frozen=True, slots=True)
class Frequency:
    """Chunks that often were among the answers of other queries gain, by the logarithm of how often.

    The most often found of the candidates gains the most there is to gain. Raises InputError for a weight that is no
    positive number.
    """

    weight: float = config.STAGE_WEIGHT
    name: ClassVar[str] = "frequency"

    def __post_init__(self) -> None:
        _positive("weight", self.weight)

    def read(self, snapshot: Snapshot, query: Query, vector: FloatArray | None, chunk_ids: Sequence[int]) -> Facts:
        """How often the candidates were answers."""
        return Facts(answered=snapshot.answered(chunk_ids, query.text))

    def __call__(self, candidates: list[Candidate], facts: Facts) -> list[Candidate]:
        """See `Stage`."""
        most = math.log1p(max(facts.answered.values(), default=0))
        shares = {chunk_id: math.log1p(times) / most for chunk_id, times in facts.answered.items()}
        head, rest = candidates[: config.POOL_DEPTH], candidates[config.POOL_DEPTH :]
        return _raised(head, self.name, self.weight, shares, facts.answered) + rest


@dataclass(frozen=True, slots=True)
class History:
    """What past queries of much the same meaning were answered with gains, and is recalled if it was no candidate.

    An answer gains its query's cosine divided by its rank there, the highest of them if there are several. A recalled
    chunk starts level with the last of the first POOL_DEPTH candidates. Does nothing in a search by keywords alone,
    which has no vector to compare. Raises InputError for a weight that is no positive number.
    """

    weight: float = config.STAGE_WEIGHT
    name: ClassVar[str] = "history"

    def __post_init__(self) -> None:
        _positive("weight", self.weight)

    def read(self, snapshot: Snapshot, query: Query, vector: FloatArray | None, chunk_ids: Sequence[int]) -> Facts:
        """Past queries like this one, with their answers."""
        if vector is None:
            return Facts(remark="history did nothing: without a vector this query cannot be compared with past ones")
        return Facts(past=snapshot.past_queries(vector, query.text, query.scope))

    def __call__(self, candidates: list[Candidate], facts: Facts) -> list[Candidate]:
        """See `Stage`."""
        gains: dict[int, float] = {}
        for past in facts.past:
            for chunk_id, rank in past.answers.items():
                gains[chunk_id] = max(gains.get(chunk_id, 0.0), past.cosine / rank)
        head, rest = _recalled(candidates, gains)
        return _raised(head, self.name, self.weight, gains, gains) + rest


def apply(
    snapshot: Snapshot,
    query: Query,
    vector: FloatArray | None,
    candidates: list[Candidate],
) -> tuple[list[Candidate], tuple[str, ...]]:
    """The candidates after the query's optional stages, one after the other, and what those that did nothing say."""
    remarks = []
    for stage in query.optional:
        chunk_ids = [candidate.chunk_id for candidate in candidates[: config.POOL_DEPTH]]
        facts = stage.read(snapshot, query, vector, chunk_ids)
        if facts.remark:
            remarks.append(facts.remark)
        else:
            candidates = stage(candidates, facts)
    return candidates, tuple(remarks)


def check(stages: Sequence[Stage]) -> None:
    """Raise QueryError unless these are stages."""
    if not isinstance(stages, Sequence):
        raise QueryError(f"stages are a list, such as [vstore.Recency(half_life_days=30)], not {stages!r}")
    for stage in stages:
        if isinstance(stage, type) or not isinstance(stage, Stage):
            raise QueryError(f"a stage is an object such as vstore.Recency(half_life_days=30), not {stage!r}")


def spread(head: Sequence[Candidate]) -> float:
    """How far apart the scores are that a reader sees: the first less the SHOWN-th (or the last); never 0.

    Where those are all the same it is the range of all given, and 1 where there is none: then any points decide.
    """
    scores = [candidate.score for candidate in head] or [0.0]
    shown = scores[: config.SHOWN]
    return shown[0] - shown[-1] or scores[0] - scores[-1] or 1.0


def _raised(
    head: Sequence[Candidate], name: str, weight: float, shares: Mapping[int, float], raw: Mapping[int, float]
) -> list[Candidate]:
    """The candidates that have a share, each in [0, 1], with a contribution of so much of what there is to gain."""
    most = weight * spread(head)
    raised = []
    for candidate in head:
        share = shares.get(candidate.chunk_id)
        if share is not None:
            part = Contribution(name, most * share, raw=raw[candidate.chunk_id], weight=most)
            candidate = replace(candidate, why=(*candidate.why, part))
        raised.append(candidate)
    return best_first(raised)


def _recalled(candidates: list[Candidate], chunk_ids: Collection[int]) -> tuple[list[Candidate], list[Candidate]]:
    """The first candidates with these chunks added, level with the last of them, and the others behind."""
    head, rest = candidates[: config.POOL_DEPTH], candidates[config.POOL_DEPTH :]
    last = head[-1].score if head else 0.0
    behind = {candidate.chunk_id: candidate for candidate in rest}
    for chunk_id in sorted(set(chunk_ids) - {candidate.chunk_id for candidate in head}):
        own = behind.pop(chunk_id, Candidate(chunk_id, ()))
        head.append(replace(own, why=(*own.why, Contribution("recall", last - own.score))))
    return head, list(behind.values())


def _positive(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0.0 < value < math.inf:
        raise InputError(f"{name} is a number above 0, not {value!r}")
