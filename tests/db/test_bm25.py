"""BM25 from the forward index is FTS5's own, and the background of a query is that of its scope."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import put, put_vectors, unit_vectors
from hypothesis import given, settings
from hypothesis import strategies as st

from vstore import config
from vstore.db.bm25 import totals
from vstore.db.index import SqliteIndex
from vstore.filters import parse
from vstore.types import Scope

WORDS = ["red", "green", "blue", "the", "running", "runs", "école", "索引設定", "maxOpenConns", "snake_case"]
texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(" ".join)


@given(st.lists(texts, min_size=1, max_size=8), texts, texts)
@settings(max_examples=60, deadline=None)
def test_it_agrees_with_fts5(bodies: list[str], title: str, query: str) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        for number, body in enumerate(bodies):
            put(index, f"{number}", body, title=title if number % 2 else "")
        put(index, "gone", "red green")
        index.forget("default", "gone")
        with index.snapshot() as snapshot:
            terms = snapshot.terms(query)
            ranking = snapshot.lexical(terms, Scope(), 100)
            everything = list(range(1, len(bodies) + 1))
            scores = snapshot.bm25(terms, everything)
        assert sorted(scores) == everything
        expected = dict.fromkeys(everything, 0.0) | dict(zip(ranking.chunk_ids, ranking.scores, strict=True))
        assert scores == pytest.approx(expected, abs=1e-9)


def test_totals_are_counted_by_hand(index: SqliteIndex) -> None:
    put(index, "a", "red green blue", title="colours")
    put(index, "b", "red")
    with index.snapshot() as snapshot:
        assert totals(snapshot._connection) == (2, 5)
        assert snapshot.bm25(snapshot.terms("red"), []) == {}
        assert snapshot.bm25((), [1]) == {1: 0.0}


@pytest.fixture(scope="module")
def spread() -> Iterator[SqliteIndex]:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        space = index.open_space("f" * 64, 16, "given")
        for number, vector in enumerate(unit_vectors(7, 300, 16)):
            put_vectors(index, {f"{number}": vector}, space, metadata={"n": number})
        yield index


@pytest.mark.parametrize("first", [0, 250, 299])
def test_the_background_of_a_small_scope_is_exact(spread: SqliteIndex, first: int) -> None:
    query = unit_vectors(8, 1, 16)[0]
    cosines = unit_vectors(7, 300, 16)[first:] @ query
    with spread.snapshot() as snapshot:
        found = snapshot.background(query, Scope(where=parse({"n": {"$gte": first}})))
        nothing = snapshot.background(query, Scope(where=parse({"n": 1000})))
        some = snapshot.cosines(query, [first + 1, 9999])
    assert (found.mean, found.deviation) == pytest.approx((cosines.mean(), cosines.std()), abs=1e-6)
    assert nothing is None
    assert some == pytest.approx({first + 1: cosines[0]}, abs=1e-6)


def test_the_background_of_a_large_scope_is_that_of_a_fixed_sample(
    spread: SqliteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample of 60 of 300: the mean may be off by some standard errors, and twice the same question agrees."""
    monkeypatch.setattr(config, "BACKGROUND_SAMPLE", 60)
    query = unit_vectors(8, 1, 16)[0]
    cosines = unit_vectors(7, 300, 16) @ query
    with spread.snapshot() as snapshot:
        found = snapshot.background(query, Scope())
        assert snapshot.background(query, Scope()) == found
    assert found.mean == pytest.approx(cosines.mean(), abs=5 * cosines.std() / np.sqrt(60))
    assert found.deviation == pytest.approx(cosines.std(), rel=0.4)
    assert found.mean != pytest.approx(cosines.mean(), abs=1e-9)
