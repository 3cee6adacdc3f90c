"""What there is to learn for an adapter: the ranking of the store's own hybrid search, or what people judged.

The teacher is always the search without an adapter, so that a nightly run learns from evidence and not from the run
before it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vstore import config
from vstore.adapter import shares
from vstore.refine.adapter import Lesson
from vstore.search.pipeline import find
from vstore.search.wording import quoted
from vstore.storage import Index, Snapshot
from vstore.types import Candidate, Embedder, Query

if TYPE_CHECKING:
    from vstore.types import FloatArray


def distilled(
    index: Index, embedder: Embedder, queries: Sequence[Query], *, deadline: float | None = None
) -> list[Lesson]:
    """Lessons in how hybrid search ranks its first ADAPTER_DEPTH candidates for these queries, judged by nobody.

    A query that finds nothing with a vector has none. After `deadline`, a time of `time.monotonic()`, no further query
    is asked: put those that matter most first.
    """

    def learn(query: Query, vector: FloatArray) -> Lesson | None:
        if deadline is not None and time.monotonic() >= deadline:
            return None
        with _searched(index, embedder, query, vector) as (view, candidates):
            vectors = view.vectors([candidate.chunk_id for candidate in candidates])
        known = [candidate for candidate in candidates if candidate.chunk_id in vectors]
        if not known:
            return None
        rows = np.stack([vectors[candidate.chunk_id] for candidate in known])
        return Lesson(vector, rows, shares([candidate.score for candidate in known]))

    with ThreadPoolExecutor(config.LESSON_THREADS) as threads:  # SQLite works outside Python's lock
        return [lesson for lesson in threads.map(learn, queries, _embedded(embedder, queries)) if lesson is not None]


def judged(index: Index, embedder: Embedder, judgements: Sequence[tuple[Query, Mapping[int, float]]]) -> list[Lesson]:
    """Lessons from grades by chunk id: relevant chunks share the target by their grades, against all other candidates.

    A grade of 0 or less makes a chunk one of the others. A query has no lesson unless one of its relevant chunks has a
    vector.
    """
    queries = [query for query, _ in judgements]
    lessons = []
    for (query, grades), vector in zip(judgements, _embedded(embedder, queries), strict=True):
        with _searched(index, embedder, query, vector) as (view, candidates):
            ids = list(dict.fromkeys([*grades, *(candidate.chunk_id for candidate in candidates)]))
            vectors = view.vectors(ids)
        known = [chunk_id for chunk_id in ids if chunk_id in vectors]
        relevance = np.array([max(0.0, grades.get(chunk_id, 0.0)) for chunk_id in known], dtype=np.float32)
        if relevance.any():
            rows = np.stack([vectors[chunk_id] for chunk_id in known])
            lessons.append(Lesson(vector, rows, relevance / relevance.sum()))
    return lessons


def _embedded(embedder: Embedder, queries: Sequence[Query]) -> FloatArray:
    """The queries' vectors, as a search embeds them: float32 (n, dimension)."""
    return embedder.embed_queries([quoted(query.text)[1] for query in queries])


@contextmanager
def _searched(
    index: Index, embedder: Embedder, query: Query, vector: FloatArray
) -> Iterator[tuple[Snapshot, list[Candidate]]]:
    """A view of the store without an adapter, and what hybrid search, all stages off, finds first in it."""
    plain = replace(query, k=config.ADAPTER_DEPTH, mode="hybrid", stages=(), optional=())
    with index.snapshot() as snapshot:
        view = snapshot.serving(None)
        yield view, find(view, plain, "hybrid", (embedder.fingerprint, vector), {}).candidates[: config.ADAPTER_DEPTH]
