"""The search that teaches and is measured: a query as it was asked, through the very pipeline that serves.

The teacher is always the search without an adapter, so that a nightly run learns from evidence and not from the run
before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from vstore import config
from vstore.judgements import Judgement
from vstore.refine.queries import AskedQuery
from vstore.search.pipeline import Found, find
from vstore.search.stages import STAGES
from vstore.search.wording import quoted
from vstore.storage import Index, Snapshot
from vstore.types import Candidate, Embedder, Query

if TYPE_CHECKING:
    from vstore.types import FloatArray


def as_asked(query: AskedQuery) -> Query:
    """The default search for a query; the log keeps neither filters nor modes, and one collection at most."""
    return Query(query.text, config.SHOWN, "hybrid", config.DEFAULT_FUSION, query.scope, tuple(STAGES))


def embedded(embedder: Embedder, queries: Sequence[Query | AskedQuery]) -> FloatArray:
    """The queries' vectors, as a search embeds them: float32 (n, dimension)."""
    return embedder.embed_queries([quoted(query.text)[1] for query in queries])


@contextmanager
def searched(index: Index, embedder: Embedder, query: Query, vector: FloatArray) -> Iterator[tuple[Snapshot, Found]]:
    """A view of the store without an adapter, and what hybrid search, all stages off, finds in it."""
    plain = replace(query, k=config.ADAPTER_DEPTH, mode="hybrid", stages=(), optional=())
    with index.snapshot() as snapshot:
        view = snapshot.serving(None)
        yield view, find(view, plain, (embedder.fingerprint, vector), {})


def grades_by_chunk(
    snapshot: Snapshot, judgements: Sequence[Judgement], candidates: Sequence[Candidate]
) -> dict[int, float]:
    """What judgements say of chunks: grades by chunk id, the highest where there are several.

    That a document is relevant holds for the first of its chunks among the candidates, else for its first chunk; that
    it is not relevant holds for all of them.
    """
    places = {candidate.chunk_id: place for place, candidate in enumerate(candidates)}
    grades: dict[int, float] = {}
    for judgement in judgements:
        ids: Sequence[int] = [judgement.chunk_id] if judgement.chunk_id is not None else ()
        if judgement.chunk_id is None:
            ids = snapshot.chunk_ids(judgement.document_id)
            if judgement.grade > 0:
                ids = sorted(ids, key=lambda chunk_id: places.get(chunk_id, len(places)))[:1]
        for chunk_id in ids:
            grades[chunk_id] = max(judgement.grade, grades.get(chunk_id, 0.0))
    return grades
