"""What a search is worth to queries that somebody judged, by hand."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest
from refine.world import TOY

from vstore import Store
from vstore.judgements import Judgement
from vstore.refine.evaluate import Relevance, System, compare, first_documents
from vstore.refine.queries import AskedQuery

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)
AS_IT_IS = System(TOY, lambda snapshot: snapshot)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Chunks 1 to 6 of documents 1 to 6."""
    with Store(tmp_path / "memory.db", TOY, log=False, metrics=False) as opened:
        for number in range(1, 7):
            opened.remember(f"amber{number} stone", uri=str(number))
        yield opened


def judged(text: str, *grades: tuple[int, int | None, float]) -> AskedQuery:
    """A query with grades of (document, chunk)."""
    said = tuple(
        Judgement(text, "default", str(document), document, chunk, grade, NOW) for document, chunk, grade in grades
    )
    return AskedQuery(text, judgements=said)


def test_chunks_are_scored_by_their_own_grades(store: Store) -> None:
    """DCG 3 / log2(2) + 1 / log2(4), of the ideal 3 / log2(2) + 1 / log2(3)."""
    query = judged("amber", (2, 2, 3.0), (5, 5, 1.0))
    with store.index.snapshot() as snapshot:
        relevance = Relevance.of(snapshot, query)
        assert relevance is not None and not relevance.by_document
        assert relevance.ndcg(snapshot, [2, 1, 5]) == pytest.approx((3 + 1 / 2) / (3 + 1 / math.log2(3)))


def test_a_judged_document_counts_at_its_first_chunk(store: Store) -> None:
    with store.index.snapshot() as snapshot:
        relevance = Relevance.of(snapshot, judged("amber", (3, None, 1.0)))
        assert relevance is not None and relevance.by_document
        assert relevance.ndcg(snapshot, [1, 2, 3]) == pytest.approx(1 / math.log2(4))


def test_a_query_without_anything_relevant_has_no_gain(store: Store) -> None:
    (compared,) = compare(store.index, AS_IT_IS, AS_IT_IS, [judged("amber1", (2, 2, 0.0))])
    assert (compared.before.ndcg, compared.gain) == (None, None)
    (compared,) = compare(store.index, AS_IT_IS, AS_IT_IS, [judged("amber1", (2, 2, 1.0))])
    assert compared.gain == 0.0


def test_queries_not_reached_before_the_deadline_are_left_out(store: Store) -> None:
    queries = [judged("amber1", (1, 1, 1.0)), judged("amber2", (2, 2, 1.0))]
    assert compare(store.index, AS_IT_IS, AS_IT_IS, queries, deadline=time.monotonic()) == []


def test_no_more_chunks_are_read_than_the_first_documents_take(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    with store.index.snapshot() as snapshot:
        whole = snapshot.chunks
        monkeypatch.setattr(snapshot, "chunks", lambda chunk_ids: asked.extend(chunk_ids) or whole(chunk_ids))
        assert first_documents(snapshot, [4, 4, 2, 1, 6, 5], 2) == [4, 2, 1]  # two at a time: 4 and 4, then 2 and 1
    assert asked == [4, 4, 2, 1]
