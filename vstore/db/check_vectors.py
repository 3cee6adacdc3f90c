"""Checks of vectors and their sign codes, in every space that is kept."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vstore import config
from vstore.db.check_scan import Fault, Invariant, Kept, Scan, Tallies, Tally

if TYPE_CHECKING:
    from vstore.types import FloatArray


def _ids(scan: Scan) -> Iterator[Fault]:
    if scan.active is not None:
        yield from _lacking(scan, f"vectors_g{scan.active.number}", "a chunk has no vector", "chunks", "id")
    for space in scan.kept:
        yield from _lacking(scan, "chunks", "there is a vector of a chunk that is gone", f"vectors_g{space.number}")


def _code_ids(scan: Scan) -> Iterator[Fault]:
    for space in scan.kept:
        codes, vectors = f"codes_g{space.number}", f"vectors_g{space.number}"
        yield from _lacking(scan, codes, "a vector has no code", vectors)
        yield from _lacking(scan, vectors, "there is a code without a vector", codes)


def _lacking(scan: Scan, table: str, what: str, of: str, column: str = "chunk_id") -> Iterator[Fault]:
    """A fault for each row of a table that has none of the same id in another."""
    other = "id" if table == "chunks" else "chunk_id"
    sql = f"SELECT {column} FROM {of} AS o WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE {other} = o.{column})"
    for (chunk_id,) in scan.rows(sql):
        yield Fault(what, f"chunk {chunk_id}", True)


def _content(scan: Scan) -> Tallies:
    found = {name: Tally() for name in ("vectors", "vector lengths", "codes")}
    for space in scan.kept:
        for rows in scan.batches(rows_of(space)):
            judged = judge(rows, space.dimension)
            for chunk_id, what in judged.damaged.items():
                found["vectors"].add(Fault(what, f"chunk {chunk_id}", True))
            for chunk_id in judged.unlike:
                found["codes"].add(Fault("a code is not that of its vector", f"chunk {chunk_id}", True))
            for chunk_id in judged.not_unit:
                found["vector lengths"].add(Fault("a vector is not of length 1", f"chunk {chunk_id}"))
    return found


def rows_of(space: Kept) -> str:
    """SQL for the vectors of a space with their codes: (chunk id, vector, checksum, code or NULL)."""
    return (
        f"SELECT v.chunk_id, ifnull(v.vector, x''), ifnull(v.crc32, -1), c.code FROM vectors_g{space.number} AS v "
        f"LEFT JOIN codes_g{space.number} AS c ON c.chunk_id = v.chunk_id"
    )


@dataclass(slots=True)
class Judged:
    """What is wrong with some vectors, by chunk id: with the vector, its length, or its code."""

    damaged: dict[int, str] = field(default_factory=dict)
    not_unit: list[int] = field(default_factory=list)
    unlike: list[int] = field(default_factory=list)
    codeless: list[int] = field(default_factory=list)  # those without a code, and those with a wrong one


def judge(rows: Sequence[tuple[int, bytes, int, bytes | None]], dimension: int) -> Judged:
    """Look at rows as `rows_of` gives them. A damaged vector says nothing about its code."""
    found = Judged()
    for chunk_id, blob, checksum, _ in rows:
        if len(blob) != 4 * dimension:
            found.damaged[chunk_id] = "a vector has a wrong number of dimensions"
        elif zlib.crc32(blob) != checksum:
            found.damaged[chunk_id] = "a vector does not match its checksum"
    rows = [row for row in rows if row[0] not in found.damaged]
    if rows:
        array = np.frombuffer(b"".join(row[1] for row in rows), dtype="<f4").reshape(-1, dimension)
        with np.errstate(over="ignore", invalid="ignore"):
            lengths = np.sqrt(np.einsum("ij,ij->i", array, array, dtype=np.float64))
        usable = np.isfinite(lengths) & (lengths > 0)
        found.damaged |= {
            rows[at][0]: "a vector has NaN, infinity or only zeros" for at in np.flatnonzero(~usable).tolist()
        }
        far = usable & (np.abs(lengths - 1.0) > config.UNIT_TOLERANCE)
        found.not_unit = [rows[at][0] for at in np.flatnonzero(far).tolist()]
        codes = [row[3] for row in rows]
        wrong = usable & _unlike(codes, array)
        found.codeless = [rows[at][0] for at in np.flatnonzero(wrong).tolist()]
        found.unlike = [rows[at][0] for at in np.flatnonzero(wrong).tolist() if codes[at] is not None]
    return found


def _unlike(codes: Sequence[bytes | None], array: FloatArray) -> NDArray[np.bool_]:
    """Which codes are not those of the vectors, (n, dimension), or are missing: (n,)."""
    signs = np.packbits(array > 0, axis=1, bitorder="little")
    width = signs.shape[1]
    sized = np.array([code is not None and len(code) == width for code in codes])
    kept = b"".join(code if code and len(code) == width else bytes(width) for code in codes)
    same = (np.frombuffer(kept, dtype=np.uint8).reshape(-1, width) == signs).all(axis=1)
    return np.asarray(~(sized & same))


_ANEW = "vstore check --repair, with the model at hand, makes them anew"
_NEEDS = ("chunks", "spaces", "models", "active")
INVARIANTS = (
    Invariant(
        "vector ids",
        "every chunk has a vector in the space that serves, and no space has one of a chunk that is gone",
        _ANEW,
        _ids,
        _NEEDS,
        derived=True,
    ),
    Invariant(
        "vectors",
        "every vector has its dimensions, matches its checksum, and is finite",
        _ANEW,
        _content,
        _NEEDS,
        derived=True,
    ),
    Invariant("code ids", "every vector has a code, and every code a vector", _ANEW, _code_ids, _NEEDS, derived=True),
    Invariant("codes", "every code has the signs of its vector", _ANEW, _content, _NEEDS, derived=True),
    Invariant(
        "vector lengths",
        "every vector is of length 1",
        "the embedder does not do as vstore.Embedder says; searches compare directions alone and bear it",
        _content,
        _NEEDS,
        warning=True,
    ),
)
