"""The dense leg is a brute-force search by cosine, whichever way it is computed."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from db.material import cut, document, put, put_vectors, rows, unit_vectors, write
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import ToyEmbedder

from vstore import config
from vstore.db.connection import Database
from vstore.db.index import SqliteIndex
from vstore.db.migrate import latest
from vstore.db.vectors import get, sign_code, to_blob
from vstore.errors import InputError
from vstore.filters import parse
from vstore.types import Ranking, Scope

DIMENSION = 13  # no multiple of 8: the last byte of a sign code is partly empty
N = 120


@pytest.fixture(scope="module")
def shared() -> Iterator[SqliteIndex]:
    with tempfile.TemporaryDirectory() as folder, closing(SqliteIndex(Path(folder, "memory.db"))) as index:
        space = index.open_space("f" * 64, DIMENSION, "given")
        for number, vector in enumerate(unit_vectors(1, N, DIMENSION)):
            put_vectors(index, {f"{number}": vector}, space, metadata={"n": number, "even": number % 2 == 0})
        yield index


def brute_force(query: np.ndarray, allowed: list[int], k: int) -> list[tuple[int, float]]:
    """(chunk id, cosine) best first; ids count from 1 in the order of writing."""
    similarity = unit_vectors(1, N, DIMENSION).astype(np.float64) @ (query / np.linalg.norm(query))
    best = sorted(allowed, key=lambda number: (-similarity[number], number))[:k]
    return [(number + 1, float(similarity[number])) for number in best]


@pytest.mark.parametrize("way", ["exact", "sign codes of the table", "sign codes in memory"])
@given(
    seed=st.integers(0, 10_000),
    low=st.integers(0, N),
    even=st.sampled_from([None, True, False]),
    k=st.integers(1, N + 10),
    length=st.sampled_from([1.0, 0.01, 1000.0]),
)
@settings(max_examples=40, deadline=None)
def test_a_ranking_is_that_of_brute_force(
    shared: SqliteIndex, way: str, seed: int, low: int, even: bool | None, k: int, length: float
) -> None:
    query = unit_vectors(seed + 100, 1, DIMENSION)[0] * np.float32(length)
    where = {"n": {"$gte": low}} | ({} if even is None else {"even": even})
    scope = Scope() if low == 0 and even is None else Scope((), parse(where))
    allowed = [number for number in range(N) if number >= low and even in (None, number % 2 == 0)]
    with pytest.MonkeyPatch.context() as patch:
        if way != "exact":
            patch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
            patch.setattr(config, "CODE_CANDIDATES", N)
        patch.setattr(config, "CODES_FROM_SEARCH", 1 if way == "sign codes in memory" else config.UNLIMITED)
        with shared.snapshot() as snapshot:
            ranking = snapshot.dense(query, scope, k)
    expected = brute_force(query, allowed, k)
    assert ranking.chunk_ids == tuple(chunk_id for chunk_id, _ in expected)
    assert ranking.scores == pytest.approx([score for _, score in expected], abs=1e-6)


@pytest.mark.parametrize("resident_from", [1, config.UNLIMITED])
@pytest.mark.parametrize("low", [0, 30])
def test_sign_codes_choose_by_equal_signs_and_of_these_by_the_size_of_the_querys_components(
    shared: SqliteIndex, monkeypatch: pytest.MonkeyPatch, resident_from: int, low: int
) -> None:
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", resident_from)
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
    monkeypatch.setattr(config, "CODE_CANDIDATES", 20)
    monkeypatch.setattr(config, "CODE_OVERSAMPLING", 1)
    monkeypatch.setattr(config, "CODES_WEIGHED", 2)
    vectors, query = unit_vectors(1, N, DIMENSION), unit_vectors(5, 1, DIMENSION)[0]
    differing = ((vectors > 0) != (query > 0)).sum(axis=1)
    agreement = np.where(vectors > 0, query, -query).sum(axis=1)
    near = sorted(range(low, N), key=lambda number: (differing[number], number))[:40]
    chosen = sorted(near, key=lambda number: -agreement[number])[:20]
    expected = tuple(chunk_id for chunk_id, _ in brute_force(query, chosen, 10))
    scope = Scope((), parse({"n": {"$gte": low}})) if low else Scope()
    with shared.snapshot() as snapshot:
        assert snapshot.dense(query, scope, 10).chunk_ids == expected


@pytest.mark.parametrize("resident_from", [1, config.UNLIMITED])
@pytest.mark.parametrize("scope", [Scope(), Scope((), parse({"n": {"$gte": 20}}))])
def test_an_exact_search_compares_all_vectors(
    shared: SqliteIndex, monkeypatch: pytest.MonkeyPatch, resident_from: int, scope: Scope
) -> None:
    """One vector is compared otherwise, so that one chunk is found."""
    monkeypatch.setattr(config, "CODES_FROM_SEARCH", resident_from)
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", 0)
    monkeypatch.setattr(config, "CODE_CANDIDATES", 1)
    monkeypatch.setattr(config, "CODE_OVERSAMPLING", 0)
    query = unit_vectors(5, 1, DIMENSION)[0]
    allowed = [number for number in range(N) if scope == Scope() or number >= 20]
    with shared.snapshot() as snapshot:
        assert len(snapshot.dense(query, scope, 10)) == 1
        found = snapshot.dense(query, scope, 10, exact=True)
    assert found.chunk_ids == tuple(chunk_id for chunk_id, _ in brute_force(query, allowed, 10))


@pytest.mark.parametrize("scan_limit", [10, 0])
def test_equal_vectors_are_ranked_by_id(path: Path, monkeypatch: pytest.MonkeyPatch, scan_limit: int) -> None:
    monkeypatch.setattr(config, "EXACT_SCAN_CHUNKS", scan_limit)
    same, opposite = unit_vectors(2, 1, 5)[0], -unit_vectors(2, 1, 5)[0]
    with closing(SqliteIndex(path)) as index:
        space = index.open_space("f" * 64, 5, "given")
        put_vectors(index, {"a": opposite, "b": same, "c": same, "d": opposite}, space)
        with index.snapshot() as snapshot:
            ranking = snapshot.dense(same, Scope(), 10)
            assert snapshot.dense(same, Scope(), 3).chunk_ids == (2, 3, 1)
    assert ranking.chunk_ids == (2, 3, 1, 4)
    assert ranking.scores == pytest.approx([1.0, 1.0, -1.0, -1.0])


@pytest.mark.parametrize("dimension", [1, 7, 8, 9, 384])
def test_any_dimension_works(path: Path, dimension: int) -> None:
    vectors = unit_vectors(3, 10, dimension)
    with closing(SqliteIndex(path)) as index:
        space = index.open_space("f" * 64, dimension, "given")
        put_vectors(index, {f"{number}": vector for number, vector in enumerate(vectors)}, space)
        with index.snapshot() as snapshot:
            ranking = snapshot.dense(vectors[4], Scope(), 10)
    assert sorted(ranking.chunk_ids) == list(range(1, 11))
    assert dict(zip(ranking.chunk_ids, ranking.scores, strict=True)) == pytest.approx(
        {number + 1: float(vectors[number] @ vectors[4]) for number in range(10)}, abs=1e-6
    )


def test_a_store_without_a_space_or_a_scope_without_a_chunk_ranks_nothing(index: SqliteIndex) -> None:
    query = ToyEmbedder(16).embed_queries(["red"])[0]
    with index.snapshot() as snapshot:
        assert snapshot.dense(query, Scope(), 10) == Ranking("dense")
    put(index, "a", "red")
    with index.snapshot() as snapshot:
        assert snapshot.dense(query, Scope(("other",)), 10) == Ranking("dense")


def test_a_query_of_another_dimension_is_refused(shared: SqliteIndex) -> None:
    with shared.snapshot() as snapshot, pytest.raises(InputError, match=r"shape \(12,\) does not fit .* 13 dimensions"):
        snapshot.dense(unit_vectors(1, 1, 12)[0], Scope(), 10)


floats = st.floats(width=32, min_value=-1000, max_value=1000).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(st.lists(floats, min_size=1, max_size=20).filter(any))
def test_a_blob_is_the_vector_as_little_endian_float32(values: list[float]) -> None:
    vector = np.array(values, dtype=np.float32)
    blob = to_blob(vector, len(values))
    assert np.frombuffer(blob, dtype="<f4").tolist() == vector.tolist()
    assert to_blob(vector.astype(">f4"), len(values)) == to_blob(vector.astype(np.float64), len(values)) == blob


@given(st.lists(floats, min_size=1, max_size=20))
def test_a_sign_code_has_a_bit_for_each_positive_component(values: list[float]) -> None:
    code = sign_code(np.array(values, dtype=np.float32))
    assert len(code) == (len(values) + 7) // 8
    assert [code[i // 8] >> i % 8 & 1 for i in range(len(values))] == [int(value > 0) for value in values]


def test_what_is_stored_is_what_was_given_with_its_checksum_and_code(path: Path) -> None:
    vector = np.array([1.0, -2.0, 0.5], dtype=np.float32)
    with closing(SqliteIndex(path)) as index:
        space = index.open_space("f" * 64, 3, "given")
        text, chunks = cut(["red"])
        write(index, document("a", text), chunks, {chunks[0].content_hash: vector}, space)
    blob = bytes.fromhex("0000803f 000000c0 0000003f")
    assert rows(path, "SELECT vector, crc32 FROM vectors_g1") == [(blob, zlib.crc32(blob))]
    assert rows(path, "SELECT code FROM codes_g1") == [(bytes([0b101]),)]
    with closing(Database(path, latest(), create=False)) as opened:
        stored = get(opened.connection(), space, 1)
        assert stored is not None
        assert stored.dtype == np.float32
        assert stored.tolist() == [1.0, -2.0, 0.5]
        assert get(opened.connection(), space, 2) is None
