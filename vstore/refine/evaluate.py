"""Evaluation: what held-out queries say of a candidate, through the search that would serve it.

Two kinds of evidence. Queries that people judged show what the ranking gains (NDCG@10). The others show whether the
candidate learned what it was taught, and whether that holds for queries it has never seen: how far its ranking by
meaning is from the teacher's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from vstore import config
from vstore.metrics import bootstrap_interval, ndcg
from vstore.refine.queries import AskedQuery
from vstore.refine.teacher import as_asked, embedded
from vstore.search.pipeline import find
from vstore.storage import Index, Snapshot
from vstore.types import Embedder

if TYPE_CHECKING:
    from vstore.types import FloatArray


SEED = 2007  # of resampling, so that equal figures get equal intervals


@dataclass(frozen=True, slots=True)
class System:
    """One way to serve: the model that embeds queries, and the view of the store that it searches."""

    embedder: Embedder
    view: Callable[[Snapshot], Snapshot]


@dataclass(frozen=True, slots=True)
class Served:
    """What one search found: NDCG@10 of its results and of its dense leg (None for a query that nobody judged).

    `first` are the first SHOWN chunks, `cosine` is that of the best one by meaning, by the model's own vectors.
    """

    ndcg: float | None
    dense_ndcg: float | None
    first: tuple[int, ...]
    cosine: float

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {
            "ndcg": self.ndcg,
            "dense_ndcg": self.dense_ndcg,
            "first": list(self.first),
            "cosine": round(self.cosine, 4),
        }


@dataclass(frozen=True, slots=True)
class Compared:
    """A held-out query, served both ways."""

    query: AskedQuery
    before: Served
    after: Served

    def to_dict(self) -> dict[str, Any]:
        """Plain types only, ready for `json.dumps`."""
        return {"before": self.before.to_dict(), "after": self.after.to_dict()}

    @property
    def gain(self) -> float | None:
        """The change of NDCG@10; None for a query that nobody judged."""
        if self.before.ndcg is None or self.after.ndcg is None:
            return None
        return self.after.ndcg - self.before.ndcg


def compare(
    index: Index,
    before: System,
    after: System,
    queries: Sequence[AskedQuery],
    *,
    deadline: float | None = None,
) -> list[Compared]:
    """Serve the queries both ways, in one snapshot each; those not reached before the deadline are left out."""
    old_vectors = embedded(before.embedder, queries)
    vectors = old_vectors, old_vectors if after.embedder is before.embedder else embedded(after.embedder, queries)
    compared = []
    for query, old, new in zip(queries, *vectors, strict=True):
        if deadline is not None and time.monotonic() >= deadline:
            break
        with index.snapshot() as snapshot:
            relevance = Relevance.of(snapshot, query)
            sides = (_served(snapshot, *side, query, relevance) for side in ((before, old), (after, new)))
            compared.append(Compared(query, *sides))
    return compared


@dataclass(frozen=True, slots=True)
class Relevance:
    """What a query's judgements say: grades by the id of a chunk, or of a document where one is about a whole one."""

    grades: Mapping[int, float]
    by_document: bool

    @classmethod
    def of(cls, snapshot: Snapshot, query: AskedQuery) -> Relevance | None:
        """None when nothing was judged relevant, for then no ranking is better than another."""
        by_document = any(judgement.chunk_id is None for judgement in query.judgements)
        grades: dict[int, float] = {}
        for judgement in query.judgements:
            judged = judgement.document_id if by_document else judgement.chunk_id
            assert judged is not None, "each judgement is about a chunk where none is about a document"
            grades[judged] = max(judgement.grade, grades.get(judged, 0.0))
        return cls(grades, by_document) if any(grade > 0 for grade in grades.values()) else None

    def ndcg(self, snapshot: Snapshot, chunk_ids: Sequence[int]) -> float:
        """NDCG@10 of a ranking of chunks, a document counting at the place of its first chunk."""
        ranked = list(chunk_ids)
        if self.by_document:
            ranked = first_documents(snapshot, ranked, config.DECIDING_DEPTH)
        grades = {str(judged): grade for judged, grade in self.grades.items()}
        return ndcg([str(judged) for judged in ranked], grades, config.DECIDING_DEPTH)


def first_documents(snapshot: Snapshot, chunk_ids: Sequence[int], count: int) -> list[int]:
    """The documents of these chunks in order, `count` of them or more if there are as many; the rest is not read."""
    found: dict[int, None] = {}
    for start in range(0, len(chunk_ids), count):
        some = chunk_ids[start : start + count]
        stored = snapshot.chunks(some)
        found |= dict.fromkeys(stored[chunk_id].document.id for chunk_id in some)
        if len(found) >= count:
            break
    return list(found)


def serve(index: Index, system: System, queries: Sequence[AskedQuery]) -> list[Served]:
    """What a system finds for these queries."""
    found = []
    for query, vector in zip(queries, embedded(system.embedder, queries), strict=True):
        with index.snapshot() as snapshot:
            found.append(_served(snapshot, system, vector, query, Relevance.of(snapshot, query)))
    return found


def _served(
    snapshot: Snapshot, system: System, vector: FloatArray, query: AskedQuery, relevance: Relevance | None
) -> Served:
    view = system.view(snapshot)
    found = find(view, as_asked(query), (system.embedder.fingerprint, vector), {})
    fused = tuple(candidate.chunk_id for candidate in found.candidates)
    dense = found.evidence.dense.chunk_ids
    return Served(
        ndcg=relevance.ndcg(view, fused[: config.POOL_DEPTH]) if relevance else None,
        dense_ndcg=relevance.ndcg(view, dense[: config.POOL_DEPTH]) if relevance else None,
        first=fused[: config.SHOWN],
        cosine=max(view.cosines(vector, fused[: config.SHOWN]).values(), default=0.0),
    )


def summary(compared: Sequence[Compared]) -> dict[str, Any]:
    """How many queries were compared and get other results, and for the judged ones NDCG@10 with its interval."""
    judged = [each for each in compared if each.gain is not None]
    figures: dict[str, Any] = {
        "queries": len(compared),
        "changed": sum(each.before.first != each.after.first for each in compared),
        "judged": len(judged),
    }
    for leg in ("ndcg", "dense_ndcg") if judged else ():
        before, after = ([getattr(side, leg) for side in sides] for sides in zip(*map(_sides, judged), strict=True))
        gains = [new - old for old, new in zip(before, after, strict=True)]
        figures[leg] = {
            "before": fmean(before),
            "after": fmean(after),
            "interval": bootstrap_interval(gains, seed=SEED),
        }
    return figures


def _sides(compared: Compared) -> tuple[Served, Served]:
    return compared.before, compared.after
