"""The dense leg: vectors as rows of an ordinary table, one table for each embedding space.

A vector is stored as little-endian float32, as sqlite-vec's scalar functions read it, with its CRC-32: SQLite's own
checks see a changed page but not a changed number. Beside it lies its sign code, one bit a dimension.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import apsw
import numpy as np

from vstore import config
from vstore.algebra import products
from vstore.db import bm25
from vstore.db.codes import SCATTERED, Codes, code_bytes, empty, sampled, sampled_below, sign_code, sign_codes
from vstore.db.connection import run, run_many
from vstore.db.failures import decoding
from vstore.db.scope import Ids, Sql
from vstore.errors import InputError
from vstore.types import Background, Ranking, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray


# Squared lengths that sqlite-vec, which adds up in float32, can tell from 0 and from infinity.
_SHORTEST, _LONGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def create_tables(connection: apsw.Connection, number: int) -> None:
    """Make the pair of tables of a space, unless they are there."""
    for table, column in (("vectors", "vector BLOB NOT NULL, crc32 INTEGER NOT NULL"), ("codes", "code BLOB NOT NULL")):
        run(
            connection,
            f"CREATE TABLE IF NOT EXISTS {table}_g{number} ("
            f"chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE, {column}) STRICT",
        )


def put(connection: apsw.Connection, space: Space, chunk_ids: Sequence[int], vectors: Sequence[FloatArray]) -> None:
    """Store the vectors and the codes of chunks, and raise as `to_blob` does."""
    rows = _rows(vectors, space.dimension)
    blobs = [row.tobytes() for row in rows]
    run_many(
        connection,
        f"INSERT INTO vectors_g{space.number} (chunk_id, vector, crc32) VALUES (?, ?, ?)",
        zip(chunk_ids, blobs, map(zlib.crc32, blobs), strict=True),
    )
    run_many(
        connection,
        f"INSERT INTO codes_g{space.number} (chunk_id, code) VALUES (?, ?)",
        zip(chunk_ids, sign_codes(rows), strict=True),
    )


def have_tables(connection: apsw.Connection, number: int) -> bool:
    """Whether the vectors of a space are kept."""
    return bool(run(connection, "SELECT 1 FROM sqlite_schema WHERE name = ?", (f"vectors_g{number}",)))


def erase(connection: apsw.Connection, number: int) -> bool:
    """Erase DROPPED_AT_ONCE vectors of a space with their codes, and the tables with the last ones; False then."""
    some = f"SELECT chunk_id FROM vectors_g{number} ORDER BY chunk_id LIMIT {config.DROPPED_AT_ONCE}"
    run(connection, f"DELETE FROM codes_g{number} WHERE chunk_id IN ({some})")
    run(connection, f"DELETE FROM vectors_g{number} WHERE chunk_id IN ({some})")
    if run(connection, some):
        return True
    for table in ("vectors", "codes"):
        run(connection, f"DROP TABLE {table}_g{number}")
    return False


def get(connection: apsw.Connection, space: Space, chunk_id: int) -> FloatArray | None:
    """The vector of a chunk, float32 (dimension,), or None when it has none."""
    return get_many(connection, space, [chunk_id]).get(chunk_id)


@decoding
def get_many(connection: apsw.Connection, space: Space, chunk_ids: Sequence[int]) -> dict[int, FloatArray]:
    """See `Snapshot.vectors`."""
    sql = f"SELECT chunk_id, vector FROM vectors_g{space.number} WHERE chunk_id IN (SELECT value FROM json_each(?))"
    rows = run(connection, sql, (json.dumps(list(chunk_ids)),))
    return {chunk_id: np.frombuffer(blob, dtype="<f4").astype(np.float32) for chunk_id, blob in rows}


def to_blob(vector: FloatArray, dimension: int) -> bytes:
    """Little-endian float32 bytes. Raises InputError for a wrong shape, NaN, infinity or a length of (nearly) 0."""
    return _rows([vector], dimension).tobytes()


def _rows(vectors: Sequence[FloatArray], dimension: int) -> FloatArray:
    """Little-endian float32, (n, dimension)."""
    for shape in map(np.shape, vectors):
        if shape != (dimension,):
            raise InputError(f"a vector of shape {shape} does not fit this store, which has {dimension} dimensions")
    rows = np.array(vectors, dtype="<f4").reshape(-1, dimension)
    squared_lengths = np.sum(np.square(rows, dtype=np.float64), axis=1)
    if not np.all((squared_lengths >= _SHORTEST) & (squared_lengths <= _LONGEST)):  # as NaN is not
        raise InputError("the embedder returned a vector with NaN, infinity or length 0; such text cannot be compared")
    return rows


def shortlist(
    connection: apsw.Connection, scope: Ids | None, limit: int, codes: Codes | None
) -> Callable[[FloatArray], Ids] | None:
    """See `Snapshot.shortlist`: it is made of codes that are in memory, and raises InputError as `to_blob` does."""
    if codes is None or _few(connection, scope):
        return None
    dimension, most = codes.space.dimension, _most(limit)

    def listed(vector: FloatArray) -> Ids:
        to_blob(vector, dimension)
        return codes.closest(sign_code(vector), config.CODES_WEIGHED * most, scope).likeliest(vector, most)

    return listed


def rank(
    connection: apsw.Connection,
    space: Space,
    vector: FloatArray,
    scope: Ids | None,
    limit: int,
    listed: Ids | None = None,
    *,
    exact: bool = False,
) -> Ranking:
    """The `limit` chunks in scope (None: all) with the highest cosine to `vector`.

    Exact if asked for, and up to EXACT_SCAN_CHUNKS chunks in scope. Above, the vectors that are likeliest by their sign
    codes are compared exactly: those that are `listed`, or those that the table of codes gives, which are the same.
    Raises InputError for a vector that does not fit.
    """
    blob = to_blob(vector, space.dimension)
    if listed is None and not exact and not _few(connection, scope):
        listed = _listed(connection, space, vector, scope, _most(limit))
    chosen, values = _in(scope if listed is None else listed)
    sql = (
        f"SELECT v.chunk_id, 1.0 - vec_distance_cosine(v.vector, ?) AS score FROM vectors_g{space.number} AS v "
        f"{chosen} ORDER BY score DESC, v.chunk_id LIMIT ?"
    )
    rows = run(connection, sql, (blob, *values, limit))
    return Ranking("dense", tuple(row[0] for row in rows), tuple(row[1] for row in rows))


def _few(connection: apsw.Connection, scope: Ids | None) -> bool:
    """Whether there are so few chunks in scope that codes would not pay."""
    chunks, _ = bm25.totals(connection)
    return (chunks if scope is None else len(scope)) <= config.EXACT_SCAN_CHUNKS


def _most(limit: int) -> int:
    """How many vectors are compared exactly after their codes."""
    return max(config.CODE_CANDIDATES, config.CODE_OVERSAMPLING * limit)


def _listed(connection: apsw.Connection, space: Space, vector: FloatArray, scope: Ids | None, most: int) -> Ids | None:
    """What `shortlist` makes of the vector, from the table of codes; None when some are missing."""
    chunks, _ = bm25.totals(connection)
    if _count(connection, space) != chunks:
        return None
    in_scope, values = _in(scope)
    # A code that was damaged counts as the nearest, so that its vector is compared.
    distance = "CASE length(v.code) WHEN ? THEN vec_distance_hamming(vec_bit(v.code), vec_bit(?)) ELSE -1 END"
    sql = (
        f"SELECT v.chunk_id, v.code FROM codes_g{space.number} AS v {in_scope} ORDER BY {distance}, v.chunk_id LIMIT ?"
    )
    rows = run(connection, sql, (*values, code_bytes(space), sign_code(vector), config.CODES_WEIGHED * most))
    damaged = [chunk_id for chunk_id, code in rows if len(code) != code_bytes(space)]
    intact = empty(space).joined([row for row in rows if len(row[1]) == code_bytes(space)])
    return np.concatenate([np.array(damaged, dtype=np.int64), intact.likeliest(vector, most)])


def _in(scope: Ids | None) -> Sql:
    return ("WHERE 1", ()) if scope is None else _among(scope)


def _among(chunk_ids: Ids) -> Sql:
    return "WHERE v.chunk_id IN (SELECT value FROM json_each(?))", (json.dumps(chunk_ids.tolist()),)


def cosines(
    connection: apsw.Connection, space: Space, vector: FloatArray, chunk_ids: Sequence[int]
) -> dict[int, float]:
    """See `Snapshot.cosines`."""
    sql = (
        f"SELECT chunk_id, 1.0 - vec_distance_cosine(vector, ?) FROM vectors_g{space.number} "
        "WHERE chunk_id IN (SELECT value FROM json_each(?))"
    )
    return dict(run(connection, sql, (to_blob(vector, space.dimension), json.dumps(list(chunk_ids)))))


def sample(connection: apsw.Connection, space: Space, scope: Ids | None, codes: Codes | None = None) -> FloatArray:
    """The vectors of about BACKGROUND_SAMPLE chunks in scope, the same ones each time: unit rows, (n, dimension).

    Those that stand for all chunks are kept with their `codes`, if these are in memory.
    """
    if scope is not None:
        return _unit_rows(connection, space, *_among(sampled(scope)))
    if codes is not None:
        return _kept_sample(connection, space, codes)
    # Asked of the codes, for these are on a thirtieth of the pages.
    some = f"SELECT chunk_id FROM codes_g{space.number} WHERE {SCATTERED} < ?"
    return _unit_rows(connection, space, f"WHERE v.chunk_id IN ({some})", (sampled_below(_count(connection, space)),))


def _kept_sample(connection: apsw.Connection, space: Space, codes: Codes) -> FloatArray:
    """Those of the last time, without the chunks that are in it no longer and with those that came in."""
    none = np.empty(0, dtype=np.int64), np.empty((0, space.dimension), dtype=np.float32)
    ids, rows = codes.sample or none
    if not np.array_equal(ids, codes.sampled):
        kept, new = np.isin(ids, codes.sampled), np.setdiff1d(codes.sampled, ids)
        more = _unit_rows(connection, space, *_among(new))
        ids, rows = np.concatenate([ids[kept], new]), np.concatenate([rows[kept], more])
        order = np.argsort(ids)
        ids, rows = codes.sample = ids[order], rows[order]
    return rows


@decoding
def _unit_rows(connection: apsw.Connection, space: Space, chosen: str, values: tuple[object, ...]) -> FloatArray:
    rows = run(connection, f"SELECT v.vector FROM vectors_g{space.number} AS v {chosen} ORDER BY v.chunk_id", values)
    array = np.frombuffer(b"".join(blob for (blob,) in rows), dtype="<f4").reshape(-1, space.dimension)
    return np.asarray(array / np.linalg.norm(array, axis=1, keepdims=True), dtype=np.float32)


def background(rows: FloatArray, vector: FloatArray) -> Background | None:
    """Mean and standard deviation of the cosines between a `sample` and a vector; None without a sample."""
    if not len(rows):
        return None
    scores = products(rows, vector / np.linalg.norm(vector)).astype(np.float64)
    deviation = float(scores.std())
    # Cosines that are all the same differ by the rounding of float32, and a deviation made of it would magnify it.
    return Background(float(scores.mean()), deviation if deviation > config.ROUNDING else 0.0)


def _count(connection: apsw.Connection, space: Space) -> int:
    """Vectors there are, counted over the codes: the same rows on a thirtieth of the pages."""
    return int(run(connection, f"SELECT count(*) FROM codes_g{space.number}")[0][0])


def count_missing(connection: apsw.Connection, space: Space) -> int:
    """Chunks without a vector in this space."""
    sql = f"SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk_id FROM vectors_g{space.number})"
    return int(run(connection, sql)[0][0])
