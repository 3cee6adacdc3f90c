"""The dense leg: vectors as rows of an ordinary table, one table for each embedding space.

A vector is stored as little-endian float32, as sqlite-vec's scalar functions read it, with its CRC-32: SQLite's own
checks see a changed page but not a changed number. Beside it lies its sign code, one bit a dimension.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import apsw
import numpy as np

from vstore import config
from vstore.db.connection import run
from vstore.db.scope import compile_scope
from vstore.errors import InputError
from vstore.types import Ranking, Scope, Space

if TYPE_CHECKING:
    from vstore.types import FloatArray


# Squared lengths that sqlite-vec, which adds up in float32, can tell from 0 and from infinity.
_SHORTEST, _LONGEST = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)


def create_tables(connection: apsw.Connection, number: int) -> None:
    """Make the pair of tables of a new space."""
    for table, column in (("vectors", "vector BLOB NOT NULL, crc32 INTEGER NOT NULL"), ("codes", "code BLOB NOT NULL")):
        run(
            connection,
            f"CREATE TABLE {table}_g{number} ("
            f"chunk_id INTEGER PRIMARY KEY REFERENCES chunks (id) ON DELETE CASCADE, {column}) STRICT",
        )


def put(connection: apsw.Connection, space: Space, chunk_id: int, vector: FloatArray) -> None:
    """Store the vector and the code of one chunk."""
    blob = to_blob(vector, space.dimension)
    run(
        connection,
        f"INSERT INTO vectors_g{space.number} (chunk_id, vector, crc32) VALUES (?, ?, ?)",
        (chunk_id, blob, zlib.crc32(blob)),
    )
    run(
        connection,
        f"INSERT INTO codes_g{space.number} (chunk_id, code) VALUES (?, ?)",
        (chunk_id, sign_code(vector)),
    )


def get(connection: apsw.Connection, space: Space, chunk_id: int) -> FloatArray | None:
    """The vector of a chunk, float32 (dimension,), or None when it has none."""
    sql = f"SELECT vector FROM vectors_g{space.number} WHERE chunk_id = ?"
    for (blob,) in run(connection, sql, (chunk_id,)):
        return np.frombuffer(blob, dtype="<f4").astype(np.float32)
    return None


def to_blob(vector: FloatArray, dimension: int) -> bytes:
    """Little-endian float32 bytes. Raises InputError for a wrong shape, NaN, infinity or a length of (nearly) 0."""
    array = np.asarray(vector, dtype="<f4")
    if array.shape != (dimension,):
        raise InputError(f"a vector of shape {array.shape} does not fit this store, which has {dimension} dimensions")
    squared_length = float(np.sum(np.square(array, dtype=np.float64)))
    if not _SHORTEST <= squared_length <= _LONGEST:  # as NaN is not
        raise InputError("the embedder returned a vector with NaN, infinity or length 0; such text cannot be compared")
    return array.tobytes()


def sign_code(vector: FloatArray) -> bytes:
    """One bit a dimension, set where the component is positive, padded to whole bytes."""
    return np.packbits(np.asarray(vector) > 0, bitorder="little").tobytes()


def rank(connection: apsw.Connection, space: Space, vector: FloatArray, scope: Scope, limit: int) -> Ranking:
    """The `limit` chunks in scope with the highest cosine to `vector`.

    Exact up to EXACT_SCAN_CHUNKS chunks in scope. Above, the vectors with the closest sign codes are compared exactly.
    """
    query = to_blob(vector, space.dimension)
    source = f"vectors_g{space.number} AS v"
    condition, values = compile_scope(scope) or ("1", ())
    if condition != "1":
        source += " JOIN chunks AS c ON c.id = v.chunk_id JOIN documents AS d ON d.id = c.document_id"
    codes = source.replace("vectors_g", "codes_g")  # same chunks, a thirtieth of the pages
    ((size,),) = run(connection, f"SELECT count(*) FROM {codes} WHERE {condition}", values)
    if size > config.EXACT_SCAN_CHUNKS:
        nearest = max(config.CODE_CANDIDATES, config.CODE_OVERSAMPLING * limit)
        closest = (
            f"SELECT v.chunk_id FROM {codes} WHERE {condition} "
            "ORDER BY vec_distance_hamming(vec_bit(v.code), vec_bit(?)), v.chunk_id LIMIT ?"
        )
        source, condition = f"vectors_g{space.number} AS v", f"v.chunk_id IN ({closest})"
        values = (*values, sign_code(vector), nearest)
    sql = (
        f"SELECT v.chunk_id, 1.0 - vec_distance_cosine(v.vector, ?) AS score FROM {source} "
        f"WHERE {condition} ORDER BY score DESC, v.chunk_id LIMIT ?"
    )
    rows = run(connection, sql, (query, *values, limit))
    return Ranking("dense", tuple(row[0] for row in rows), tuple(row[1] for row in rows))


def count_missing(connection: apsw.Connection, space: Space) -> int:
    """Chunks without a vector in this space."""
    sql = f"SELECT count(*) FROM chunks WHERE id NOT IN (SELECT chunk_id FROM vectors_g{space.number})"
    return int(run(connection, sql)[0][0])
