"""What there is to learn for an adapter: the ranking of the store's own hybrid search, or what people judged."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from vstore import config
from vstore.adapter import shares
from vstore.refine.adapter import Lesson
from vstore.refine.queries import AskedQuery
from vstore.refine.teacher import as_asked, embedded, grades_by_chunk, searched
from vstore.storage import Index
from vstore.types import Embedder, Query

if TYPE_CHECKING:
    from vstore.types import FloatArray


def distilled(
    index: Index, embedder: Embedder, queries: Sequence[Query], *, deadline: float | None = None
) -> list[Lesson | None]:
    """A lesson for each query in how hybrid search ranks its first ADAPTER_DEPTH candidates, judged by nobody.

    None for a query that finds nothing with a vector. After `deadline`, a time of `time.monotonic()`, no further query
    is asked: put those that matter most first.
    """

    def learn(query: Query, vector: FloatArray) -> Lesson | None:
        if deadline is not None and time.monotonic() >= deadline:
            return None
        with searched(index, embedder, query, vector) as (view, found):
            candidates = found.candidates[: config.ADAPTER_DEPTH]
            vectors = view.vectors([candidate.chunk_id for candidate in candidates])
        known = [candidate for candidate in candidates if candidate.chunk_id in vectors]
        if not known:
            return None
        rows = np.stack([vectors[candidate.chunk_id] for candidate in known])
        ids = tuple(candidate.chunk_id for candidate in known)
        return Lesson(vector, rows, shares([candidate.score for candidate in known]), ids)

    with ThreadPoolExecutor(config.LESSON_THREADS) as threads:  # SQLite works outside Python's lock
        return list(threads.map(learn, queries, embedded(embedder, queries)))


def taught(
    index: Index, embedder: Embedder, queries: Sequence[AskedQuery], *, deadline: float | None = None
) -> dict[AskedQuery, Lesson]:
    """`distilled` for queries as refinement has them, those without a lesson left out."""
    lessons = distilled(index, embedder, [as_asked(query) for query in queries], deadline=deadline)
    return {query: lesson for query, lesson in zip(queries, lessons, strict=True) if lesson is not None}


def judged(
    index: Index, embedder: Embedder, queries: Sequence[AskedQuery], *, deadline: float | None = None
) -> list[Lesson | None]:
    """A lesson for each query from its judgements: relevant chunks share the target by grade, against all candidates.

    A grade of 0 makes a chunk one of the others. A query has no lesson (None) unless one of its relevant chunks has a
    vector, nor after the deadline. What a judgement of a whole document means for its chunks, see
    `teacher.grades_by_chunk`.
    """
    vectors = embedded(embedder, queries)
    return [
        None if deadline is not None and time.monotonic() >= deadline else _judged(index, embedder, query, vector)
        for query, vector in zip(queries, vectors, strict=True)
    ]


def _judged(index: Index, embedder: Embedder, query: AskedQuery, vector: FloatArray) -> Lesson | None:
    with searched(index, embedder, as_asked(query), vector) as (view, found):
        candidates = found.candidates[: config.ADAPTER_DEPTH]
        grades = grades_by_chunk(view, query.judgements, candidates)
        ids = list(dict.fromkeys([*grades, *(candidate.chunk_id for candidate in candidates)]))
        vectors = view.vectors(ids)
    known = [chunk_id for chunk_id in ids if chunk_id in vectors]
    relevance = np.array([max(0.0, grades.get(chunk_id, 0.0)) for chunk_id in known], dtype=np.float32)
    if not relevance.any():
        return None
    rows = np.stack([vectors[chunk_id] for chunk_id in known])
    return Lesson(vector, rows, relevance / relevance.sum(), tuple(known))
